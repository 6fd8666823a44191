"""What a training program calls: it reports its metrics and learns its configuration. Standard library only.

Under clustertune, reports travel over a local socket to the agent; elsewhere they are printed, so the same program
runs by hand. Modules that cost milliseconds to import are imported at the first use.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

_LARGEST_LEVEL = 2**53
"""As `clustertune.model.trial` has it, whose import would cost more than all of this module."""


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
    """The resource level that this attempt is to reach now; None where there is none."""
    text = os.environ.get("CLUSTERTUNE_TARGET")
    return int(text) if text else None


def _level(step: int | None, metrics: Mapping[str, Any]) -> int | None:
    if not metrics:
        raise TypeError("report() needs at least one metric, as in report(3, validation_error=0.12)")
    if "step" in metrics:
        raise TypeError("the step comes first and without a name: report(3, validation_error=0.12)")
    if step is None:
        return None
    try:
        level = index(step)
    except TypeError:
        level = 0
    if level < 1 or isinstance(step, bool):
        raise (ValueError if level and not isinstance(step, bool) else TypeError)(
            f"the step must be a positive integer, found {_shown(step)} ({type(step).__name__})"
        ) from None
    return level


def _not_too_high(level: int) -> int:
    if level > _LARGEST_LEVEL:
        raise ValueError(
            f"the step must be a positive integer up to 2**53 ({_LARGEST_LEVEL}), found {_shown(level)}; "
            "a coarser unit (epochs, thousands of examples) fits"
        )
    return level


def _number(name: str, value: Any) -> float:
    if type(value) is float:
        return value
    kind = type(value)
    if not (hasattr(kind, "__float__") or hasattr(kind, "__index__")):
        raise TypeError(f"metric {name!r} must be a number, found {_shown(value)} ({kind.__name__})")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"metric {name!r} must be one number, found {_shown(value)} ({kind.__name__})") from error


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than a few thousand digits
        text = f"an integer of {index(value).bit_length()} bits" if isinstance(value, int) else object.__repr__(value)
    return text if len(text) <= 60 else text[:57] + "..."


class _Channel:
    """This process's connection to the agent: newline-delimited JSON, opened at the first line."""

    def __init__(self) -> None:
        self.reports = 0
        self.last_level = 0
        self._warned = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def begin_anew(self) -> None:
        """A forked child must not write on its parent's connection, nor wait for a lock of a thread left behind."""
        self._lock = threading.Lock()
        self._drop()

    def report(self, level: int | None, metrics: dict[str, float]) -> None:
        """Sends one report; blocks only while the agent cannot take more, which bounds memory."""
        with self._lock:
            level = _not_too_high(self.last_level + 1 if level is None else level)
            self.last_level, self.reports = level, self.reports + 1
            if "CLUSTERTUNE_SOCKET" in os.environ:
                self._send({"step": level, "metrics": metrics})
                return
        shown = " ".join(f"{name}={value:.6g}" for name, value in metrics.items())
        print(f"step {level}: {shown}", flush=True)

    def tell(self, line: Mapping[str, object]) -> None:
        """Sends any other line that the agent knows: how the callable ended."""
        with self._lock:
            self._send(line)

    def _send(self, line: Mapping[str, object]) -> None:
        import json

        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            if self._socket is None:
                self._socket = self._connect()
            self._socket.sendall(data)
        except OSError as error:
            self._drop()
            self._warn(error)
        except BaseException:
            # Interrupted in the middle of a line: what follows must not be glued to it.
            self._drop()
            raise

    def _connect(self) -> socket.socket:
        import json
        import socket

        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(os.environ["CLUSTERTUNE_SOCKET"])
            who = {"attempt": os.environ.get("CLUSTERTUNE_ATTEMPT"), "key": os.environ.get("CLUSTERTUNE_KEY")}
            connection.sendall(json.dumps(who).encode() + b"\n")
        except BaseException:
            connection.close()
            raise
        return connection

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            sys.stderr.write(f"clustertune: the agent does not answer ({error}); reports are no longer recorded\n")


_channel = _Channel()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_channel.begin_anew)


def _tell_infeasible(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None, /, then: Any = sys.excepthook
) -> None:
    """A command that ends by an uncaught Infeasible says so before Python prints it."""
    if issubclass(kind, Infeasible):
        _channel.tell({"infeasible": str(error)})
    then(kind, error, traceback)


if "CLUSTERTUNE_SOCKET" in os.environ:
    sys.excepthook = _tell_infeasible
