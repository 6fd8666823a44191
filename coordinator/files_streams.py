"""Moves bodies of requests between sockets and files: in threads, a block at a time, so many transfers at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, ParamSpec, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from clustertune.coordinator.storage.contracts import PartFiles, Receiver, TooLarge

AT_ONCE = 16
"""Transfers under way, of all agents together; more would only share the same disk, and cost memory."""

BLOCK_BYTES = 512 * 1024
"""What a thread writes at a time. A transfer holds two: one on its way to the disk, one that is being filled."""

PART_LIMIT_S = 2 * 3600.0
"""A part takes no longer than this, even on a line of 5 KB/s; it would keep a place from others."""

_THREADS = 4

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Streams:
    """Threads and places for transfers."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="files")
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(
        self, work: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs
    ) -> Result:
        """Work that blocks."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(*arguments, **named))

    async def read_all(self, request: Request, limit_bytes: int) -> bytes:
        """Raises TooLarge for more than the limit, ClientDisconnect when it breaks off."""
        read = bytearray()
        async with self._places, asyncio.timeout(PART_LIMIT_S):
            async for piece in request.stream():
                read += piece
                if len(read) > limit_bytes:
                    raise TooLarge(f"the body holds more than {limit_bytes} bytes")
        return bytes(read)

    async def receive(self, request: Request, parts: PartFiles, experiment_id: str, digest: str) -> None:
        """Raises what Receiver raises, and ClientDisconnect when the body breaks off; then nothing is left."""
        await self.take(request, lambda: parts.receive(experiment_id, digest))

    async def take(self, request: Request, begin: Callable[[], Receiver]) -> None:
        """``begin`` makes, in a thread, what takes the body. Raises as ``receive``."""
        async with self._places, asyncio.timeout(PART_LIMIT_S):
            receiver = await self.run(begin)
            try:
                await self._write_all(request, receiver)
                await self.run(receiver.finish)
            except BaseException:
                self._threads.submit(receiver.abandon)  # not waited for: this may be a cancellation
                raise

    async def _write_all(self, request: Request, receiver: Receiver) -> None:
        writing: asyncio.Future[None] | None = None
        block = bytearray()
        try:
            async for piece in request.stream():
                block += piece
                if len(block) >= BLOCK_BYTES:
                    if writing is not None:
                        await writing
                    writing, block = asyncio.ensure_future(self.run(receiver.write, bytes(block))), bytearray()
        except BaseException:
            if writing is not None:
                writing.cancel()
            raise
        if writing is not None:
            await writing
        await self.run(receiver.write, bytes(block))

    def sending(self, file: BinaryIO) -> Response:
        """An answer that is the file's content, and closes it."""
        return _FileAnswer(self, file)

    async def send(self, file: BinaryIO, send: Send) -> None:
        try:
            async with self._places:
                while block := await self.run(file.read, BLOCK_BYTES):
                    await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._threads.submit(file.close)

    def close(self) -> None:
        """Returns when the threads have ended what they were at."""
        self._threads.shutdown(wait=True)


class _FileAnswer(Response):
    """Starlette's own reads smaller blocks, in threads that everybody shares."""

    def __init__(self, streams: Streams, file: BinaryIO) -> None:
        length = str(os.fstat(file.fileno()).st_size)
        super().__init__(headers={"content-length": length, "content-type": "application/octet-stream"})
        self._streams, self._file = streams, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as its base has it
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._streams.send(self._file, send)
