"""A trial's connection to its agent: lines of JSON there, and the few that come back. Standard library only."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from operator import index
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

LARGEST_LEVEL = 2**53
"""As `clustertune.model.trial` has it, whose import would cost more than all of this module."""

_ANSWER_S = 30.0
"""How long a report at the target waits for the scheduler's decision; then the trial goes on."""

_READ_BYTES = 4096


def in_group() -> bool:
    """Whether this trial is a group of processes: one that the agent started, or torchrun as the trial's command."""
    return "CLUSTERTUNE_PROCESSES" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ


def is_silent() -> bool:
    """Whether this is another process of a group than rank 0, which speaks for all."""
    return in_group() and os.environ.get("RANK", "0") != "0"


class Channel:
    """This process's connection to the agent, opened at the first line."""

    def __init__(self) -> None:
        self.reports = 0
        self.answered_save: tuple[int, int] | None = None  # the request for a checkpoint that was answered last
        self._last_level = 0
        self._target: int | None = None
        self._target_moved = False
        self._told_to_end = False
        self._gave_up_at: int | None = None  # the target whose decision did not come in time
        self._asks = False
        self._warned = False
        self._socket: socket.socket | None = None
        self._heard = b""
        self.begin_anew()

    def begin_anew(self) -> None:
        """A forked child must not write on its parent's connection, nor wait for a lock of a thread left behind."""
        self._lock = threading.Lock()
        self._listening = threading.Lock()
        self._drop()

    @property
    def last_level(self) -> int:
        """The last one reported; before, the one that this attempt goes on from, or 0."""
        return self._last_level or int(os.environ.get("CLUSTERTUNE_CHECKPOINT_LEVEL", "0"))

    @property
    def target(self) -> int | None:
        if self._target_moved:
            return self._target
        text = os.environ.get("CLUSTERTUNE_TARGET")
        return int(text) if text else None

    def report(self, level: int | None, metrics: dict[str, float]) -> None:
        """Sends one report; blocks while the agent cannot take more, which bounds memory, and at the target."""
        with self._lock:
            level = not_too_high(self.last_level + 1 if level is None else level)
            self._last_level, self.reports = level, self.reports + 1
            if is_silent():
                return
            if "CLUSTERTUNE_SOCKET" not in os.environ:
                shown = " ".join(f"{name}={value:.6g}" for name, value in metrics.items())
                print(f"step {level}: {shown}", flush=True)
                return
            waits = "CLUSTERTUNE_PAUSES" in os.environ and self._has_to_wait(level)
            self._send({"step": level, "metrics": metrics, **({"waits": True} if waits else {})})
        if waits:
            self._await_decision(level)

    def ask(self) -> None:
        """Lets the agent know, once, that this program can be asked for a checkpoint."""
        if not self._asks:
            self._asks = True
            self.tell({"asks": True})

    def tell(self, line: Mapping[str, object]) -> None:
        """Sends any other line that the agent knows, where there is one."""
        if "CLUSTERTUNE_SOCKET" in os.environ:
            with self._lock:
                self._send(line)

    def _has_to_wait(self, level: int) -> bool:
        if self._gave_up_at is not None:
            self._listen(0)  # for what came too late
        target = self.target
        return target is not None and level >= target != self._gave_up_at and not self._told_to_end

    def _await_decision(self, level: int) -> None:
        import time

        with self._listening:
            until_s = time.monotonic() + _ANSWER_S
            while self._has_to_wait(level):
                if not self._listen(max(0.0, until_s - time.monotonic())):
                    self._gave_up_at = self.target

    def _listen(self, patience_s: float) -> bool:
        """Takes what the agent answered; False where nothing came."""
        import select

        connection = self._socket
        try:
            if connection is None:
                return False
            poller = select.poll()
            poller.register(connection, select.POLLIN)
            data = connection.recv(_READ_BYTES) if poller.poll(patience_s * 1000) else b""
        except (OSError, ValueError):  # ValueError: another thread has just closed it
            return False
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            self._hear(line)
        return bool(data)

    def _hear(self, line: bytes) -> None:
        import json

        told = json.loads(line)
        if "go" in told:
            self._target, self._target_moved = told["go"], True
        elif "end" in told:
            self._told_to_end = True

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

        connection = _beyond_output(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
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
        self._socket, self._heard = None, b""

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            sys.stderr.write(f"clustertune: the agent does not answer ({error}); reports are no longer recorded\n")


def _beyond_output(connection: socket.socket) -> socket.socket:
    """A program that closed its output would else print into the reports."""
    if connection.fileno() > 2:
        return connection
    import fcntl
    import socket

    with connection:
        return socket.socket(fileno=fcntl.fcntl(connection.fileno(), fcntl.F_DUPFD_CLOEXEC, 3))


def not_too_high(level: int) -> int:
    """Raises ValueError."""
    if level > LARGEST_LEVEL:
        raise ValueError(
            f"the step must be a positive integer up to 2**53 ({LARGEST_LEVEL}), found {shown(level)}; "
            "a coarser unit (epochs, thousands of examples) fits"
        )
    return level


def shown(value: object) -> str:
    """A value in an error, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than a few thousand digits
        text = f"an integer of {index(value).bit_length()} bits" if isinstance(value, int) else object.__repr__(value)
    return text if len(text) <= 60 else text[:57] + "..."
