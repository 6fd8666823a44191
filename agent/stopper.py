"""Ends what threads do: they ask it often, and what they wait for is cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Halted(Exception):
    """Nobody wants any more what this thread was doing."""


class Stopper:
    """Safe to use from any thread."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def check(self) -> None:
        """Raises Halted once it was stopped."""
        if self._event.is_set():
            raise Halted

    def wait(self, seconds: float) -> None:
        """Raises Halted as soon as it is stopped."""
        if self._event.wait(seconds):
            raise Halted

    @contextmanager
    def holding(self, connection: socket.socket) -> Iterator[None]:
        """Who waits on ``connection`` in here is woken by ``stop``."""
        with self._lock:
            self._open.add(connection)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._open.discard(connection)

    def stop(self) -> None:
        self._event.set()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
