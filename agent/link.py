"""The link to the coordinator: kept up, with everything sent in order and again until it is acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException

from clustertune.agent.outbox import Outbox
from clustertune.agent.reach import Reach
from clustertune.agent.trying import Pauses
from clustertune.model.errors import ClustertuneError, Fenced, ProtocolViolation
from clustertune.model.messages import MAX_FRAME_BYTES, Hello, LogChunk, Message, Refused, Welcome, decode, encode

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 1.0
"""The socket is on this machine, and so a try costs next to nothing."""

_WELCOME_S = 30.0
_CLOSE_S = 1.0
_PINGS_MISSED = 3
_LOOK_S = 0.25
"""How soon a connection is given up after the coordinator said that it is elsewhere now."""

# websockets raises AttributeError when it closes a connection whose transport was reset under a large frame.
_LINK_ERRORS = (OSError, asyncio.TimeoutError, WebSocketException, ProtocolViolation, AttributeError)

_log = logging.getLogger(__name__)


class Orphaned(ClustertuneError):
    """No coordinator was heard of for too long."""


class Link:
    """One connection after the other, with growing, jittered pauses, until there is no more sense in it."""

    def __init__(
        self,
        reach: Reach,
        *,
        orphan_after_s: float,
        ping_s: float,
        outbox: Outbox,
        hello: Callable[[], Hello],
        on_welcome: Callable[[], None],
        on_message: Callable[[Message], None],
        on_progress: Callable[[], None],
    ) -> None:
        """``on_progress`` is called after each frame that went out."""
        self._reach, self._outbox = reach, outbox
        self._orphan_after_s, self._ping_s = orphan_after_s, ping_s
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
        heard_s, last_problem = loop.time(), ""
        pauses = Pauses(FIRST_DELAY_S, LONGEST_DELAY_S, self._where)
        while True:
            socket = self._where()
            try:
                await self._until_elsewhere(socket, self._connect(socket))
            except _LINK_ERRORS as error:
                where = f" at {socket}" if socket else ""
                if (problem := f"no coordinator{where}: {type(error).__name__}: {error}") != last_problem:
                    last_problem = problem
                    _log.warning("%s", problem)
            if self.up:
                self.up, heard_s, last_problem = False, loop.time(), ""
                pauses.begin_anew()
            if loop.time() - heard_s > self._orphan_after_s:
                raise Orphaned(f"no coordinator was heard of for {self._orphan_after_s:g} s")
            await pauses.wait()

    def _where(self) -> str:
        return self._reach.now().socket

    async def _until_elsewhere(self, socket: str, connection: Coroutine[Any, Any, None]) -> None:
        """Ends ``connection`` where the coordinator is told to be elsewhere: what leads to the old place is dead."""
        conversation = asyncio.ensure_future(connection)
        try:
            while self._where() == socket:
                if (await asyncio.wait([conversation], timeout=_LOOK_S))[0]:
                    return conversation.result()
            _log.info("the coordinator is elsewhere now")
        finally:
            conversation.cancel()
            await asyncio.gather(conversation, return_exceptions=True)

    async def _connect(self, socket: str) -> None:
        """One connection, until it ends; raises what ended it."""
        if not socket:
            raise FileNotFoundError("this agent was not told yet where one is")
        async with unix_connect(
            socket,
            "ws://localhost/agent",
            compression=None,
            close_timeout=_CLOSE_S,
            max_size=MAX_FRAME_BYTES,
            user_agent_header=None,
            ping_interval=self._ping_s,
            ping_timeout=_PINGS_MISSED * self._ping_s,
        ) as connection:
            try:
                await self._enrol(connection)
                await self._converse(connection)
            except asyncio.CancelledError:
                if self._where() != socket:
                    connection.transport.abort()  # nobody is there to close it with
                raise

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
