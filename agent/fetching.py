"""Brings the checkpoint that a trial goes on from into its own folder, and checks every byte of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from clustertune.agent.contents import Piece, Unreadable, pieces, read_piece
from clustertune.agent.filling import Damaged, Filling, Source
from clustertune.agent.removal import remove
from clustertune.agent.shelf import Kept, Shelf
from clustertune.agent.stopper import Stopper
from clustertune.agent.trying import Pauses, do_each
from clustertune.agent.wire import EXPIRED, FIRST_DELAY_S, LONGEST_DELAY_S, Trouble, Wire
from clustertune.model.checkpoint import CheckpointRef, Manifest, read_manifest

_AT_ONCE = 4
_PATIENCE_WITH_DAMAGE = 3

_GONE = 404

T = TypeVar("T")


class NoCheckpoint(Exception):
    """There is nothing to go on from: it is gone, or what comes is not what its digest says."""


class Fetcher:
    """Copies, rather than links: a program that runs as root could write through a link into what is kept."""

    def __init__(self, wire: Wire, shelf: Shelf) -> None:
        self._wire, self._shelf = wire, shelf
        self._pool = ThreadPoolExecutor(_AT_ONCE, "download")
        self._stoppers: set[Stopper] = set()

    async def bring(self, experiment: str, ref: CheckpointRef, target: Path, notice: Callable[[str], None]) -> None:
        """Fills ``target``, which is not there yet; waits as long as storage or disk make it. Raises NoCheckpoint."""
        stopper = Stopper()
        self._stoppers.add(stopper)
        try:
            kept = self._shelf.find(ref.digest)
            if kept is None or not await self._copy(kept, target, stopper, notice):
                await self._fetch(experiment, ref.digest, target, stopper, notice)
        finally:
            stopper.stop()
            self._stoppers.discard(stopper)

    async def _copy(self, kept: Kept, target: Path, stopper: Stopper, notice: Callable[[str], None]) -> bool:
        source = {digest: places[0] for digest, places in pieces(kept.manifest).items()}
        filling = _Filling(kept.manifest, target, self._pool, stopper)
        with self._shelf.using(kept):
            try:
                await filling.go_on(lambda digest: _reading(kept.path, source[digest]))
            except (OSError, Unreadable, Damaged) as error:
                notice(f"the copy of the checkpoint on this machine cannot be used ({error}); it is fetched again")
                await self._in_thread(lambda: remove(target))
                return False
        return True

    async def _fetch(
        self, experiment: str, digest: str, target: Path, stopper: Stopper, notice: Callable[[str], None]
    ) -> None:
        if not self._wire.where():
            raise NoCheckpoint("the checkpoint is not on this machine, and there is no place to fetch it from")
        path = f"/v1/experiments/{quote(experiment, safe='')}/checkpoints/{digest}"
        filling: _Filling | None = None
        pauses, damaged = Pauses(FIRST_DELAY_S, LONGEST_DELAY_S, self._wire.where), 0
        while True:
            before = len(filling.done) if filling else 0
            try:
                _, answer = await self._in_thread(lambda: self._wire.ask("GET", path, stopper))
                filling = filling or _Filling(_manifest(answer, digest), target, self._pool, stopper)
                await filling.go_on(self._source(answer, stopper))
                return
            except Damaged as error:
                damaged, text = damaged + 1, f"the checkpoint came damaged: {error}"
                if damaged == _PATIENCE_WITH_DAMAGE:
                    raise NoCheckpoint(f"the checkpoint came damaged {damaged} times: {error}") from error
            except Trouble as error:
                if error.status == _GONE:
                    raise NoCheckpoint(f"the checkpoint is gone: {error}") from error
                went_on = filling is not None and len(filling.done) > before
                if error.status == EXPIRED and went_on:
                    continue  # the rest is signed anew
                text = f"waits for its checkpoint, which cannot be fetched: {error}"
            except OSError as error:
                text = f"waits for its checkpoint, which cannot be written to disk: {error.strerror or error}"
            notice(text)
            await pauses.wait()

    def _source(self, answer: Mapping[str, Any], stopper: Stopper) -> Source:
        def get(digest: str) -> Any:
            found = answer.get("parts", {}).get(digest)
            if not isinstance(found, dict) or "url" not in found:
                raise Trouble("the coordinator's answer does not say where a part is")
            return self._wire.get(found["url"], found.get("headers") or {}, stopper)

        return get

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        for stopper in self._stoppers:
            stopper.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Filling:
    """A folder on its way. ``done`` are the parts that are written and were right."""

    def __init__(self, manifest: Manifest, target: Path, pool: ThreadPoolExecutor, stopper: Stopper) -> None:
        self._filling, self._pool = Filling(manifest, target, stopper.check), pool
        self.done: set[str] = set()

    async def go_on(self, source: Source) -> None:
        """``source`` opens a part. Raises Damaged, OSError, and what ``source`` raises."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, self._filling.make)

        async def take(digest: str) -> None:
            await loop.run_in_executor(self._pool, self._filling.write, digest, source)
            self.done.add(digest)

        left = [each for each in self._filling.parts if each not in self.done]
        if failures := await do_each(left, take, _AT_ONCE):
            raise failures[0]
        await loop.run_in_executor(self._pool, self._filling.set_modes)


@contextmanager
def _reading(folder: Path, piece: Piece) -> Iterator[Iterator[bytes]]:
    yield read_piece(folder, piece)


def _manifest(answer: Mapping[str, Any], digest: str) -> Manifest:
    try:
        return read_manifest(str(answer.get("manifest", "")).encode(), digest)
    except ValueError as error:
        raise Damaged(str(error)) from error
