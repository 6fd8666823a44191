"""Something to upload to: ``python stores.py KIND FOLDER SOCKET`` prints a line when ready, and runs until killed.

Both are the files server; KIND ``sink`` sends parts on to a plain HTTP server on loopback that discards them.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from clustertune.coordinator.files_server import serve
from clustertune.coordinator.storage.contracts import Get, PartFiles, Put, Storage
from clustertune.coordinator.storage.opening import open_storage
from clustertune.model.checkpoint import Manifest
from clustertune.model.errors import PartsMissing

_BLOCK_BYTES = 256 * 1024


class SinkStorage:
    """Asks for every part; the sink says which came."""

    parts: PartFiles | None = None

    def __init__(self) -> None:
        self._came: set[str] = set()
        self._url = sink(self._came)

    async def missing(self, experiment_id: str, parts: Mapping[str, int]) -> list[Put]:  # noqa: ARG002 - as below
        self._came.clear()
        return [Put(digest=key, size_bytes=size, url=f"{self._url}/{key}") for key, size in parts.items()]

    async def check(self) -> None: ...

    async def keep(self, experiment_id: str, manifest: Manifest) -> None:  # noqa: ARG002 - the contract's
        if lacking := manifest.parts.keys() - self._came:
            raise PartsMissing({digest: manifest.parts[digest] for digest in lacking})

    async def manifest(self, experiment_id: str, digest: str) -> bytes:
        raise NotImplementedError

    async def sources(self, experiment_id: str, digests: Collection[str]) -> dict[str, Get]:
        raise NotImplementedError

    async def drop(self, experiment_id: str, digest: str, kept: Collection[str]) -> None: ...

    async def drop_all(self, experiment_id: str) -> None: ...


class Depot:
    """Everybody may do everything; each experiment is stored for itself."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def admits(self, instance: str, epoch: int, token: str) -> bool:  # noqa: ARG002 - the contract's
        return True

    def storage_of(self, experiment: str) -> tuple[Storage, str] | None:
        return self._storage, experiment

    def may_read(self, experiment: str, digest: str) -> bool:  # noqa: ARG002
        return True

    async def stored(self, attempt: str, digest: str, size_bytes: int) -> None: ...


def sink(came: set[str]) -> str:
    """A server that takes PUT and throws the bytes away, but for their names; its URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=_accept, args=(listener, came), daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _accept(listener: socket.socket, came: set[str]) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_discard, args=(connection, came), daemon=True).start()


def _discard(connection: socket.socket, came: set[str]) -> None:
    block = memoryview(bytearray(_BLOCK_BYTES))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := connection.recv(65536)):
                    return
                head += more
            lines, _, body = head.partition(b"\r\n\r\n")
            left = _length(lines) - len(body)
            while left > 0:
                if not (read := connection.recv_into(block)):
                    return
                left -= read
            came.add(lines.split()[1].decode().rpartition("/")[2])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _length(head: bytes) -> int:
    fields = (line.partition(b":") for line in head.splitlines()[1:])
    return next((int(value) for name, _, value in fields if name.lower() == b"content-length"), 0)


async def main() -> None:
    kind, folder, path = sys.argv[1:]
    storage: Storage = SinkStorage() if kind == "sink" else open_storage(None, Path(folder))
    await serve(Path(path), Depot(storage))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
