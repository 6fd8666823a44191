"""What agents may ask of the files server: the table of decision 9, and how errors are answered."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clustertune.coordinator.files_streams import Streams
from clustertune.coordinator.refusal import Refusal
from clustertune.coordinator.storage.contracts import Get, Put, Storage, TooLarge, WrongPart
from clustertune.model.checkpoint import MAX_MANIFEST_BYTES, PART_BYTES, Manifest, is_digest, read_manifest
from clustertune.model.errors import JournalError, NoSuchName, PartsMissing, StorageError, StorageFull
from clustertune.model.trial import split_attempt_id

_EXPERIMENT = "/v1/experiments/{experiment}"
_REMEMBERED_BYTES = 64 * 1024 * 1024
_RETRY = {"retry-after": "5"}

log = logging.getLogger(__name__)


class Depot(Protocol):
    """What the server asks of the coordinator."""

    def admits(self, instance: str, epoch: int, token: str) -> bool:
        """Whether this is the instance's present agent; takes equally long for every wrong token."""
        ...

    def storage_of(self, experiment: str) -> tuple[Storage, str] | None:
        """Where the experiment's checkpoints go, and its id there; None: there is no such experiment."""
        ...

    def may_read(self, experiment: str, digest: str) -> bool:
        """Whether an attempt is to go on from this checkpoint."""
        ...

    async def stored(self, attempt: str, digest: str) -> None:
        """The checkpoint is whole; returns once that is journaled. Raises NoSuchName where nobody wants it any more."""
        ...


def application(depot: Depot, streams: Streams) -> Starlette:
    """For agents, which bring and fetch."""
    routes = _Routes(depot, streams)
    attempt = "/v1/attempts/{attempt}/checkpoints"
    bringing = [
        Route(attempt, routes.announce, methods=["POST"]),
        Route(attempt + "/{digest}/whole", routes.whole, methods=["POST"]),
        Route(_EXPERIMENT + "/parts/{digest}", routes.put_part, methods=["PUT"]),
    ]
    return answering([*bringing, *_reading(routes)])


def answering(routes: Sequence[Route]) -> Starlette:
    """What these routes raise is answered in words."""
    return Starlette(routes=routes, exception_handlers=dict.fromkeys(_EXPLAINED, _explain))


def reading(depot: Depot, streams: Streams) -> list[Route]:
    """For clients, which only fetch."""
    return _reading(_Routes(depot, streams))


def _reading(routes: _Routes) -> list[Route]:
    return [
        Route(_EXPERIMENT + "/parts/{digest}", routes.get_part, methods=["GET"]),
        Route(_EXPERIMENT + "/checkpoints/{digest}", routes.get_checkpoint, methods=["GET"]),
    ]


class _Routes:
    """The table of decision 9."""

    def __init__(self, depot: Depot, streams: Streams) -> None:
        self._depot, self._streams = depot, streams
        self._manifests = _Announced()

    async def announce(self, request: Request) -> Response:
        attempt = request.path_params["attempt"]
        experiment, storage, experiment_id = self._storage_of_attempt(attempt)
        check_length(request, MAX_MANIFEST_BYTES)
        data = await self._streams.read_all(request, MAX_MANIFEST_BYTES)
        try:
            manifest, digest = await self._streams.run(read_canonical, data)
        except ValueError as error:
            raise Refusal(422, str(error)) from error
        self._manifests.add(attempt, digest, data)
        puts = await storage.missing(experiment_id, manifest.parts)
        return await self._streams.run(lambda: JSONResponse({"missing": _puts(experiment, puts)}))

    async def whole(self, request: Request) -> Response:
        attempt, digest = request.path_params["attempt"], digest_of(request)
        experiment, storage, experiment_id = self._storage_of_attempt(attempt)
        manifest = await self._announced(attempt, digest, storage, experiment_id)
        try:
            await storage.keep(experiment_id, manifest)
        except PartsMissing as error:
            puts = await storage.missing(experiment_id, manifest.parts)
            said = str(error)
            return await self._streams.run(
                lambda: JSONResponse({"error": said, "missing": _puts(experiment, puts)}, 409)
            )
        await self._depot.stored(attempt, digest)
        self._manifests.remove(attempt, digest)
        return JSONResponse({})

    async def put_part(self, request: Request) -> Response:
        _, storage, experiment_id = self._storage(request.path_params["experiment"])
        digest = digest_of(request)
        if storage.parts is None:
            raise Refusal(409, "parts of this experiment go to its storage; ask for their URLs again")
        check_length(request, PART_BYTES)
        await self._streams.receive(request, storage.parts, experiment_id, digest)
        return JSONResponse({}, 201)

    async def get_part(self, request: Request) -> Response:
        _, storage, experiment_id = self._storage(request.path_params["experiment"])
        digest = digest_of(request)
        if storage.parts is None:
            raise Refusal(404, "parts of this experiment are in its storage; ask for their URLs again")
        file = await self._streams.run(storage.parts.open, experiment_id, digest)
        return self._streams.sending(file)

    async def get_checkpoint(self, request: Request) -> Response:
        experiment, storage, experiment_id = self._storage(request.path_params["experiment"])
        digest = digest_of(request)
        if not self._depot.may_read(experiment, digest):
            raise NoSuchName("checkpoint", digest, ())
        data = await storage.manifest(experiment_id, digest)
        try:
            manifest = await self._streams.run(read_manifest, data, digest)
        except ValueError as error:
            raise Refusal(404, f"the checkpoint {digest} cannot be read any more: {error}") from error
        gets = await storage.sources(experiment_id, list(manifest.parts))
        # In a thread, for it may be megabytes long.
        return await self._streams.run(
            lambda: JSONResponse({"manifest": data.decode(), "parts": _gets(experiment, gets)})
        )

    async def _announced(self, attempt: str, digest: str, storage: Storage, experiment_id: str) -> Manifest:
        """The manifest that came before; or is kept already, where an answer was lost."""
        data = self._manifests.get(attempt, digest)
        if data is None:
            try:
                data = await storage.manifest(experiment_id, digest)
            except NoSuchName:
                raise Refusal(412, "the manifest of this checkpoint is not known any more: send it again") from None
        try:
            return await self._streams.run(read_manifest, data, digest)
        except ValueError as error:
            raise Refusal(412, f"{error}; send the manifest again") from error

    def _storage_of_attempt(self, attempt: str) -> tuple[str, Storage, str]:
        try:
            experiment, _, _ = split_attempt_id(attempt)
        except ValueError:
            raise Refusal(404, f"{attempt[:100]!r} is no attempt: EXPERIMENT:TRIAL:ATTEMPT is one") from None
        return self._storage(experiment)

    def _storage(self, experiment: str) -> tuple[str, Storage, str]:
        found = self._depot.storage_of(experiment)
        if found is None:
            raise Refusal(404, f"there is no experiment {experiment[:100]!r}")
        return experiment, *found


class _Announced:
    """Manifests whose parts are on their way, newest last; the oldest go where there are too many."""

    def __init__(self) -> None:
        self._data: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size_bytes = 0

    def add(self, attempt: str, digest: str, data: bytes) -> None:
        self.remove(attempt, digest)
        self._data[attempt, digest] = data
        self._size_bytes += len(data)
        while self._size_bytes > _REMEMBERED_BYTES:
            self.remove(*next(iter(self._data)))

    def get(self, attempt: str, digest: str) -> bytes | None:
        return self._data.get((attempt, digest))

    def remove(self, attempt: str, digest: str) -> None:
        self._size_bytes -= len(self._data.pop((attempt, digest), b""))


async def _explain(request: Request, error: Exception) -> Response:
    status, headers = _status(error)
    if status == 500:
        log.error("a request for %s failed", request.url.path, exc_info=error)
        request.scope["explained"] = error  # Starlette raises it again once it is answered
        return JSONResponse({"error": "the coordinator failed at this; its log says more"}, status)
    text = error.detail if isinstance(error, HTTPException) else str(error)
    return JSONResponse({"error": text}, status, headers)


def _status(error: Exception) -> tuple[int, Mapping[str, str]]:
    match error:
        case Refusal():
            return error.status, {}
        case HTTPException():
            return error.status_code, error.headers or {}
        case NoSuchName():
            return 404, {}
        case TooLarge():
            return 413, {"connection": "close"}
        case WrongPart():
            return 422, {}
        case TimeoutError():
            return 408, {"connection": "close"}
        case StorageFull():
            return 507, _RETRY
        case StorageError() | JournalError():
            return 503, _RETRY
    return 500, {}


_EXPLAINED: tuple[Any, ...] = (
    Refusal,
    HTTPException,
    NoSuchName,
    WrongPart,
    TimeoutError,
    StorageError,
    JournalError,
    Exception,
)


def check_length(request: Request, limit_bytes: int) -> None:
    """Refuses before the body is read; what comes without a length is counted while it is."""
    if int(request.headers.get("content-length") or 0) > limit_bytes:
        raise TooLarge(f"the body holds more than the {limit_bytes} bytes that are allowed here")


def digest_of(request: Request) -> str:
    digest = str(request.path_params["digest"])
    if not is_digest(digest):
        raise Refusal(404, f"{digest[:100]!r} is no SHA-256 in hexadecimal")
    return digest


def read_canonical(data: bytes, limit_bytes: int = MAX_MANIFEST_BYTES) -> tuple[Manifest, str]:
    """The manifest and its digest. Raises ValueError."""
    manifest = read_manifest(data, None, limit_bytes)
    if manifest.encode() != data:
        raise ValueError("the manifest is not in the form that its digest is of: keys sorted, no spaces, ASCII")
    return manifest, hashlib.sha256(data).hexdigest()


def _puts(experiment: str, puts: list[Put]) -> list[dict[str, object]]:
    return [
        {
            "digest": put.digest,
            "size_bytes": put.size_bytes,
            "url": put.url or _own_url(experiment, put.digest),
            "headers": dict(put.headers),
        }
        for put in puts
    ]


def _gets(experiment: str, gets: Mapping[str, Get]) -> dict[str, dict[str, object]]:
    return {
        digest: {"url": get.url or _own_url(experiment, digest), "headers": dict(get.headers)}
        for digest, get in gets.items()
    }


def _own_url(experiment: str, digest: str) -> str:
    return f"/v1/experiments/{quote(experiment, safe='')}/parts/{digest}"
