"""DESIGN.md 7: a file that arrives from an agent cannot leave its directory; message sizes are bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import unix_connect

from clustertune.model.codec import to_plain
from clustertune.model.instance import Gpu
from clustertune.model.messages import Ack, Ended, Reports, Started, Welcome
from clustertune.model.trial import Ending, EndReason, Report
from tests.coordinator.house import Agent, House, house

LARGE = 3_900_000
"""Nearly as much as a frame may hold."""


def with_agent(folder: Path, act: Callable[[House, Agent], Awaitable[None]]) -> None:
    """An agent that may join does something, and another, well-behaved one is served after it."""

    async def main() -> None:
        async with house(folder) as here:
            await here.submit()
            intent = await here.launched()
            async with here.agent(intent) as agent:
                await agent.next(Welcome)
                await act(here, agent)
            async with asyncio.timeout(20), here.agent(intent) as agent:
                welcome = await agent.next(Welcome)
                await agent.send(Started(seq=welcome.acknowledged + 1, attempt="digits:0:1", pid=1))
                while (await agent.seek(Ack)).through <= welcome.acknowledged:
                    pass
            assert not here.coordinator.fatal.done()

    asyncio.run(main())


def frame(message: str, /, **fields: Any) -> str:
    return json.dumps({"type": message, **fields})


@pytest.mark.parametrize("depth", [50, 100, 300, 500, 900, 100_000])
def test_a_frame_nested_deeply_ends_nothing_but_its_own_connection(depth: int, tmp_path: Path) -> None:
    nested = '{"a":' * depth + "1" + "}" * depth
    fields = '"seq":1,"attempt":"digits:0:1","provenance":"p","told":{}'

    async def act(here: House, agent: Agent) -> None:
        del here
        await agent.socket.send(f'{{"type":"described",{fields},"content":{nested}}}')
        if depth > 64:
            assert await agent.closed() == 1002
        else:
            await agent.seek(Ack)

    with_agent(tmp_path, act)


@pytest.mark.parametrize(
    "inventory",
    [
        {"cpus": 1e300, "memory_bytes": 1},
        {"cpus": "nan", "memory_bytes": 1},
        {"cpus": "inf", "memory_bytes": 1},
        {"cpus": 1, "memory_bytes": 1, "slots": 10**12},
        {"cpus": 1, "memory_bytes": 1, "slots": -1},
        {"cpus": 1, "memory_bytes": 10**400},
        {"cpus": 1, "memory_bytes": 1, "gpus": [to_plain(Gpu(i, "card", 1)) for i in range(20_000)]},
        {"cpus": 1, "memory_bytes": 1, "gpus": [to_plain(Gpu(0, "card", 1))] * 2},
    ],
)
def test_a_machine_that_cannot_be_is_not_believed(inventory: dict[str, Any], tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit(trials=None)
            intent = await here.launched()
            hello = {"protocol": 2, "version": "0", "instance": intent.instance, "epoch": intent.epoch}
            async with asyncio.timeout(20):
                socket = await unix_connect(str(here.socket), "ws://localhost/", compression=None)
                await socket.send(frame("hello", **hello, token=intent.token, inventory=inventory))
                await socket.wait_closed()
                assert socket.close_code == 1002
            async with asyncio.timeout(20), here.agent(intent) as agent:
                await agent.next(Welcome)

    asyncio.run(main())


def test_many_tiny_frames_and_huge_texts_leave_the_coordinator_answering(tmp_path: Path) -> None:
    async def act(here: House, agent: Agent) -> None:
        await agent.send(Started(seq=1, attempt="digits:0:1", pid=1))
        count = 3_000
        for seq in range(2, count):
            await agent.send(Reports(seq=seq, attempt="digits:0:1", reports=(Report(seq, {"error": 1.0}),)))
        names = {f"metric {number}": 1.0 for number in range(50_000)}
        await agent.send(Reports(seq=count, attempt="digits:0:1", reports=(Report(10**6, {"error": 0.5, **names}),)))
        ending = Ending(reason=EndReason.RAISED, error="e" * LARGE, notices=("n",) * 1000)
        await agent.send(Ended(seq=count + 1, attempt="digits:0:1", ending=ending))
        while (await agent.seek(Ack)).through < count + 1:
            pass
        snapshot = json.dumps(to_plain(await here.answers.snapshot("digits", 0)))
        assert len(snapshot) < 200_000

    with_agent(tmp_path, act)


@pytest.mark.parametrize(
    "attempt", ["../../../evil:0:1", "/etc/evil:0:1", "digits:0:../../evil", "digits:\0:1", "", "digits:99:1"]
)
def test_an_attempt_that_is_none_of_ours_writes_nowhere(attempt: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.parent.iterdir())

    async def act(here: House, agent: Agent) -> None:
        del here
        await agent.send(Started(seq=1, attempt=attempt, pid=1))
        await agent.send(Reports(seq=2, attempt=attempt, reports=(Report(1, {"error": 1.0}),)))
        await agent.socket.send(
            frame("saved", seq=3, attempt=attempt, kind="checkpoint", resource=1, digest="../x", size_bytes=1)
        )
        await agent.send(Ended(seq=4, attempt=attempt, ending=Ending(reason=EndReason.RETURNED)))
        while (await agent.seek(Ack)).through < 4:
            pass

    with_agent(tmp_path, act)
    assert sorted(tmp_path.parent.iterdir()) == before
    assert not list(tmp_path.rglob("*evil*"))
