"""The callback with the real Trainer of Lightning, on a tiny network and data that are made here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integrations.conftest import Bench

PROGRAM = """
import logging, warnings
warnings.filterwarnings("ignore")
logging.getLogger("lightning").setLevel(logging.ERROR)
import clustertune, torch, lightning
from clustertune.integrations.lightning import ClustertuneCallback, resume_from
from torch.utils.data import DataLoader, TensorDataset

config = clustertune.config()
torch.manual_seed(0)
x = torch.randn(32, 4)
data = TensorDataset(x, x.sum(dim=1, keepdim=True))


class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, index):
        loss = torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=config["lr"])


trainer = lightning.Trainer(
    max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, callbacks=[ClustertuneCallback()],
)
trainer.fit(Model(), DataLoader(data, batch_size=8), DataLoader(data, batch_size=32), ckpt_path=resume_from())
"""


def test_it_reports_each_epoch_and_a_resumed_trial_continues_its_curve(bench: Callable[[str], Bench]) -> None:
    trial = bench(PROGRAM)
    whole = trial.run({"lr": 0.05})
    assert whole.code == 0, whole.output
    assert list(whole.reports) == [1, 2, 3]
    assert whole.reports[1].keys() == {"train_loss", "val_loss"}
    paused = trial.run({"lr": 0.05}, pause=True)
    assert list(paused.checkpoints) == [1], paused.output
    resumed = trial.run({"lr": 0.05}, resume=(1, paused.checkpoints[1]))
    assert list(resumed.reports) == [2, 3], resumed.output
    for level in (2, 3):
        assert resumed.reports[level]["val_loss"] == pytest.approx(whole.reports[level]["val_loss"], rel=1e-4)
