"""Drops connections that say or take nothing for long, which uvicorn itself would keep."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class PatientProtocol(H11Protocol):
    """Waits ``silent_s`` for the next byte, whether of a request, of its body, or taken from the answer."""

    def __init__(self, *arguments: Any, silent_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._silent_s = silent_s
        self._moved_s = self.loop.time()
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved_s = self.loop.time()
        super().data_received(data)

    def resume_writing(self) -> None:
        self._moved_s = self.loop.time()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        body = json.dumps({"error": msg}).encode()
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        if not self._waits_for_peer():
            self._moved_s = self.loop.time()
        elif self.loop.time() - self._moved_s >= self._silent_s:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(self._silent_s / 4, self._look)

    def _waits_for_peer(self) -> bool:
        if self.flow.write_paused or self.cycle is None or self.cycle.response_complete:
            return True
        return self.cycle.more_body and not self.flow.read_paused and not self.cycle.waiting_for_100_continue
