"""HTTP to the coordinator's files socket and to the signed URLs it gives. Blocks: for threads."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

from clustertune.agent.contents import BLOCK_BYTES
from clustertune.agent.enrolment import Enrolment
from clustertune.agent.reach import Reach
from clustertune.agent.stopper import Stopper

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 30.0
"""Between tries of one transfer."""

EXPIRED = 403
"""What a storage answers to a signature that is too old."""

_PATIENCE_S = 60.0
_ANSWER_PATIENCE_S = 300.0
"""The coordinator may have to look for thousands of parts in a storage before it answers."""

_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_MAX_ERROR_BYTES = 4096
_MAX_ERROR_CHARS = 300
_IDLE_CONNECTIONS = 8
_STALE = (RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class Trouble(Exception):
    """A transfer that did not succeed this time. ``status`` is HTTP's, where there was an answer; never has a URL."""

    def __init__(self, error: str, status: int = 0) -> None:
        self.error, self.status = error, status
        super().__init__(error)


@dataclass(frozen=True)
class Body:
    """What to send: blocks, that can be had again where a connection turns out to be closed."""

    blocks: Callable[[], Iterator[bytes]]
    size_bytes: int


class Wire:
    """Connections to signed URLs' hosts are kept for the next request; the socket is on this machine."""

    def __init__(self, enrolment: Enrolment, reach: Reach | None = None) -> None:
        self._reach = reach or Reach(enrolment)
        self._who = {
            "Authorization": f"Bearer {enrolment.token}",
            "X-Instance": enrolment.instance,
            "X-Epoch": str(enrolment.epoch),
        }
        self._idle: dict[tuple[str, str], list[HTTPConnection]] = {}
        self._lock = threading.Lock()

    def where(self) -> str:
        """The socket of the coordinator's that checkpoints go to and come from; empty: there is none."""
        return self._reach.now().files

    def ask(self, method: str, path: str, stopper: Stopper, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        """Status and JSON answer of the coordinator: 200 and 409. Raises Trouble for any other."""
        sent = Body(lambda: iter([body] if body else []), len(body))
        with self._request(method, path, {"Content-Type": "application/json"}, sent, stopper) as response:
            if response.status not in (200, 201, 409):
                raise _trouble(response, "the coordinator")
            data = response.read(_MAX_ANSWER_BYTES)
        try:
            plain = json.loads(data or b"{}")
        except ValueError as error:
            raise Trouble("the coordinator's answer is not JSON") from error
        return response.status, plain if isinstance(plain, dict) else {}

    def put(self, url: str, headers: Mapping[str, str], body: Body, stopper: Stopper) -> None:
        """Raises Trouble."""
        with self._request("PUT", url, headers, body, stopper) as response:
            if not 200 <= response.status < 300:
                raise _trouble(response, _host(url))
            response.read(_MAX_ERROR_BYTES)

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], stopper: Stopper) -> Iterator[Iterator[bytes]]:
        """The bytes in blocks. Raises Trouble."""
        with self._request("GET", url, headers, Body(lambda: iter(()), 0), stopper) as response:
            if response.status != 200:
                raise _trouble(response, _host(url))
            yield iter(lambda: response.read(BLOCK_BYTES), b"")

    @contextmanager
    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, stopper: Stopper
    ) -> Iterator[HTTPResponse]:
        own = url.startswith("/")
        all_headers = {**headers, **(self._who if own else {}), "Content-Length": str(body.size_bytes)}
        if method == "GET":
            del all_headers["Content-Length"]
        connection = None
        try:
            connection, reused = self._connect(url)
            with stopper.holding(connection.sock):
                try:
                    response = _exchange(connection, method, _target(url), all_headers, body)
                except _STALE:
                    if not reused:
                        raise
                    connection.close()  # it was closed while nobody used it
                    connection = self._open(url)
                    response = _exchange(connection, method, _target(url), all_headers, body)
                yield response
            self._give_back(url, connection, response)
            connection = None
        except (OSError, HTTPException) as error:
            stopper.check()
            raise Trouble(f"{_host(url)} does not answer: {_words(error)}") from error
        finally:
            if connection is not None:
                connection.close()

    def _connect(self, url: str) -> tuple[HTTPConnection, bool]:
        with self._lock:
            if idle := self._idle.get(_origin(url)):
                return idle.pop(), True
        return self._open(url), False

    def _open(self, url: str) -> HTTPConnection:
        scheme, host = _origin(url)
        patience_s = _ANSWER_PATIENCE_S if not scheme else _PATIENCE_S
        if not scheme:
            connection: HTTPConnection = _SocketConnection(self.where(), patience_s)
        elif scheme in ("http", "https"):
            kind = HTTPSConnection if scheme == "https" else HTTPConnection
            connection = kind(host, timeout=patience_s, blocksize=BLOCK_BYTES)
        else:
            raise Trouble(f"a transfer goes over http or https, found {scheme[:20]!r}")
        connection.connect()
        return connection

    def _give_back(self, url: str, connection: HTTPConnection, response: HTTPResponse) -> None:
        scheme, _ = _origin(url)
        if not scheme or response.will_close or not response.isclosed():
            connection.close()
            return
        with self._lock:
            idle = self._idle.setdefault(_origin(url), [])
            if len(idle) < _IDLE_CONNECTIONS:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            for idle in self._idle.values():
                for connection in idle:
                    connection.close()
            self._idle.clear()


class _SocketConnection(HTTPConnection):
    def __init__(self, path: str, patience_s: float) -> None:
        super().__init__("localhost", timeout=patience_s, blocksize=BLOCK_BYTES)
        self._path = path

    def connect(self) -> None:
        if not self._path:
            raise FileNotFoundError(2, "it has no place for checkpoints")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _exchange(
    connection: HTTPConnection, method: str, target: str, headers: Mapping[str, str], body: Body
) -> HTTPResponse:
    try:
        # An iterator, also an empty one, would be announced as chunked, which storages refuse or wait for.
        connection.request(method, target, body=body.blocks() if body.size_bytes else None, headers=dict(headers))
    except (BrokenPipeError, ConnectionResetError):
        # Who refuses a body may say why before all of it is sent.
        with suppress(HTTPException, OSError):
            return connection.getresponse()
        raise
    return connection.getresponse()


def _trouble(response: HTTPResponse, who: str) -> Trouble:
    data, error = response.read(_MAX_ERROR_BYTES), ""
    with suppress(ValueError):
        plain = json.loads(data)
        error = str(plain["error"])[:_MAX_ERROR_CHARS] if isinstance(plain, dict) and "error" in plain else ""
    return Trouble(error or f"{who} answered {response.status} {response.reason}", response.status)


def _origin(url: str) -> tuple[str, str]:
    found = urlsplit(url)
    return found.scheme, found.netloc


def _target(url: str) -> str:
    found = urlsplit(url)
    return (found.path or "/") + (f"?{found.query}" if found.query else "")


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the coordinator"


def _words(error: BaseException) -> str:
    if isinstance(error, socket.timeout):
        return "nothing came for too long"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
