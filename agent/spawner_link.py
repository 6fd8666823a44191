"""One spawner process, as the agent sees it: started, told what to start, heard when something ends."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clustertune.agent import processes
from clustertune.agent.leftovers import Records

_SPAWNER = "from clustertune.agent.spawner import main; main()"
_READ_BYTES = 64 * 1024
_PRINTED_BYTES = 64 * 1024
_GRACE_S = 0.2
_WAIT_S = 5.0
_BURIAL_POLL_S = 0.002
_OF_ITS_END = {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN}
_CLOSED = "it closed the connection to the agent while it was imported (leave file descriptors above 2 open)"


class CannotStart(Exception):
    """The program is not there, or cannot be imported. ``error`` is one line; ``traceback`` explains it."""

    def __init__(self, error: str, traceback: str = "") -> None:
        self.error, self.traceback = error, traceback
        super().__init__(error)


class SpawnerLost(Exception):
    """The process that was to start a trial ended before it did: nothing that the program can help."""


@dataclass(frozen=True)
class Exit:
    """How a trial's process ended. ``lost`` says why nobody can know; ``survivors`` could not be killed."""

    code: int | None = None
    signal: int | None = None
    survivors: int = 0
    lost: str = ""


@dataclass(frozen=True, eq=False)
class _Piece:
    """What is sent at once. ``handed_over`` counts the descriptors that went before, of the same order."""

    data: bytes
    descriptors: Sequence[int]
    attempt: str
    of_start: bool
    handed_over: int


class Child:
    """A trial's process: the leader of a session and a process group of its own."""

    def __init__(self, attempt: str, spawner: SpawnerLink, loop: asyncio.AbstractEventLoop) -> None:
        self.attempt = attempt
        self.pid = 0
        self.started: asyncio.Future[None] = loop.create_future()
        self.exited: asyncio.Future[Exit] = loop.create_future()
        self._spawner = spawner

    def signal(self, number: int) -> None:
        """To the whole group; nothing happens where it has ended."""
        self._spawner.tell({"do": "signal", "attempt": self.attempt, "number": number})

    def signal_leader(self, number: int) -> None:
        """To the program's first process alone."""
        self._spawner.tell({"do": "signal", "attempt": self.attempt, "number": number, "leader": True})


class SpawnerLink:
    """Starts the process at once; ``ready`` resolves when it can start trials, or fails with CannotStart."""

    def __init__(
        self, python: str, environment: Mapping[str, str], sdk: Path, prepare: Mapping[str, str], records: Records
    ) -> None:
        """``prepare`` has ``call`` and ``workdir`` for a warm parent, nothing for commands. Raises CannotStart.

        ``waiting`` counts who waits for it to be ready, or has not yet started a trial with it: see ``release``.
        """
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        # Nobody may be left to ask, when all attempts that waited were stopped.
        self.ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self.unsafe = ""
        self.files: list[tuple[str, int, int]] = []
        self.children: dict[str, Child] = {}
        self.idle_since_s = self._loop.time()
        self.waiting = 0
        self.is_warm_parent = "call" in prepare
        self.ended = asyncio.Event()
        self.on_end: Callable[[], None] = lambda: None
        self.on_idle: Callable[[], None] = lambda: None
        self._outgoing: deque[_Piece] = deque()
        self._buffer = b""
        self._printed = b""
        self._records = records
        self._burials: set[asyncio.Task[None]] = set()
        self.alive = True
        self._launch(python, environment, sdk)
        self.tell({"do": "prepare", **prepare})

    def _launch(self, python: str, environment: Mapping[str, str], sdk: Path) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        printed, write_end = os.pipe()
        try:
            # Started in the SDK's folder: the user's modules must not stand in for what the spawner imports.
            self._process = subprocess.Popen(
                [python, "-c", _SPAWNER, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=write_end, stderr=write_end, cwd=sdk, env=dict(environment),
                pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:  # ValueError: what no environment can hold, such as a null byte
            self._link.close()
            os.close(printed)
            self.alive = False
            why = error.strerror if isinstance(error, OSError) else error
            raise CannotStart(f"the interpreter {python} cannot be run: {why}") from error
        finally:
            theirs.close()
            os.close(write_end)
        self._records.add(self._process.pid)
        self._link.setblocking(False)
        os.set_blocking(printed, False)
        self._printed_fd: int | None = printed
        self._loop.add_reader(self._link, self._on_readable)
        self._loop.add_reader(printed, self._on_printed)

    @property
    def usable(self) -> bool:
        """Whether it can start trials now."""
        return self.alive and self.ready.done() and self.ready.exception() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def take_printed(self) -> str:
        """What the import printed, the last of it; the second time nothing."""
        while self._on_printed():
            pass
        printed, self._printed = self._printed.decode(errors="replace"), b""
        return printed

    async def start(self, order: Mapping[str, Any], *outputs: int) -> Child:
        """Starts a trial whose output goes to ``outputs``, one for each of its processes.

        Closes them. Raises CannotStart or SpawnerLost.
        """
        child = Child(order["attempt"], self, self._loop)
        if not self.alive:
            _close(outputs)
            raise SpawnerLost("the process that starts trials has just ended")
        self.children[child.attempt] = child
        self.tell({"do": "start", "outputs": len(outputs), **order}, outputs)
        await child.started
        return child

    def tell(self, order: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Sends an order, and descriptors along with it; never blocks."""
        if not self.alive:
            return
        was_idle = not self._outgoing
        self._outgoing.extend(_in_pieces(order, descriptors))
        if was_idle:
            self._send()

    def _send(self) -> None:
        self._loop.remove_writer(self._link)
        while self._outgoing:
            piece = self._outgoing[0]
            try:
                sent = self._send_some(piece.data, piece.descriptors)
            except BlockingIOError:
                self._loop.add_writer(self._link, self._send)
                return
            except OSError as error:
                if error.errno in _OF_ITS_END or not piece.descriptors:
                    return  # it ended; the end of the link says so to who reads it
                self._give_up(piece, error)
                continue
            _close(piece.descriptors)
            self._outgoing.popleft()
            if sent < len(piece.data):
                self._outgoing.appendleft(replace(piece, data=piece.data[sent:], descriptors=()))

    def _give_up(self, piece: _Piece, error: OSError) -> None:
        """The rest of an order whose descriptors cannot be handed over; those that were before are taken back."""
        rest = [each for each in self._outgoing if each.attempt == piece.attempt and each.of_start]
        for each in rest:
            self._outgoing.remove(each)
            _close(each.descriptors)
        if piece.handed_over:
            self._outgoing.extendleft(reversed(_in_pieces({"do": "drop", "outputs": piece.handed_over}, ())))
        why = f"what its processes write to cannot be handed over: {error.strerror}; fewer processes may do"
        self._drop(piece.attempt).started.set_exception(CannotStart(why))

    def _send_some(self, data: bytes, descriptors: Sequence[int]) -> int:
        if not descriptors:
            return self._link.send(data)
        return socket.send_fds(self._link, [data], list(descriptors))

    def _on_readable(self) -> None:
        try:
            data = self._link.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def _hear(self, told: dict[str, Any]) -> None:
        say = told["say"]
        if say == "ready":
            self.unsafe, self.files = told["unsafe"], [(path, time, size) for path, time, size in told["files"]]
            self.ready.set_result(None)
        elif say == "failed":
            self.ready.set_exception(CannotStart(told["error"], told["traceback"]))
        elif say == "started":
            child = self.children[told["attempt"]]
            child.pid = told["pid"]
            self._records.add(child.pid, told["start_time"])
            child.started.set_result(None)
        elif say == "unstartable":
            self._drop(told["attempt"]).started.set_exception(CannotStart(told["error"]))
        elif say == "exited":
            child = self._drop(told["attempt"])
            self._records.remove(child.pid)
            child.exited.set_result(Exit(told["code"], told["signal"], told["survivors"]))

    def _drop(self, attempt: str) -> Child:
        child = self.children.pop(attempt)
        self._rest()
        return child

    def release(self) -> None:
        """One of those that are counted as ``waiting`` has started its trial, or never will."""
        self.waiting -= 1
        self._rest()

    def _rest(self) -> None:
        self.idle_since_s = self._loop.time()
        if not self.children and not self.waiting:
            self.on_idle()

    def _on_printed(self) -> bool:
        if self._printed_fd is None:
            return False
        try:
            data = os.read(self._printed_fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close_printed()
        self._printed = (self._printed + data)[-_PRINTED_BYTES:]
        return bool(data)

    def _close_printed(self) -> None:
        if self._printed_fd is not None:
            self._loop.remove_reader(self._printed_fd)
            os.close(self._printed_fd)
            self._printed_fd = None

    def _end(self) -> None:
        """The process is gone, or wants to be: its trials are lost."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._link)
        self._loop.remove_writer(self._link)
        self._link.close()
        for piece in self._outgoing:
            _close(piece.descriptors)
        status, by_itself = self._wait()
        why = f"the process that starts trials {describe_status(status)}"
        self._records.remove(self._process.pid)
        if not self.ready.done():
            # Who lives on without the link can only have closed it.
            problem = _CLOSED if status == processes.LINK_CLOSED or not by_itself else why
            self.ready.set_exception(CannotStart(f"the module could not be imported: {problem}", self.take_printed()))
        for child in list(self.children.values()):
            self._lose(child, why)
        self._close_printed()
        self.ended.set()
        self.on_end()

    def _lose(self, child: Child, why: str) -> None:
        self._drop(child.attempt)
        if not child.started.done():
            child.started.set_exception(SpawnerLost(why))
            return
        burial = asyncio.ensure_future(self._bury(child, f"{why}, and its trials with it"))
        self._burials.add(burial)
        burial.add_done_callback(self._burials.discard)

    async def _bury(self, child: Child, why: str) -> None:
        deadline_s, survivors = self._loop.time() + _WAIT_S, 1
        while survivors and self._loop.time() < deadline_s:
            if survivors := self._records.kill_session(child.pid):
                await asyncio.sleep(_BURIAL_POLL_S)
        self._records.remove(child.pid)
        child.exited.set_result(Exit(lost=why, survivors=survivors))

    def _wait(self) -> tuple[int, bool]:
        """Its status, and whether it ended by itself: the link ends just before the process does."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_GRACE_S), True
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_WAIT_S), False
        return -signal.SIGKILL, False

    def close(self) -> None:
        """Ends the process, and with it whatever it started."""
        if self.alive:
            with suppress(OSError):
                self._link.shutdown(socket.SHUT_WR)
            if not self.ready.done():
                self._process.kill()  # importing: it would not look before that is done


def _in_pieces(order: Mapping[str, Any], descriptors: Sequence[int]) -> list[_Piece]:
    """Empty lines with the first descriptors, where there are many, then the order with the rest."""
    pieces, attempt = list[_Piece](), order.get("attempt", "")
    of_start = order["do"] == "start"
    line = json.dumps(order).encode() + b"\n"
    for first in range(0, max(len(descriptors), 1), processes.MOST_DESCRIPTORS):
        some = descriptors[first : first + processes.MOST_DESCRIPTORS]
        is_last = first + processes.MOST_DESCRIPTORS >= len(descriptors)
        pieces.append(_Piece(line if is_last else b"\n", some, attempt, of_start, first))
    return pieces


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)


def describe_status(status: int) -> str:
    """A subprocess's status in words."""
    if status >= 0:
        return f"ended with exit code {status}"
    return f"was killed (signal {-status})"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
