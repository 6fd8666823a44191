"""A callback for the Trainer of Lightning.

    trainer = Trainer(..., callbacks=[ClustertuneCallback()])
    trainer.fit(model, ..., ckpt_path=resume_from())

Reports at the end of each training epoch, validation included, everything that was logged with ``self.log``. Saves
with the Trainer's own saving when a checkpoint is wanted: model, optimizers, schedules and loops.
"""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

import clustertune

_FILE = "lightning.ckpt"


class ClustertuneCallback(Callback):  # type: ignore[misc] # its types are not read here
    """Levels of the experiment are epochs, from 1 on."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports, and saves where a checkpoint is wanted; ends the process where this trial is paused."""
        del pl_module
        level = trainer.current_epoch + 1
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if _is_number(value)}
        if metrics and trainer.is_global_zero:
            clustertune.report(level, **metrics)
        # All processes save together, so all must know: rank 0 is the one that is told.
        if trainer.strategy.broadcast(clustertune.should_checkpoint(), 0):
            with clustertune.new_checkpoint(level) as directory:
                trainer.save_checkpoint(directory / _FILE)


def resume_from() -> str | None:
    """What ``Trainer.fit(ckpt_path=…)`` wants: the file to go on from, None at the beginning."""
    saved = clustertune.latest_checkpoint()
    return str(saved.path / _FILE) if saved is not None else None


def _is_number(value: Any) -> bool:
    return getattr(value, "numel", lambda: 1)() == 1
