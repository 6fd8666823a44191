"""A files server before a storage, and an agent that speaks to it over HTTP as decision 9 says."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from clustertune.coordinator.files_server import FilesServer, serve
from clustertune.coordinator.storage.contracts import Storage
from clustertune.model.checkpoint import FileEntry, Manifest, Part
from clustertune.model.errors import NoSuchName

Result = TypeVar("Result")

TOKEN = "a token of this test"
EXPERIMENT, EXPERIMENT_ID, ATTEMPT = "digits", "digits-1763712000000", "digits:3:1"
LIMIT_S = 30.0


class Depot:
    """A coordinator that knows one experiment."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.journaled: list[tuple[str, str]] = []
        self.unwanted: set[str] = set()
        self.error: Exception | None = None

    def admits(self, instance: str, epoch: int, token: str) -> bool:
        return (instance, epoch, token) == ("here-1", 3, TOKEN)

    def storage_of(self, experiment: str) -> tuple[Storage, str] | None:
        return (self.storage, EXPERIMENT_ID) if experiment == EXPERIMENT else None

    def may_read(self, experiment: str, digest: str) -> bool:
        return experiment == EXPERIMENT and digest not in self.unwanted

    async def stored(self, attempt: str, digest: str) -> None:
        if self.error is not None:
            raise self.error
        if digest in self.unwanted:
            raise NoSuchName("checkpoint", digest, ())
        self.journaled.append((attempt, digest))


class House:
    """Runs the server's loop in a thread, so that a test can be the agent."""

    def __init__(self, loop: asyncio.AbstractEventLoop, path: Path, depot: Depot) -> None:
        self._loop, self.path, self.depot = loop, path, depot
        self.agent = Agent(path)

    @property
    def storage(self) -> Storage:
        return self.depot.storage

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)


@contextmanager
def loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT_S)
        loop.close()


@contextmanager
def house(storage: Storage, path: Path, *, silent_s: float = 60.0) -> Iterator[House]:
    with loop_in_a_thread() as loop:
        depot = Depot(storage)
        built = House(loop, path, depot)
        server: FilesServer = built.run(serve(path, depot, silent_s=silent_s))
        try:
            yield built
        finally:
            built.run(server.close())


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(str(self._path))


class Agent:
    """One agent. ``headers`` are what it proves itself with; ``sent`` are the parts that it sent, by digest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.headers = {"Authorization": f"Bearer {TOKEN}", "X-Instance": "here-1", "X-Epoch": "3"}
        self.sent: list[str] = []

    def ask(self, method: str, url: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and answer, which is parsed where it is JSON."""
        own = url.startswith("/")
        there = urlsplit(url)
        connection = UnixConnection(self.path) if own else http.client.HTTPConnection(there.netloc, timeout=LIMIT_S)
        try:
            connection.request(method, url if own else f"{there.path}?{there.query}", body, {
                **(self.headers if own else {}), **headers,
            })  # fmt: skip
            answer = connection.getresponse()
            content = answer.read()
            is_json = "json" in answer.headers.get("content-type", "") and content
            return answer.status, json.loads(content) if is_json else content
        finally:
            connection.close()

    def announce(self, manifest: Manifest, attempt: str = ATTEMPT) -> list[dict[str, Any]]:
        status, answer = self.ask("POST", f"/v1/attempts/{attempt}/checkpoints", manifest.encode())
        assert status == 200, answer
        missing: list[dict[str, Any]] = answer["missing"]
        return missing

    def put(self, missing: Sequence[Mapping[str, Any]], content: Mapping[str, bytes]) -> None:
        for part in missing:
            status, answer = self.ask("PUT", part["url"], content[part["digest"]], **part["headers"])
            assert status in (200, 201), answer
            self.sent.append(part["digest"])

    def whole(self, manifest: Manifest, attempt: str = ATTEMPT) -> tuple[int, Any]:
        return self.ask("POST", f"/v1/attempts/{attempt}/checkpoints/{manifest.digest()}/whole")

    def store(self, manifest: Manifest, content: Mapping[str, bytes], attempt: str = ATTEMPT) -> None:
        self.put(self.announce(manifest, attempt), content)
        status, answer = self.whole(manifest, attempt)
        assert status == 200, answer

    def fetch(self, digest: str) -> dict[str, bytes]:
        """All parts of a checkpoint."""
        status, answer = self.ask("GET", f"/v1/experiments/{EXPERIMENT}/checkpoints/{digest}")
        assert status == 200, answer
        assert hashlib.sha256(answer["manifest"].encode()).hexdigest() == digest
        found = {}
        for part, get in answer["parts"].items():
            status, found[part] = self.ask("GET", get["url"], **get["headers"])
            assert status == 200, found[part]
        return found


def checkpoint(*parts: bytes) -> tuple[Manifest, dict[str, bytes]]:
    """A checkpoint of one file with these parts, and their bytes by digest."""
    content = {hashlib.sha256(part).hexdigest(): part for part in parts}
    named = tuple(Part(hashlib.sha256(part).hexdigest(), len(part)) for part in parts)
    return Manifest(files=(FileEntry("model.bin", 0o600, named),)), content
