"""The callback with the real Trainer, on a tiny ViT and images that are made here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integrations.conftest import Bench

PROGRAM = """
import clustertune, numpy, torch
from clustertune.integrations.transformers import ClustertuneCallback, resume_from
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

config = clustertune.config()
torch.manual_seed(0)
images = torch.randn(24, 1, 8, 8)
labels = (images.mean(dim=(1, 2, 3)) > 0).long()
data = [{"pixel_values": image, "labels": label} for image, label in zip(images, labels)]
model = ViTForImageClassification(ViTConfig(
    hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    image_size=8, patch_size=4, num_channels=1, num_labels=2,
))
arguments = TrainingArguments(
    "out", num_train_epochs=3, per_device_train_batch_size=8, learning_rate=config["lr"], report_to=[], seed=1,
    save_strategy=config.get("saves", "no"), eval_strategy=config["evaluates"],
    logging_steps=1, use_cpu=True, disable_tqdm=True,
)
trainer = Trainer(
    model, arguments, train_dataset=data, eval_dataset=data, callbacks=[ClustertuneCallback(config["resource"])],
)
with torch.no_grad():
    if "mark" in config and resume_from() is None:
        model.vit.layernorm.weight.fill_(config["mark"])
trainer.train(resume_from_checkpoint=resume_from())
import os
print("left over:", sorted(os.listdir("out")) if os.path.isdir("out") else [])
print("mark:", round(float(model.vit.layernorm.weight.mean())))
"""


@pytest.mark.parametrize(("resource", "levels"), [("epoch", [1, 2, 3]), ("step", [3, 6, 9])])
def test_it_reports_each_evaluation_and_a_resumed_trial_continues_its_curve(
    bench: Callable[[str], Bench], resource: str, levels: list[int]
) -> None:
    trial = bench(PROGRAM)
    config = {"lr": 0.01, "evaluates": "epoch", "resource": resource}
    whole = trial.run(config)
    assert whole.code == 0, whole.output
    assert list(whole.reports) == levels
    assert {"eval_loss", "loss"} <= whole.reports[levels[0]].keys()
    assert whole.checkpoints == {}
    paused = trial.run(config, pause=True)
    assert list(paused.reports) == levels[:1]
    assert list(paused.checkpoints) == levels[:1], paused.output
    resumed = trial.run(config, resume=(levels[0], paused.checkpoints[levels[0]]))
    assert resumed.code == 0, resumed.output
    assert list(resumed.reports) == levels[1:]
    for level in levels[1:]:
        # Not to the last digit: the Trainer shuffles otherwise after its own resuming, so that this is all it promises.
        assert resumed.reports[level]["eval_loss"] == pytest.approx(whole.reports[level]["eval_loss"], rel=0.02)
    assert "left over: []" in resumed.output


def test_without_evaluation_each_epochs_training_loss_is_reported(bench: Callable[[str], Bench]) -> None:
    whole = bench(PROGRAM).run({"lr": 0.01, "evaluates": "no", "resource": "epoch"})
    assert list(whole.reports) == [1, 2, 3]
    assert "loss" in whole.reports[1]


def test_trials_side_by_side_in_one_folder_each_go_on_with_their_own_weights(
    side_by_side: Callable[[str], list[Bench]],
) -> None:
    """One of them saves after each epoch by itself, so that something of it stays."""
    trials = side_by_side(PROGRAM)
    configs = [
        {"lr": 1e-5, "evaluates": "epoch", "resource": "epoch", "saves": saves, "mark": mark}
        for saves, mark in (("no", 10), ("epoch", 20))
    ]
    with ThreadPoolExecutor() as pool:
        paused = list(pool.map(lambda trial, config: trial.run(config, pause=True), trials, configs))
        assert [list(run.checkpoints) for run in paused] == [[1], [1]], [run.output for run in paused]
        saved = [(1, run.checkpoints[1]) for run in paused]
        resumed = list(pool.map(lambda trial, config, at: trial.run(config, resume=at), trials, configs, saved))
    for run, mark in zip(resumed, (10, 20), strict=True):
        assert run.code == 0, run.output
        assert f"mark: {mark}\n" in run.output
        assert "left over: ['digits-1']" in run.output
