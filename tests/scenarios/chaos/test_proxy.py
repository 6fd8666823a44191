"""What is done to messages is done, and nothing else: to real websockets, on real sockets."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from tests.scenarios.chaos.plan import What
from tests.scenarios.chaos.proxy import Proxy

Scenario = Callable[["Coordinator", Proxy, Path], Awaitable[None]]


class Coordinator:
    """Acknowledges all it hears, and remembers it by connection."""

    def __init__(self) -> None:
        self.heard: list[list[int]] = []
        self.more = asyncio.Event()

    async def serve(self, socket: ServerConnection) -> None:
        heard: list[int] = []
        self.heard.append(heard)
        try:
            async for frame in socket:
                message = json.loads(frame)
                if message["type"] == "hello":
                    known = max((seq for one in self.heard for seq in one), default=0)
                    await socket.send(json.dumps({"type": "welcome", "acknowledged": known}))
                    continue
                heard.append(message["seq"])
                self.more.set()
                await socket.send(json.dumps({"type": "ack", "through": message["seq"]}))
        except ConnectionClosed:
            return

    async def until(self, heard: list[list[int]]) -> None:
        async with asyncio.timeout(20):
            while self.heard != heard:
                self.more.clear()
                await self.more.wait()


def through(scenario: Scenario) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory(prefix="ct-") as name:
            folder, here = Path(name), Coordinator()
            async with unix_serve(here.serve, str(folder / "real.sock")):
                proxy = await asyncio.to_thread(Proxy, folder, folder / "real.sock", ["gpu"])
                try:
                    await scenario(here, proxy, folder / "gpu.sock")
                finally:
                    await asyncio.to_thread(proxy.close)

    asyncio.run(main())


def agent(socket: Path) -> unix_connect:
    return unix_connect(str(socket), "ws://localhost/agent", close_timeout=1, compression=None)


async def hello(connection: ClientConnection) -> int:
    await connection.send(json.dumps({"type": "hello", "epoch": 1}))
    return int(json.loads(await connection.recv())["acknowledged"])


def report(seq: int) -> str:
    return json.dumps({"type": "reports", "seq": seq, "attempt": "a:0:1", "reports": [{"resource": seq}]})


def test_it_passes_messages_of_any_size_on_and_remembers_what_was_promised() -> None:
    async def scenario(here: Coordinator, proxy: Proxy, socket: Path) -> None:
        async with agent(socket) as connection:
            assert await hello(connection) == 0
            for seq, size in ((1, 0), (2, 200), (3, 70_000)):
                await connection.send(json.dumps({**json.loads(report(seq)), "more": "x" * size}))
                assert json.loads(await connection.recv())["through"] == seq
            assert proxy.promises["gpu", 1].kept() == {("a:0:1", 1), ("a:0:1", 2), ("a:0:1", 3)}
        assert here.heard == [[1, 2, 3]]

    through(scenario)


def test_a_torn_link_loses_the_message_and_what_was_not_acknowledged_is_not_promised() -> None:
    async def scenario(here: Coordinator, proxy: Proxy, socket: Path) -> None:
        async with agent(socket) as connection:
            await hello(connection)
            proxy.tear("gpu")
            await connection.send(report(1))
            with pytest.raises(ConnectionClosed):
                await connection.recv()
        assert here.heard == [[]]
        assert proxy.promises["gpu", 1].kept() == set()
        assert proxy.met[What.TEAR] == 1

    through(scenario)


def test_what_a_dead_connection_held_arrives_beside_what_the_next_one_says() -> None:
    async def scenario(here: Coordinator, proxy: Proxy, socket: Path) -> None:
        async with agent(socket) as connection:
            await hello(connection)
            straggling = asyncio.create_task(asyncio.to_thread(proxy.straggle, "gpu", 0.5))
            while not proxy.holds("gpu"):
                await asyncio.sleep(0)
            await connection.send(report(1))
            with pytest.raises(ConnectionClosed):
                await connection.recv()
            await straggling
        await here.until([[1]])
        assert proxy.met[What.STRAGGLE] == 1

    through(scenario)


def test_what_was_acknowledged_is_said_again_over_the_next_connection() -> None:
    async def scenario(here: Coordinator, proxy: Proxy, socket: Path) -> None:
        async with agent(socket) as connection:
            await hello(connection)
            await connection.send(report(1))
            await connection.recv()
            proxy.repeat("gpu")
            await connection.send(report(2))
            with pytest.raises(ConnectionClosed):
                await connection.recv()
        async with agent(socket) as connection:
            assert await hello(connection) == 1
            await here.until([[1], [1]])

    through(scenario)
