"""A small real server of checkpoints over a unix socket, which can be told to misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from clustertune.model.checkpoint import Manifest, read_manifest

PATIENCE_S = 20.0
_DAMAGE = b"\0damaged"


class FilesServer(socketserver.ThreadingUnixStreamServer):
    """What it has, what it was sent, and its faults: ``refuse`` (method, status) and ``cut`` are used up one by one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path) -> None:
        self.parts: dict[str, bytes] = {}
        self.manifests: dict[str, Manifest] = {}
        self.whole: list[tuple[str, str]] = []
        self.put: list[str] = []
        self.got: list[str] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.refuse: list[tuple[str, int]] = []
        self.cut = 0  # so many uploads are cut in the middle
        self.damage = 0  # so many downloads are damaged
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(str(path), _Handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.gate.set()
        self.shutdown()
        self.thread.join()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Clients are cut and killed on purpose here."""

    def missing(self, manifest: Manifest) -> list[dict[str, Any]]:
        return [
            {"digest": digest, "size_bytes": size, "url": f"/v1/experiments/digits/parts/{digest}", "headers": {}}
            for digest, size in manifest.parts.items()
            if digest not in self.parts
        ]

    def content(self, digest: str) -> dict[str, bytes]:
        """The files of a whole checkpoint."""
        found = self.manifests[digest]
        return {file.path: b"".join(self.parts[part.digest] for part in file.parts) for file in found.files}

    async def until(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, f"never came true; the last requests: {self.requests[-10:]}"
            await asyncio.sleep(0.005)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FilesServer

    def address_string(self) -> str:
        return "agent"

    def log_message(self, *_: object) -> None:
        pass

    def _words(self) -> list[str]:
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        return [unquote(word) for word in self.path.split("/")[1:]]

    def _answer(self, status: int, plain: object) -> None:
        self._send(status, json.dumps(plain).encode())

    def _send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refused(self) -> bool:
        if self.server.refuse and self.server.refuse[0][0] == self.command:
            _, status = self.server.refuse.pop(0)
            self.close_connection = True
            self._answer(status, {"error": f"told to refuse with {status}"})
            return True
        return False

    def do_POST(self) -> None:
        words = self._words()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._refused():
            return
        if words[-1] == "whole":
            missing = self.server.missing(self.server.manifests[words[4]])
            if not missing:
                self.server.whole.append((words[2], words[4]))
            self._answer(409 if missing else 200, {"missing": missing})
        else:
            manifest = read_manifest(body)
            self.server.manifests[manifest.digest()] = manifest
            self._answer(200, {"missing": self.server.missing(manifest)})

    def do_PUT(self) -> None:
        digest, size = self._words()[4], int(self.headers["Content-Length"])
        self.server.gate.wait(PATIENCE_S)
        if self._refused():
            return
        if self.server.cut:
            self.server.cut -= 1
            self.rfile.read(size // 2)
            self.close_connection = True
            return
        data = self.rfile.read(size)
        if hashlib.sha256(data).hexdigest() != digest:
            self._answer(422, {"error": "these bytes are not what the digest says"})
            return
        self.server.parts[digest] = data
        self.server.put.append(digest)
        self._answer(201, {})

    def do_GET(self) -> None:
        words = self._words()
        self.server.gate.wait(PATIENCE_S)
        if self._refused():
            return
        found = self.server.manifests.get(words[4])
        if words[3] == "parts":
            data = self.server.parts[words[4]]
            if self.server.damage:
                self.server.damage -= 1
                data = (_DAMAGE + data)[: len(data)]
            self.server.got.append(words[4])
            self._send(200, data)
        elif found is None:
            self._answer(404, {"error": "there is no such checkpoint"})
        else:
            parts = {digest: {"url": f"/v1/experiments/digits/parts/{digest}", "headers": {}} for digest in found.parts}
            self._answer(200, {"manifest": found.encode().decode(), "parts": parts})
