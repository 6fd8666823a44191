"""Uvicorn, as a part of a process that has other things to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import uvicorn


class HttpServer(uvicorn.Server):
    """Signals are the coordinator's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
