"""Takes what trials say over a local socket: reports, notices, checkpoints, and how a callable ended."""

from __future__ import annotations

import asyncio
import hmac
import json
import resource
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from clustertune.agent.metric_text import ALLOWED_LEVELS, as_level, numbers_in, within_bounds
from clustertune.agent.removal import remove
from clustertune.agent.sound_text import sound, sound_bytes

MAX_LINE_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024
_BACKLOG = 1024
_MAX_CONNECTIONS = 4096
_REST_S = 0.1


class Listener(Protocol):
    """An attempt, as the server sees it."""

    key: str

    def on_reports(self, levels: list[tuple[int, dict[str, float]]], size_bytes: int) -> None: ...
    def on_notice(self, text: str) -> None: ...
    def on_outcome(self, outcome: dict[str, str]) -> None: ...
    def on_asks(self) -> None: ...
    def on_checkpoint(self) -> None: ...
    def on_describe(self, told: dict[str, str]) -> None: ...

    def on_wait(self, level: int, answer: Callable[[dict[str, object]], None]) -> None:
        """A report at ``level`` waits until it is answered."""


class ReportServer:
    """One listening socket for all attempts; reads without waiting, so that an ended trial can be drained wholly."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        """Raises OSError where the socket cannot be made."""
        self.path = path
        self._loop = loop
        self._attempts: dict[str, Listener] = {}
        self._connections: dict[_Connection, None] = {}  # oldest first
        self._most = min(_MAX_CONNECTIONS, _descriptors() // 2)
        self._paused = False
        remove(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        path.chmod(0o600)
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)
        loop.add_reader(self._socket, self._accept)

    def register(self, attempt: str, listener: Listener) -> None:
        self._attempts[attempt] = listener

    def pause(self) -> None:
        """Reads no reports until ``resume``: trials that go on reporting block once their sockets are full."""
        self._paused = True
        for connection in self._connections:
            connection.pause()

    def resume(self) -> None:
        self._paused = False
        for connection in list(self._connections):
            connection.resume()

    async def drain(self, attempt: str, patience_s: float) -> None:
        """Takes everything that the attempt's processes said, and forgets it. All of them have ended.

        Where somebody holds a connection open still, waits at most ``patience_s`` for its end.
        """
        self._accept()
        listener = self._attempts.get(attempt)
        for connection in list(self._connections):
            if connection.listener in (None, listener):
                connection.read_all()
        left = [connection for connection in self._connections if connection.listener is listener]
        if left:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(connection.closed.wait() for connection in left)), patience_s)
        for connection in left:
            connection.close()
        self._attempts.pop(attempt, None)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for connection in list(self._connections):
            connection.close()
        self.path.unlink(missing_ok=True)

    def identify(self, attempt: object, key: object) -> Listener | None:
        listener = self._attempts.get(attempt) if isinstance(attempt, str) else None
        if listener is None or not isinstance(key, str):
            return None
        return listener if hmac.compare_digest(sound_bytes(key), listener.key.encode()) else None

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError:
                self._rest()
                return
            if len(self._connections) >= self._most:
                self._make_room()
            connection = _Connection(accepted, self._loop, self.identify, self._forget)
            self._connections[connection] = None
            if not self._paused:
                connection.resume()

    def _make_room(self) -> None:
        """Closes what one program has too many of, so that another's is not turned away."""
        for connection in list(self._connections):
            if connection.listener is None:
                connection.read_all()  # who it is may just have come, or its end
        if len(self._connections) < self._most:
            return
        counts = Counter(connection.listener for connection in self._connections)
        most, _ = counts.most_common(1)[0]
        theirs = [connection for connection in self._connections if connection.listener is most]
        if most is not None:
            most.on_notice(f"this trial opened more than {len(theirs)} connections to its agent: older ones are closed")
        for connection in theirs[: len(theirs) // 2 + 1]:
            connection.read_all()
            connection.close()

    def _forget(self, connection: _Connection) -> None:
        self._connections.pop(connection, None)

    def _rest(self) -> None:
        """No descriptors are left: who waits to be accepted would wake the loop without end."""
        self._loop.remove_reader(self._socket)
        self._loop.call_later(_REST_S, self._wake)

    def _wake(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._accept)


class _Connection:
    """Lines of JSON: who it is, then what there is to say. What is not that is answered with a notice, or the end."""

    def __init__(
        self,
        accepted: socket.socket,
        loop: asyncio.AbstractEventLoop,
        identify: Callable[[object, object], Listener | None],
        on_close: Callable[[_Connection], None],
    ) -> None:
        accepted.setblocking(False)
        self._socket, self._loop = accepted, loop
        self._identify, self._on_close = identify, on_close
        self._buffer = b""
        self._reading = False
        self.listener: Listener | None = None
        self.closed = asyncio.Event()

    def pause(self) -> None:
        if self._reading:
            self._loop.remove_reader(self._socket)
        self._reading = False

    def resume(self) -> None:
        if not self._reading and not self.closed.is_set():
            self._loop.add_reader(self._socket, self.read)
            self._reading = True

    def read_all(self) -> None:
        self.resume()
        while self.read():
            pass

    def read(self) -> bool:
        """Whether there may be more at once."""
        if self.closed.is_set():
            return False
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if self.listener is None and lines:
            self._introduce(lines.pop(0))
        if self.listener is not None:
            self._take(self.listener, lines)
        if len(self._buffer) > MAX_LINE_BYTES:
            self._refuse(f"a line of more than {MAX_LINE_BYTES} bytes came over the reports' socket; it was closed")
        return not self.closed.is_set()

    def _introduce(self, line: bytes) -> None:
        plain = _parse(line)
        self.listener = self._identify(plain.get("attempt"), plain.get("key")) if plain is not None else None
        if self.listener is None:
            self.close()

    def _take(self, listener: Listener, lines: list[bytes]) -> None:
        levels: list[tuple[int, dict[str, float]]] = []
        size, waits_at = 0, 0
        for line in lines:
            plain = _parse(line)
            if plain is None or len(line) > MAX_LINE_BYTES:
                listener.on_notice(
                    f"a line over the reports' socket is not a report: {line[:80].decode(errors='replace')!r}"
                )
            elif "metrics" in plain:
                level, size = self._level(listener, plain), size + len(line)
                levels += [level] if level is not None else []
                waits_at = (as_level(plain["step"]) or 0) if plain.get("waits") is True else waits_at
            else:
                self._take_other(listener, plain)
        if levels:
            listener.on_reports(levels, size)
        if waits_at:
            listener.on_wait(waits_at, self.answer)

    def answer(self, told: dict[str, object]) -> None:
        """Lines so short find room in a socket that nobody sends to otherwise; else the wait ends by itself."""
        if not self.closed.is_set():
            with suppress(OSError):
                self._socket.send(json.dumps(told).encode() + b"\n")

    def _level(self, listener: Listener, plain: dict[str, object]) -> tuple[int, dict[str, float]] | None:
        level, metrics = as_level(plain.get("step")), plain["metrics"]
        if level is None or not isinstance(metrics, dict):
            listener.on_notice(f"a report needs {ALLOWED_LEVELS} as its level, found {str(plain.get('step'))[:60]!r}")
            return None
        found = numbers_in(metrics)
        if len(found) < len(metrics):
            wrong = next(name for name in metrics if name not in found)
            listener.on_notice(f"metric {wrong[:60]!r} is not a number: {str(metrics[wrong])[:60]!r}")
        kept, notices = within_bounds(found)
        for notice in notices:
            listener.on_notice(notice)
        return (level, kept) if kept else None

    def _take_other(self, listener: Listener, plain: dict[str, object]) -> None:
        told = {name: value for name, value in plain.items() if isinstance(value, str)}
        if "notice" in told:
            listener.on_notice(told["notice"])
        elif told.keys() & {"raised", "infeasible", "unstartable", "failed", "stopped"}:
            listener.on_outcome(told)
        elif plain.get("asks") is True:
            listener.on_asks()
        elif as_level(plain.get("checkpoint")) is not None:
            listener.on_checkpoint()
        elif isinstance(plain.get("describe"), dict):
            listener.on_describe(texts_in(plain["describe"]))
        else:
            listener.on_notice(f"a line over the reports' socket is not a report: {str(plain)[:80]!r}")

    def _refuse(self, notice: str) -> None:
        if self.listener is not None:
            self.listener.on_notice(notice)
        self.close()

    def close(self) -> None:
        if not self.closed.is_set():
            self.pause()
            self._socket.close()
            self.closed.set()
            self._on_close(self)


def texts_in(plain: object) -> dict[str, str]:
    """What a program says of itself."""
    found = plain.items() if isinstance(plain, dict) else ()
    return {sound(name): sound(text) for name, text in found if isinstance(text, str)}


def _descriptors() -> int:
    """How many this process may have open, after asking for as many as there are to have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        wanted = _MAX_CONNECTIONS * 2 if hard == resource.RLIM_INFINITY else min(hard, _MAX_CONNECTIONS * 2)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _parse(line: bytes) -> dict[str, object] | None:
    try:
        plain = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None
