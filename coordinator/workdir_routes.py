"""How clients bring the program that machines elsewhere are to run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clustertune.coordinator.files_routes import check_length, digest_of, read_canonical
from clustertune.coordinator.files_streams import Streams
from clustertune.coordinator.part_stream import PartStream
from clustertune.coordinator.refusal import Refusal
from clustertune.coordinator.storage.contracts import Receiver, TooLarge, WrongPart
from clustertune.coordinator.workdirs import Workdirs
from clustertune.model.checkpoint import PART_BYTES
from clustertune.model.errors import Mistake, StorageError
from clustertune.model.workdir import MAX_MANIFEST_BYTES

LARGE_BODIES = "/v1/workdirs"
"""What is below this path bounds its bodies itself."""

_MOST_STREAM_BYTES = PART_BYTES + 2**20
_MOST_BODY_BYTES = 4096
_PATIENCE_S = 30.0


def workdir_routes(workdirs: Workdirs, streams: Streams) -> list[Route]:
    routes = _Routes(workdirs, streams)
    return [
        Route("/v1/workdirs", routes.announce, methods=["POST"]),
        Route("/v1/workdirs/parts", routes.take_parts, methods=["POST"]),
        Route("/v1/workdirs/parts/{digest}", routes.put_part, methods=["PUT"]),
        Route("/v1/cluster/workdir", routes.make_current, methods=["PUT"]),
    ]


class _Routes:
    """A snapshot is announced, its missing parts are sent, and announced again it is whole."""

    def __init__(self, workdirs: Workdirs, streams: Streams) -> None:
        self._workdirs, self._streams = workdirs, streams

    async def announce(self, request: Request) -> Response:
        check_length(request, MAX_MANIFEST_BYTES)
        async with self._receiving(request):
            data = await self._streams.read_all(request, MAX_MANIFEST_BYTES)
            try:
                manifest, digest = await self._streams.run(read_canonical, data, MAX_MANIFEST_BYTES)
            except ValueError as error:
                raise Refusal(422, str(error)) from error
            try:
                missing = await self._workdirs.announce(manifest, digest)
            except Mistake as error:
                raise Refusal(422, str(error)) from error
        return await self._streams.run(lambda: JSONResponse({"digest": digest, "missing": missing}))

    async def put_part(self, request: Request) -> Response:
        digest = digest_of(request)
        check_length(request, PART_BYTES)
        async with self._receiving(request):
            size_bytes = request.headers.get("content-length")
            await self._streams.take(request, lambda: self._begin(digest, int(size_bytes) if size_bytes else None))
        return JSONResponse({}, 201)

    async def take_parts(self, request: Request) -> Response:
        check_length(request, _MOST_STREAM_BYTES)
        async with self._receiving(request):
            await self._streams.take(request, lambda: PartStream(self._begin))
        return JSONResponse({}, 201)

    async def make_current(self, request: Request) -> Response:
        data = await self._streams.read_all(request, _MOST_BODY_BYTES)
        try:
            digest = json.loads(data)["snapshot"]
        except (ValueError, KeyError, TypeError):
            digest = None
        if not isinstance(digest, str):
            raise Refusal(422, 'the body must be {"snapshot": DIGEST}')
        if not self._workdirs.is_whole(digest):
            raise Refusal(409, not_whole(digest))
        await self._workdirs.make_current(digest)
        return JSONResponse({})

    def _begin(self, digest: str, size_bytes: int | None) -> Receiver:
        expected = self._workdirs.expected(digest)
        if expected is None:
            raise Refusal(412, f"nobody announced a snapshot with the part {digest[:12]}: announce it, then send this")
        if size_bytes is not None and size_bytes != expected:
            raise WrongPart(f"the part {digest[:12]} has {expected} bytes, and not {size_bytes}")
        return self._workdirs.receive(digest)

    @asynccontextmanager
    async def _receiving(self, request: Request) -> AsyncIterator[None]:
        """Who is refused is heard out, for an answer to a body that is still coming would be lost with it."""
        with self._workdirs.receiving():
            try:
                yield
            except TooLarge:
                raise
            except (Refusal, WrongPart, StorageError):
                await _hear_out(request)
                raise


async def _hear_out(request: Request) -> None:
    left_bytes = _MOST_STREAM_BYTES
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for piece in request.stream():
                left_bytes -= len(piece)
                if left_bytes < 0:
                    return
    except (ClientDisconnect, RuntimeError, TimeoutError):
        return  # nobody is there any more, all was read before, or it takes too long


def not_whole(digest: str) -> str:
    return f"the snapshot {digest[:12]} is not whole here: send it (POST /v1/workdirs), then try again"
