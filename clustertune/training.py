"""What a training program calls: it reports, saves, and learns its configuration. Standard library only.

Under clustertune, reports travel over a local socket to the agent; elsewhere they are printed, so the same program
runs by hand. Modules that cost milliseconds to import are imported at the first use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, Any

from clustertune.channel import Channel, is_silent, not_too_high, shown

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from clustertune.saving import Checkpoint


class Infeasible(Exception):
    """Raise it where a configuration cannot be: the trial counts as infeasible, not as failed."""


class Stopped(BaseException):
    """Raised in the main thread of a callable that is to end now; catch it only to clean up."""


def report(step: int | None = None, /, **metrics: Any) -> None:
    """Reports metric values at a resource level.

    ``step`` is a positive integer up to 2**53 (an epoch, a step); without it, the last one plus 1. Values are
    numbers, or anything that ``float()`` takes without being text: NumPy and torch scalars too. Returns at once; from
    any thread.

    Raises TypeError or ValueError, which name the metric and what was found.
    """
    _channel.report(_level(step, metrics), {name: _number(name, value) for name, value in metrics.items()})


def config(default: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The configuration of this trial.

    Outside of clustertune: a copy of ``default``, and without one a RuntimeError that says what to do.
    """
    path = os.environ.get("CLUSTERTUNE_CONFIG")
    if path is None:
        if default is not None:
            return dict(default)
        raise RuntimeError(
            "config() finds no configuration: CLUSTERTUNE_CONFIG is not set. "
            "Run this program with `clustertune tune`, or pass values to run it by hand with: config(default={...})"
        )
    import json

    with open(path, encoding="utf-8") as file:
        return dict(json.load(file))


def target() -> int | None:
    """The resource level that this attempt is to reach now; None where there is none. A scheduler may move it."""
    return _channel.target


def should_checkpoint() -> bool:
    """Whether a checkpoint is wanted now. Costs microseconds: ask at every step. False outside of clustertune."""
    if "CLUSTERTUNE_SAVE" not in os.environ or is_silent():
        return False
    from clustertune import saving

    _channel.ask()
    wanted = saving.save_request()
    return wanted is not None and wanted != _channel.answered_save


def new_checkpoint(step: int | None = None) -> AbstractContextManager[Path]:
    """A folder to save to: ``with new_checkpoint(epoch) as path: …``. It counts once the block is left, and only then.

    ``step`` is its resource level; without it, the last reported one. Where the trial is to pause, leaving the block
    raises Stopped. An exception inside leaves no checkpoint behind; but where the disk is full, that is told, and the
    trial goes on without this checkpoint (if it is to pause, until SIGTERM comes). In a group of processes all fill
    the same folder: have them wait for each other before rank 0 leaves the block. Outside of clustertune:
    ``checkpoints/STEP``, the newest only.
    """
    from clustertune import saving

    level = _positive(step) if step is not None else _channel.last_level
    if not level:
        raise ValueError("new_checkpoint() needs a step, as in new_checkpoint(3): nothing was reported yet")
    if "CLUSTERTUNE_SAVE" in os.environ and not is_silent():
        _channel.ask()
    return saving.new_checkpoint(not_too_high(level), _channel, Stopped)


def latest_checkpoint() -> Checkpoint | None:
    """What this attempt is to go on from (``path``, ``resource``); None where it begins anew."""
    from clustertune import saving

    return saving.latest()


def new_result() -> AbstractContextManager[Path]:
    """A folder for what the trial is to be remembered by: ``with new_result() as path: …``. The last one counts.

    Outside of clustertune: ``result``.
    """
    from clustertune import saving

    return saving.new_result(_channel)


def describe(**facts: Any) -> None:
    """Keeps texts or numbers with the trial: where its data came from, say. Nothing happens outside of clustertune."""
    told = {name: _fact(name, value) for name, value in facts.items()}
    if told and "CLUSTERTUNE_SOCKET" in os.environ and not is_silent():
        _channel.tell({"describe": told})


def _fact(name: str, value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if hasattr(type(value), "__float__") or hasattr(type(value), "__index__"):
        return str(value)
    raise TypeError(f"{name!r} must be a text or a number, found {shown(value)} ({type(value).__name__})")


def _level(step: int | None, metrics: Mapping[str, Any]) -> int | None:
    if not metrics:
        raise TypeError("report() needs at least one metric, as in report(3, validation_error=0.12)")
    if "step" in metrics:
        raise TypeError("the step comes first and without a name: report(3, validation_error=0.12)")
    return None if step is None else _positive(step)


def _positive(step: int) -> int:
    try:
        level = index(step)
    except TypeError:
        level = 0
    if level < 1 or isinstance(step, bool):
        raise (ValueError if level and not isinstance(step, bool) else TypeError)(
            f"the step must be a positive integer, found {shown(step)} ({type(step).__name__})"
        ) from None
    return level


def _number(name: str, value: Any) -> float:
    if type(value) is float:
        return value
    kind = type(value)
    if not (hasattr(kind, "__float__") or hasattr(kind, "__index__")):
        raise TypeError(f"metric {name!r} must be a number, found {shown(value)} ({kind.__name__})")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"metric {name!r} must be one number, found {shown(value)} ({kind.__name__})") from error


_channel = Channel()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_channel.begin_anew)


def _tell_end(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None, /, then: Any = sys.excepthook
) -> None:
    """A command that ends by an uncaught Infeasible says so before Python prints it, and by Stopped instead of it."""
    if issubclass(kind, Stopped):
        _channel.tell({"stopped": str(error)})
        return
    if issubclass(kind, Infeasible):
        _channel.tell({"infeasible": str(error)})
    then(kind, error, traceback)


if "CLUSTERTUNE_SOCKET" in os.environ:
    sys.excepthook = _tell_end
