"""A coordinator in this process with real sockets and a real journal; machines come from a provider that is a fake."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, unix_connect

from clustertune.coordinator import files_server
from clustertune.coordinator.answers import Answers
from clustertune.coordinator.coordinator import Coordinator
from clustertune.coordinator.core import events as e
from clustertune.coordinator.journal import Journal
from clustertune.coordinator.places import Places
from clustertune.definition.cluster import ClusterDefinition
from clustertune.model.clock import SystemClock
from clustertune.model.errors import ProviderError
from clustertune.model.instance import Inventory
from clustertune.model.messages import PROTOCOL, FromAgent, Hello, Message, decode, encode
from clustertune.model.snapshot import Submission
from clustertune.provisioner.contracts import Found, Furnished, LaunchIntent, Outfit, Tell
from clustertune.search.registry import Registry
from tests.coordinator.core.world import definition

M = TypeVar("M", bound=Message)


@dataclass
class FakeProvider:
    """Remembers launches; its machines live until ``kill``."""

    launched: asyncio.Queue[LaunchIntent] = field(default_factory=asyncio.Queue)
    alive: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.adopted: list[LaunchIntent] = []
        self.furnished: list[Outfit] = []
        self.looks = 0
        self.may_look = threading.Event()
        self.may_look.set()
        self.may_launch = threading.Event()
        self.may_launch.set()
        self.may_furnish = threading.Event()
        self.may_furnish.set()
        self.refusal: ProviderError | None = None

    def instances(self) -> Sequence[str]:
        return ("local-0",)

    def launch(self, intent: LaunchIntent, tell: Tell) -> None:
        tell("connecting")
        self.may_launch.wait(10)
        self.alive[intent.instance] = intent.epoch
        self._loop.call_soon_threadsafe(self.launched.put_nowait, intent)

    def adopt(self, intents: Sequence[LaunchIntent]) -> None:
        self.adopted = [*intents]

    def furnish(self, instance: str, outfit: Outfit, tell: Tell) -> Furnished:
        tell("furnishing")
        assert outfit.snapshot is not None
        self.furnished.append(outfit)
        self.may_furnish.wait(10)
        if self.refusal is not None:
            raise self.refusal
        return Furnished(workdir=f"/on/{instance}/{outfit.snapshot.digest}", python="/usr/bin/python3")

    def close(self) -> None:
        self.alive.clear()

    def list(self) -> Sequence[Found]:
        self.looks += 0 if self.may_look.is_set() else 1
        self.may_look.wait(10)
        return [Found(instance=instance, epoch=epoch) for instance, epoch in self.alive.items()]

    def terminate(self, instances: Sequence[str]) -> None:
        for instance in instances:
            self.alive.pop(instance, None)

    def last_words(self, instance: str) -> str:
        return f"the last words of {instance}"

    def kill(self, instance: str = "local-0") -> None:
        del self.alive[instance]


@dataclass
class Agent:
    """One connection of an agent that the test plays."""

    socket: ClientConnection

    async def send(self, message: FromAgent) -> None:
        await self.socket.send(encode(message))

    async def next(self, kind: type[M]) -> M:
        """The next message, which must be of this kind; acknowledgements are passed over unless asked for."""
        async with asyncio.timeout(10):
            while True:
                message = decode(await self.socket.recv())
                if isinstance(message, kind):
                    return message
                assert type(message).__name__ == "Ack", message

    async def seek(self, kind: type[M]) -> M:
        """The next message of this kind, whatever comes before it."""
        async with asyncio.timeout(10):
            while not isinstance(message := decode(await self.socket.recv()), kind):
                pass
            return message

    async def closed(self) -> int | None:
        async with asyncio.timeout(10):
            await self.socket.wait_closed()
        return self.socket.close_code


@dataclass
class House:
    coordinator: Coordinator
    answers: Answers
    provider: FakeProvider
    socket: Path

    async def submit(self, name: str = "digits", snapshot: str = "", **changes: Any) -> str:
        plain, workdir, python = definition(**changes), "/x", "python"
        if snapshot:
            workdir, python = "sub", ""
        given = Submission(definition=plain, workdir=workdir, python=python, snapshot=snapshot)
        return await self.answers.submit(given, name)

    async def stop(self, name: str = "digits") -> None:
        await self.answers.ask(e.StopAsked(experiment=name), {})

    @property
    def ticks(self) -> float:
        """Grows with each tick."""
        return self.coordinator.core.fleet.ticked_at or 0.0

    def connected(self, instance: str) -> bool:
        return self.coordinator.core.state.instances[instance].connected

    async def launched(self) -> LaunchIntent:
        async with asyncio.timeout(10):
            return await self.provider.launched.get()

    @contextlib.asynccontextmanager
    async def agent(self, intent: LaunchIntent, slots: int = 2, **changes: Any) -> AsyncIterator[Agent]:
        hello = {
            "protocol": PROTOCOL,
            "version": "0",
            "instance": intent.instance,
            "epoch": intent.epoch,
            "token": intent.token,
            "inventory": Inventory(cpus=2, memory_bytes=2**30, slots=slots),
            **changes,
        }
        socket = await unix_connect(str(self.socket), "ws://localhost/", compression=None)
        try:
            agent = Agent(socket)
            await agent.send(Hello(**hello))
            yield agent
        finally:
            # websockets 17 stumbles over a transport that the other side has reset while it was being written to.
            with contextlib.suppress(AttributeError):
                await socket.close()


@contextlib.asynccontextmanager
async def house(folder: Path, cluster: dict[str, Any] | None = None) -> AsyncIterator[House]:
    """Open it twice on one folder to see what a restart finds; leaving it is as sudden as kill -9 for the core."""
    places = Places(folder, "local")
    places.prepare()
    provider = FakeProvider()
    journal = Journal(places.journal)
    coordinator = Coordinator(
        places=places,
        cluster=ClusterDefinition.from_plain(cluster or {"name": "local", "provider": "local"}),
        algorithms=Registry.default(),
        provider=provider,
        journal=journal,
        clock=SystemClock(),
    )
    coordinator.recover()
    for instance in coordinator.core.state.instances.values():
        provider.alive[instance.id] = instance.epoch
    server = await coordinator.link.listen(places.agent_socket())
    files = await files_server.serve(places.files_socket(), coordinator.depot)
    await coordinator.begin()
    running = asyncio.create_task(coordinator.run())
    try:
        yield House(coordinator, Answers(coordinator), provider, places.agent_socket())
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        provider.may_look.set()
        provider.may_launch.set()
        provider.may_furnish.set()
        await coordinator.machines.close()
        await files.close()
        server.close(close_connections=True)
        await server.wait_closed()
        journal.close()
