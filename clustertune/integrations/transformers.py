"""A callback for the Trainer of HuggingFace transformers.

    trainer = Trainer(..., callbacks=[ClustertuneCallback()])
    trainer.train(resume_from_checkpoint=resume_from())

Reports after each evaluation, or where there is none at the end of each epoch; the metrics are those that the Trainer
logs (``eval_loss``, ``loss``, …). Saves with the Trainer's own saving when a checkpoint is wanted: model, optimizer,
schedule and random states. Trials share their working directory: each saves in a folder of its own in ``output_dir``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

import clustertune

_NOT_METRICS = ("epoch", "step", "total_flos")


class ClustertuneCallback(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """``resource``: what the levels of the experiment count, epochs or optimizer steps."""

    def __init__(self, resource: Literal["epoch", "step"] = "epoch") -> None:
        if resource not in ("epoch", "step"):
            raise ValueError(f"resource must be 'epoch' or 'step', found {resource!r}")
        self._resource = resource
        self._logged: dict[str, float] = {}
        self._asked = False

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Gives the Trainer a folder of the trial's own."""
        del state, control, more
        _separate(args)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Where the Trainer was made before the trial was, in the process that all trials are forks of."""
        del state, control, more
        _separate(args)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """Keeps what the Trainer logs for the next report."""
        del args, state, control, more
        self._logged.update(_numbers(logs or {}))

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> TrainerControl:
        """Reports, and has the Trainer save where a checkpoint is wanted."""
        del args, more
        self._logged.update(_numbers(metrics or {}))
        return self._report(state, control)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        """Where nothing is evaluated, epochs are what there is to report."""
        del more
        evaluates = getattr(args.eval_strategy, "value", args.eval_strategy) != "no"
        return control if evaluates else self._report(state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Hands over a copy of what was saved; ends the process where this trial is paused."""
        del control, more
        if not self._asked:
            return
        self._asked = False
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if dist.is_initialized():
            dist.barrier()  # the others write their random states into it
        with clustertune.new_checkpoint(self._level(state)) as directory:
            if state.is_world_process_zero:
                shutil.copytree(saved, directory / saved.name)
                if getattr(args.save_strategy, "value", args.save_strategy) == "no":
                    shutil.rmtree(saved)  # only we asked for it
                    _remove_if_empty(saved.parent)

    def _report(self, state: TrainerState, control: TrainerControl) -> TrainerControl:
        if self._logged and state.is_world_process_zero:
            clustertune.report(self._level(state), **self._logged)
        self._logged = {}
        if _everywhere(clustertune.should_checkpoint()):
            self._asked = control.should_save = True
        return control

    def _level(self, state: TrainerState) -> int:
        return max(1, round(state.epoch or 0)) if self._resource == "epoch" else state.global_step


def resume_from() -> str | None:
    """What ``Trainer.train(resume_from_checkpoint=…)`` wants: the folder to go on from, None at the beginning."""
    saved = clustertune.latest_checkpoint()
    if saved is None:
        return None
    return next((str(path) for path in sorted(saved.path.glob("checkpoint-*"))), None)


def _own_folder() -> str:
    """What the trial's folder is called, the same for all of its attempts; empty outside of clustertune."""
    return os.environ.get("CLUSTERTUNE_ATTEMPT", "").rpartition(":")[0].replace(":", "-")


def _separate(args: TrainingArguments) -> None:
    own = _own_folder()
    if own and Path(args.output_dir).name != own:
        args.output_dir = str(Path(args.output_dir) / own)


def _remove_if_empty(folder: Path) -> None:
    if folder.name == _own_folder():
        with suppress(OSError):
            folder.rmdir()


def _everywhere(wanted: bool) -> bool:
    """Processes of a group save together, so all must know: rank 0 is the one that is told."""
    if not dist.is_initialized():
        return wanted
    told = [wanted]
    dist.broadcast_object_list(told, src=0)
    return told[0]


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in logs.items()
        if (type(value) is int or isinstance(value, float)) and name not in _NOT_METRICS
    }
