"""The coordinator's end of the agents' link: a websocket server on a unix socket of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from websockets.asyncio.server import Server, ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from clustertune.coordinator.plausible import implausible
from clustertune.model.errors import ProtocolViolation
from clustertune.model.instance import Inventory
from clustertune.model.messages import (
    MAX_FRAME_BYTES,
    NUMBERED,
    PROTOCOL,
    Ack,
    FromCoordinator,
    Hello,
    LogChunk,
    LogRequest,
    Numbered,
    Refused,
    Welcome,
    decode,
    encode,
)

_HELLO_S = 10.0
_LOG_S = 10.0
_UNSENT_FRAMES = 10_000


log = logging.getLogger(__name__)


class Enrolment(Protocol):
    """What the link asks of the coordinator."""

    def expected(self, instance: str) -> tuple[int, str] | None:
        """The epoch and the token's hash that an agent of this instance must bring; None: there is none."""
        ...

    def hash(self, token: str) -> str: ...

    def on_disk(self, instance: str, epoch: int) -> int:
        """The last message of that epoch that the journal held when the coordinator began."""
        ...

    def connected(self, instance: str, epoch: int, inventory: Inventory) -> None: ...

    def disconnected(self, instance: str, epoch: int) -> None: ...

    def received(self, instance: str, epoch: int, message: Numbered, committed: Callable[[], None]) -> None:
        """A message that was not seen before; ``committed`` is called when it is on disk."""
        ...

    async def writable(self) -> None:
        """Returns once the journal takes entries, so that nothing piles up while it does not."""
        ...


@dataclass(slots=True)
class Inbox:
    """How far an epoch's messages have come: taken in, and on disk. Outlives its connections."""

    instance: str
    epoch: int
    taken: int
    committed: int
    tell: Callable[[FromCoordinator], None] = lambda message: None  # noqa: ARG005 - nobody is there yet

    def commit(self, seq: int) -> None:
        """``seq`` is on disk: whoever speaks for the agent now is told."""
        self.committed = max(self.committed, seq)
        self.tell(Ack(through=self.committed))


class Connection:
    """One agent's connection. Sending never waits: frames queue up, within bounds."""

    def __init__(self, socket: ServerConnection, inbox: Inbox) -> None:
        self.inbox = inbox
        self._socket = socket
        self._unsent: deque[FromCoordinator] = deque()
        self._wake = asyncio.Event()
        self._requests = itertools.count(1)
        self._pages: dict[int, asyncio.Future[LogChunk]] = {}
        self._over = False

    def send(self, message: FromCoordinator) -> None:
        """Queues a frame. An agent that reads nothing for long is disconnected, and told all again when it returns."""
        if len(self._unsent) >= _UNSENT_FRAMES:
            self.abort()
            return
        if isinstance(message, Ack) and self._unsent and isinstance(self._unsent[-1], Ack):
            self._unsent.pop()
        self._unsent.append(message)
        self._wake.set()

    def abort(self) -> None:
        """What has arrived already and was not taken in is not: the agent, or its successor, says it again."""
        self._over = True
        self._socket.transport.abort()

    async def read_log(self, attempt: str, offset: int, limit: int) -> LogChunk | None:
        """A page of an attempt's log; None when the agent does not answer in time."""
        number = next(self._requests)
        page: asyncio.Future[LogChunk] = asyncio.get_running_loop().create_future()
        self._pages[number] = page
        try:
            self.send(LogRequest(request=number, attempt=attempt, offset=offset, limit=limit))
            async with asyncio.timeout(_LOG_S):
                return await page
        except (TimeoutError, ConnectionError):
            return None
        finally:
            del self._pages[number]

    async def run(self, enrolment: Enrolment) -> None:
        """Reads and writes until the link is down."""
        writer = asyncio.create_task(self._write())
        try:
            await self._read(enrolment)
        finally:
            writer.cancel()
            for page in self._pages.values():
                if not page.done():
                    page.set_exception(ConnectionError("the agent's link is down"))

    async def _read(self, enrolment: Enrolment) -> None:
        async for frame in self._socket:
            message = decode(frame)
            if isinstance(message, LogChunk):
                page = self._pages.get(message.request)
                if page is not None and not page.done():
                    page.set_result(message)
            elif isinstance(message, NUMBERED):
                await enrolment.writable()
                if self._over:
                    return
                self._take(enrolment, message)
                await asyncio.sleep(0)  # an agent with much to say does not keep everybody else waiting
            else:
                raise ProtocolViolation(f"an agent does not send {type(message).__name__}")

    def _take(self, enrolment: Enrolment, message: Numbered) -> None:
        inbox = self.inbox
        if message.seq <= inbox.taken:
            self.send(Ack(through=inbox.committed))
            return
        if message.seq != inbox.taken + 1:
            raise ProtocolViolation(f"message {message.seq} came after {inbox.taken}")
        inbox.taken = message.seq
        enrolment.received(inbox.instance, inbox.epoch, message, lambda: inbox.commit(message.seq))

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._unsent:
                    await self._socket.send(encode(self._unsent.popleft()))


class AgentLink:
    """Listens for agents. One connection an instance: a newer one takes the place of an older."""

    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment
        self._connections: dict[str, Connection] = {}
        self._inboxes: dict[str, Inbox] = {}

    async def listen(self, path: Path) -> Server:
        """Raises OSError when the socket cannot be made."""
        path.unlink(missing_ok=True)
        server = await unix_serve(
            self._serve,
            str(path),
            compression=None,
            max_size=MAX_FRAME_BYTES,
            ping_interval=20,
            ping_timeout=60,
        )
        path.chmod(0o600)
        return server

    def connection(self, instance: str) -> Connection | None:
        return self._connections.get(instance)

    def send(self, instance: str, message: FromCoordinator) -> None:
        """Sends if the agent is there; if not, it is told after its next Hello."""
        if (connection := self._connections.get(instance)) is not None:
            connection.send(message)

    async def _serve(self, socket: ServerConnection) -> None:
        try:
            hello = await self._hello(socket)
            if hello is not None:
                await self._attend(socket, hello)
        except ConnectionClosed:
            return
        except ProtocolViolation as violation:
            log.warning("an agent broke the protocol and was disconnected: %s", violation)
            # websockets 17 raises AttributeError when it closes a connection whose transport was reset.
            with contextlib.suppress(AttributeError):
                await socket.close(1002)

    async def _attend(self, socket: ServerConnection, hello: Hello) -> None:
        if (older := self._connections.pop(hello.instance, None)) is not None:
            older.abort()
        inbox = self._inbox(hello.instance, hello.epoch)
        connection = Connection(socket, inbox)
        inbox.tell = connection.send
        connection.send(Welcome(protocol=PROTOCOL, acknowledged=inbox.committed))
        self._connections[hello.instance] = connection
        self._enrolment.connected(hello.instance, hello.epoch, hello.inventory)
        try:
            await connection.run(self._enrolment)
        finally:
            if self._connections.get(hello.instance) is connection:
                del self._connections[hello.instance]
                self._enrolment.disconnected(hello.instance, hello.epoch)

    def _inbox(self, instance: str, epoch: int) -> Inbox:
        inbox = self._inboxes.get(instance)
        if inbox is None or inbox.epoch != epoch:
            on_disk = self._enrolment.on_disk(instance, epoch)
            inbox = self._inboxes[instance] = Inbox(instance, epoch, on_disk, on_disk)
        return inbox

    async def _hello(self, socket: ServerConnection) -> Hello | None:
        try:
            async with asyncio.timeout(_HELLO_S):
                message = decode(await socket.recv())
        except TimeoutError:
            return None
        if not isinstance(message, Hello):
            raise ProtocolViolation("the first message must be hello")
        refusal = self._refusal(message)
        if refusal is None:
            if absurd := implausible(message.inventory):
                raise ProtocolViolation(f"no machine has {absurd}")
            return message
        log.warning("agent %s epoch %s was refused: %s", message.instance, message.epoch, refusal.message)
        await socket.send(encode(refusal))
        return None

    def _refusal(self, hello: Hello) -> Refused | None:
        if hello.protocol != PROTOCOL:
            return Refused(reason="protocol", message=f"this coordinator speaks protocol {PROTOCOL}")
        expected = self._enrolment.expected(hello.instance)
        if expected is None or hello.epoch != expected[0]:
            return Refused(reason="fenced", message="another agent has taken this one's place")
        if not hmac.compare_digest(self._enrolment.hash(hello.token), expected[1]):
            return Refused(reason="token", message="the token is not this agent's")
        return None
