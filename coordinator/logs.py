"""Brings the logs of ended attempts home, and reads those of running ones where they are."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from clustertune.coordinator.agent_link import AgentLink
from clustertune.coordinator.places import Places
from clustertune.model.messages import MAX_LOG_CHUNK_BYTES, Forget
from clustertune.model.snapshot import LogPage
from clustertune.model.trial import Ending, split_attempt_id

_AT_ONCE = 4
_SETTLE_S = 10.0


class Logs:
    """Logs by attempt. What an agent sent whole with its last message is written as it came; the rest is pulled."""

    def __init__(self, places: Places, link: AgentLink) -> None:
        self._places = places
        self._link = link
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._pending: set[str] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def collect(self, instance: str, attempt: str, ending: Ending) -> None:
        """Keeps the attempt's log under the experiment's folder, and lets the agent forget it."""
        self._pending.add(attempt)
        self._idle.clear()
        try:
            async with self._slots:
                if await self._bring(instance, attempt, ending):
                    self._link.send(instance, Forget(attempts=(attempt,)))
        except OSError:
            # A full disk: the log stays with the agent, and is read there.
            return
        finally:
            self._pending.discard(attempt)
            if not self._pending:
                self._idle.set()

    async def settled(self) -> None:
        """Returns when nothing is on its way, or after a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await self._idle.wait()

    async def read(self, instance: str, attempt: str, offset: int, limit: int) -> LogPage:
        """A page of a log, from disk if it is home, else from the agent; a negative offset counts from the end."""
        path = self._path(attempt)
        if path.exists():
            return await asyncio.to_thread(_read_page, path, attempt, offset, limit)
        connection = self._link.connection(instance)
        chunk = await connection.read_log(attempt, offset, min(limit, MAX_LOG_CHUNK_BYTES)) if connection else None
        if chunk is None:
            start = max(offset, 0)
            why = "it said nothing" if connection else "its machine is not connected"
            return LogPage(attempt=attempt, offset=start, next_offset=start, text="", end=not connection, missing=why)
        return LogPage(
            attempt=attempt, offset=chunk.offset, next_offset=chunk.next_offset, text=chunk.text, end=chunk.end
        )

    async def _bring(self, instance: str, attempt: str, ending: Ending) -> bool:
        path = self._path(attempt)
        if not ending.log_bytes:
            return True
        if ending.log_bytes == len(ending.log_tail.encode()):
            await asyncio.to_thread(_write, path, [ending.log_tail])
            return True
        connection = self._link.connection(instance)
        if connection is None:
            return False
        pages: list[str] = []
        offset = 0
        while offset < ending.log_bytes:
            chunk = await connection.read_log(attempt, offset, MAX_LOG_CHUNK_BYTES)
            if chunk is None or chunk.next_offset <= offset:
                return False
            pages.append(chunk.text)
            offset = chunk.next_offset
        await asyncio.to_thread(_write, path, pages)
        return True

    def _path(self, attempt: str) -> Path:
        return self._places.log_of(*split_attempt_id(attempt))


def _write(path: Path, texts: list[str]) -> None:
    for folder in (path.parent.parent, path.parent):  # the mode is for the last alone
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:
        file.writelines(texts)
    part.replace(path)


def _read_page(path: Path, attempt: str, offset: int, limit: int) -> LogPage:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size + offset) if offset < 0 else min(offset, size)
        file.seek(start)
        read = file.read(limit)
    return LogPage(
        attempt=attempt,
        offset=start,
        next_offset=start + len(read),
        text=read.decode(errors="replace"),
        end=start + len(read) >= size,
    )
