"""Brings what trials saved to the storage, and tries until it is there or nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from clustertune.agent.bandwidth import Bandwidth
from clustertune.agent.contents import Piece, Unreadable, pieces, read_piece
from clustertune.agent.outbox import Outbox
from clustertune.agent.shelf import Kept, Shelf
from clustertune.agent.stopper import Halted, Stopper
from clustertune.agent.trying import Pauses, do_each
from clustertune.agent.wire import EXPIRED, FIRST_DELAY_S, LONGEST_DELAY_S, Body, Trouble, Wire
from clustertune.model.messages import StoreTrouble

AT_ONCE = 4
"""Parts under way at the same time, of all transfers together: trials need the processors and the disk too."""

_MAX_ERROR_CHARS = 500

T = TypeVar("T")


class Uploads:
    """One transfer for each folder that is to be stored."""

    def __init__(self, wire: Wire, shelf: Shelf, outbox: Outbox, wake: Callable[[], None]) -> None:
        """``wake`` is called when there is something to send."""
        self._wire, self._shelf, self._outbox, self._wake = wire, shelf, outbox, wake
        self._pool = ThreadPoolExecutor(AT_ONCE, "upload")
        self._bandwidth = Bandwidth()
        self._under_way: dict[tuple[str, str], tuple[asyncio.Future[None], Stopper]] = {}

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def store(self, attempt: str, digest: str) -> None:
        """Idempotent. What was stored before is offered again, which costs one question."""
        kept = self._shelf.find(digest, attempt) or self._shelf.take_back(digest, attempt)
        if kept is None:
            self._tell(attempt, digest, "it is not on the agent's disk any more")
            return
        if (attempt, digest) in self._under_way:
            return
        stopper = Stopper()
        future = asyncio.ensure_future(self._store(kept, stopper))
        self._under_way[attempt, digest] = future, stopper
        future.add_done_callback(partial(self._forget, attempt, digest))

    def _forget(self, attempt: str, digest: str, future: asyncio.Future[None]) -> None:
        if self._under_way.get((attempt, digest), (None,))[0] is future:
            del self._under_way[attempt, digest]

    def discard(self, attempt: str, digests: tuple[str, ...]) -> None:
        for digest in digests:
            if (attempt, digest) in self._under_way:
                self._end(*self._under_way.pop((attempt, digest)))  # it may be wanted again before this one has ended

    def _end(self, future: asyncio.Future[None], stopper: Stopper) -> None:
        stopper.stop()
        future.cancel()

    def close(self) -> None:
        for future, stopper in list(self._under_way.values()):
            self._end(future, stopper)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._wire.close()

    async def _store(self, kept: Kept, stopper: Stopper) -> None:
        told, pauses = set[str](), Pauses(FIRST_DELAY_S, LONGEST_DELAY_S, self._wire.where)
        with self._shelf.using(kept):
            transfer = _Transfer(kept, self._wire, self._pool, self._bandwidth, stopper)
            while True:
                sent = transfer.sent
                try:
                    await transfer.go_on()
                    return
                except Halted:
                    return
                except (Trouble, Unreadable) as error:
                    went_on = transfer.sent > sent
                    if went_on and getattr(error, "status", 0) == EXPIRED:
                        continue  # the rest is signed anew
                    texts = dict.fromkeys([str(error), *transfer.beside])
                for text in [text for text in texts if text not in told]:
                    told.add(text)
                    self._tell(kept.attempt, kept.digest, text)
                if went_on:
                    pauses.begin_anew()
                await pauses.wait()

    def _tell(self, attempt: str, digest: str, error: str) -> None:
        text = error[:_MAX_ERROR_CHARS]
        self._outbox.append(partial(StoreTrouble, attempt=attempt, digest=digest, error=text))
        self._wake()


class _Transfer:
    """One folder's way, as far as it came: ``sent`` counts parts, ``beside`` are troubles next to the one raised."""

    def __init__(
        self, kept: Kept, wire: Wire, pool: ThreadPoolExecutor, bandwidth: Bandwidth, stopper: Stopper
    ) -> None:
        self._kept, self._wire, self._pool = kept, wire, pool
        self._bandwidth, self._stopper = bandwidth, stopper
        self._pieces = {digest: places[0] for digest, places in pieces(kept.manifest).items()}
        self._path = f"/v1/attempts/{quote(kept.attempt, safe='')}/checkpoints"
        self.sent = 0
        self.beside: list[str] = []

    async def go_on(self) -> None:
        """Asks what is missing, sends it, and says that all is there. Raises Trouble, Unreadable, Halted."""
        _, answer = await self._ask(self._path, self._kept.manifest.encode)
        while True:
            await self._send(_missing(answer))
            status, answer = await self._ask(f"{self._path}/{self._kept.digest}/whole")
            if status != 409:
                return

    async def _ask(self, path: str, body: Callable[[], bytes] = bytes) -> tuple[int, dict[str, Any]]:
        return await self._in_thread(lambda: self._wire.ask("POST", path, self._stopper, body()))

    async def _send(self, missing: list[Mapping[str, Any]]) -> None:
        """The first failure ends it, once the parts that are under way came to their end."""

        async def send(part: Mapping[str, Any]) -> None:
            await self._in_thread(lambda: self._put(part))
            self.sent += 1

        failures = await do_each(missing, send, AT_ONCE)
        self.beside = [str(failure) for failure in failures[1:] if isinstance(failure, (Trouble, Unreadable))]
        if failures:
            raise failures[0]

    def _put(self, part: Mapping[str, Any]) -> None:
        piece = self._pieces.get(part["digest"])
        if piece is None:
            raise Trouble("the coordinator asks for a part that is none of this checkpoint's")
        body = Body(lambda: self._blocks(piece), piece.size_bytes)
        self._wire.put(part["url"], part.get("headers") or {}, body, self._stopper)

    def _blocks(self, piece: Piece) -> Iterator[bytes]:
        """Raises Unreadable and Halted."""
        blocks = read_piece(self._kept.path, piece)
        while True:
            try:
                block = next(blocks, b"")
            except OSError as error:
                raise Unreadable(f"{piece.path} cannot be read on the agent's disk: {error.strerror}") from error
            if not block:
                return
            self._stopper.wait(self._bandwidth.take(len(block), self._kept.bandwidth_bytes_s))
            yield block

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _missing(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = answer.get("missing", [])
    if isinstance(found, list) and all(isinstance(part, dict) and "digest" in part and "url" in part for part in found):
        return found
    raise Trouble("the coordinator's answer does not say what is missing")
