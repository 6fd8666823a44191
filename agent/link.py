"""The link to the coordinator: kept up, with everything sent in order and again until it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException

from clustertune.agent.outbox import Outbox
from clustertune.agent.trying import Pauses
from clustertune.model.errors import ClustertuneError, Fenced, ProtocolViolation
from clustertune.model.messages import MAX_FRAME_BYTES, Hello, LogChunk, Message, Refused, Welcome, decode, encode

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 1.0
"""The socket is on this machine, and so a try costs next to nothing."""

_WELCOME_S = 30.0
_CLOSE_S = 1.0

# websockets 17 raises AttributeError when it closes a connection whose transport was reset under a large frame.
_LINK_ERRORS = (OSError, asyncio.TimeoutError, WebSocketException, ProtocolViolation, AttributeError)

_log = logging.getLogger(__name__)


class Orphaned(ClustertuneError):
    """No coordinator was heard of for too long."""


class Link:
    """One connection after the other, with growing, jittered pauses, until there is no more sense in it."""

    def __init__(
        self,
        socket: str,
        *,
        orphan_after_s: float,
        outbox: Outbox,
        hello: Callable[[], Hello],
        on_welcome: Callable[[], None],
        on_message: Callable[[Message], None],
        on_progress: Callable[[], None],
    ) -> None:
        """``on_progress`` is called after each frame that went out."""
        self._socket, self._orphan_after_s, self._outbox = socket, orphan_after_s, outbox
        self._hello, self._on_welcome, self._on_message = hello, on_welcome, on_message
        self._on_progress = on_progress
        self._chunks: deque[LogChunk] = deque()
        self._wanted = asyncio.Event()
        self.up = False

    def wake(self) -> None:
        """There is something in the outbox."""
        self._wanted.set()

    def send_chunk(self, chunk: LogChunk) -> None:
        """Sent when no report waits; lost with the connection, for who asked asks again."""
        self._chunks.append(chunk)
        self._wanted.set()

    async def run(self) -> None:
        """Never returns. Raises Fenced when the coordinator refuses this agent, Orphaned when there is none."""
        loop = asyncio.get_running_loop()
        heard_s, pauses, last_problem = loop.time(), Pauses(FIRST_DELAY_S, LONGEST_DELAY_S), ""
        while True:
            try:
                async with unix_connect(
                    self._socket,
                    "ws://localhost/agent",
                    compression=None,
                    close_timeout=_CLOSE_S,
                    max_size=MAX_FRAME_BYTES,
                    user_agent_header=None,
                ) as connection:
                    await self._enrol(connection)
                    pauses.begin_anew()
                    last_problem = ""
                    await self._converse(connection)
            except _LINK_ERRORS as error:
                if str(error) != last_problem:
                    last_problem = str(error)
                    _log.warning("no coordinator at %s: %s: %s", self._socket, type(error).__name__, error)
            if self.up:
                self.up, heard_s = False, loop.time()
            if loop.time() - heard_s > self._orphan_after_s:
                raise Orphaned(f"no coordinator was heard of for {self._orphan_after_s:g} s")
            await pauses.wait()

    async def _enrol(self, connection: ClientConnection) -> None:
        await connection.send(encode(self._hello()))
        answer = decode(await asyncio.wait_for(connection.recv(), _WELCOME_S))
        if isinstance(answer, Refused):
            raise Fenced(f"refused ({answer.reason}): {answer.message}")
        if not isinstance(answer, Welcome):
            raise ProtocolViolation(f"expected welcome or refused, found {type(answer).__name__.lower()}")
        self.up = True
        self._chunks.clear()
        self._outbox.rewind(answer.acknowledged)
        self._on_welcome()
        self._wanted.set()

    async def _converse(self, connection: ClientConnection) -> None:
        """Both directions, until one of them ends; raises what ended it."""
        both = [asyncio.ensure_future(self._send(connection)), asyncio.ensure_future(self._receive(connection))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            results = await asyncio.gather(*both, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _send(self, connection: ClientConnection) -> None:
        while True:
            frame = self._outbox.take()
            if frame is None and self._chunks:
                frame = encode(self._chunks.popleft())
            if frame is not None:
                await connection.send(frame)
                self._on_progress()
                continue
            self._wanted.clear()
            await self._wanted.wait()

    async def _receive(self, connection: ClientConnection) -> None:
        async for frame in connection:
            self._on_message(decode(frame))
