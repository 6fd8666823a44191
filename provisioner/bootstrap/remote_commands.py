"""Commands over one connection: many at once, fed and heard while they run, ended when nobody waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Callable

import asyncssh

from clustertune.model.errors import ProviderTransient
from clustertune.provisioner.bootstrap.pacing import PIECE_BYTES, Pace
from clustertune.provisioner.bootstrap.remote import Ran

MOST_AT_ONCE = 8  # sshd allows 10 sessions a connection where it is not told otherwise
KEPT_BYTES = 4 << 20
"""Of a command's output, and of its errors, the end is kept."""

MOST_REFUSALS, REFUSED_S = 15, 0.05
NO_COMMANDS = "the machine's sshd starts no command (is its MaxSessions too low?)"
READ_BYTES = 256 << 10
GRACE_S = 2.0

_Process = asyncssh.SSHClientProcess[bytes]


class Commands:
    """``lost`` is done when the connection is gone, and says why."""

    def __init__(self, ssh: asyncssh.SSHClientConnection, lost: asyncio.Future[str], pace: Pace) -> None:
        self._ssh, self._lost, self._pace = ssh, lost, pace
        self._running, self._most = 0, MOST_AT_ONCE
        self._freed = asyncio.Condition()

    async def run(
        self, command: str, given: bytes | AsyncIterable[bytes], heard: Callable[[bytes], None] | None
    ) -> Ran:
        async with self._slot():
            process = await self._start(command)
            try:
                return await self._follow(process, given, heard)
            except BaseException:
                await _end(process)
                raise

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        async with self._freed:
            await self._freed.wait_for(lambda: self._running < self._most)
            self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            async with self._freed:
                self._freed.notify_all()

    async def _start(self, command: str) -> _Process:
        for refusals in itertools.count(1):
            try:
                return await self._ssh.create_process(command, encoding=None)
            except asyncssh.ChannelOpenError as error:
                if self._lost.done() or refusals == MOST_REFUSALS:
                    raise self._gone(f"{NO_COMMANDS}: {error.reason}") from error
                # It counts a command for a little longer than it runs.
                await (self._learn_bound() if self._running > 1 else asyncio.sleep(REFUSED_S * refusals))
            except (asyncssh.Error, OSError) as error:
                raise self._gone(f"the connection was lost: {error}") from error
        raise AssertionError

    async def _learn_bound(self) -> None:
        """This sshd allows fewer at once than others do: waits until one has ended."""
        async with self._freed:
            self._most = max(1, min(self._most, self._running - 1))
            self._running -= 1
            await self._freed.wait_for(lambda: self._running < self._most)
            self._running += 1

    async def _follow(
        self, process: _Process, given: bytes | AsyncIterable[bytes], heard: Callable[[bytes], None] | None
    ) -> Ran:
        output, errors = _Tail(), _Tail()
        try:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(_feed(process, given, self._pace))
                group.create_task(_read(process.stdout, output.add))
                group.create_task(_read(process.stderr, errors.add, *([heard] if heard else [])))
                await process.wait_closed()
                feeding.cancel()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        if process.exit_status is None:
            raise self._gone("the connection was lost while a command ran there")
        return Ran(None if process.exit_signal else process.exit_status, output.end(), errors.end())

    def _gone(self, otherwise: str) -> ProviderTransient:
        return ProviderTransient(f"the connection was lost: {self._lost.result()}" if self._lost.done() else otherwise)


class _Tail:
    """The end of what was read, bounded."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def add(self, data: bytes) -> None:
        self.kept += data
        if len(self.kept) > 2 * KEPT_BYTES:
            self._cut()

    def end(self) -> bytes:
        self._cut()
        return bytes(self.kept)

    def _cut(self) -> None:
        del self.kept[: max(0, len(self.kept) - KEPT_BYTES)]


async def _feed(process: _Process, given: bytes | AsyncIterable[bytes], pace: Pace) -> None:
    """What a command does not want to read any more is not sent."""
    async for piece in _in_pieces(given):
        try:
            process.stdin.write(piece)
            await process.stdin.drain()
        except (OSError, asyncssh.Error):
            return
        await pace.catch_up()
    with contextlib.suppress(OSError, asyncssh.Error):
        process.stdin.write_eof()


async def _in_pieces(given: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    async for data in _alone(given) if isinstance(given, bytes) else given:
        for start in range(0, len(data), PIECE_BYTES):
            yield data[start : start + PIECE_BYTES]


async def _alone(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _read(source: asyncssh.SSHReader[bytes], *listeners: Callable[[bytes], None]) -> None:
    """Until the end, be it that of the connection, which whoever follows the command finds out."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(READ_BYTES):
            for listener in listeners:
                listener(data)


async def _end(process: _Process) -> None:
    """sshd signals the command's whole process group; what does not end for it is killed."""
    with contextlib.suppress(OSError, asyncssh.Error):
        try:
            process.terminate()
            async with asyncio.timeout(GRACE_S):
                await process.wait_closed()
        except TimeoutError:
            process.kill()
        finally:
            process.close()
