"""The agents' link over real sockets: who may join, what is acknowledged, what a second connection finds."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import unix_connect

from clustertune.coordinator.agent_link import AgentLink
from clustertune.coordinator.core import events as e
from clustertune.coordinator.places import Places
from clustertune.model.codec import to_plain
from clustertune.model.instance import Inventory
from clustertune.model.messages import (
    MAX_FRAME_BYTES,
    PROTOCOL,
    Ack,
    Ended,
    Forget,
    Hello,
    LogChunk,
    LogRequest,
    Numbered,
    Refused,
    Reports,
    Start,
    Started,
    Stop,
    Welcome,
    encode,
)
from clustertune.model.trial import Ending, EndReason, Report, TrialState
from tests.coordinator.core.world import definition
from tests.coordinator.house import Agent, house


def reports(seq: int, *resources: int, attempt: str = "digits:0:1") -> Reports:
    return Reports(seq=seq, attempt=attempt, reports=tuple(Report(r, {"error": 1 / r}) for r in resources))


async def acknowledged(agent: Agent, through: int) -> None:
    while (await agent.seek(Ack)).through < through:
        pass


@pytest.mark.parametrize(
    ("changes", "reason"), [({"token": "wrong"}, "token"), ({"epoch": 7}, "fenced"), ({"protocol": 99}, "protocol")]
)
def test_an_agent_that_may_not_join_is_told_why(changes: dict[str, object], reason: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            async with here.agent(await here.launched(), **changes) as agent:
                assert (await agent.next(Refused)).reason == reason
                await agent.closed()

    asyncio.run(main())


@pytest.mark.parametrize(
    "frame", ["", "no json", "[]", '{"type":"started","seq":1}', '{"type":"nonsense"}', b"\xff\x00"]
)
def test_garbage_closes_the_connection_and_harms_nobody(frame: str | bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            intent = await here.launched()
            async with here.agent(intent) as agent:
                await agent.next(Welcome)
                await agent.next(Start)
                await agent.next(Start)
                await agent.socket.send(frame)
                assert await agent.closed() == 1002
            async with here.agent(intent) as agent:
                await agent.next(Welcome)
                assert (await agent.next(Start)).attempt == "digits:0:1"

    asyncio.run(main())


def test_a_frame_beyond_the_bound_closes_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            async with here.agent(await here.launched()) as agent:
                await agent.next(Welcome)
                await agent.socket.send('{"type":"started","attempt":"' + "x" * MAX_FRAME_BYTES + '"}')
                assert await agent.closed() in (1006, 1009)

    asyncio.run(main())


def test_what_is_repeated_after_a_cut_is_counted_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            intent = await here.launched()
            async with here.agent(intent) as agent:
                await agent.send(Started(seq=1, attempt="digits:0:1", pid=1))
                await agent.send(reports(2, 1, 2))
                await acknowledged(agent, 2)
                await agent.send(reports(3, 3))
            async with here.agent(intent) as agent:
                assert (await agent.next(Welcome)).acknowledged in (2, 3)
                await agent.next(Start)
                await agent.next(Start)
                for again in (2, 3):
                    await agent.send(reports(again, again))
                await agent.send(reports(4, 4))
                await acknowledged(agent, 4)
            snapshot = await here.answers.snapshot("digits")
            assert snapshot.reports == 4
            rows = here.answers.rows("digits", 0, 1)
            assert rows[0].resource == 4

    asyncio.run(main())


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            async with here.agent(await here.launched()) as agent:
                await agent.next(Welcome)
                await agent.send(reports(5, 1))
                assert await agent.closed() == 1002

    asyncio.run(main())


def test_a_restarted_coordinator_goes_on_where_its_journal_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            intent = await here.launched()
            async with here.agent(intent) as agent:
                await agent.send(Started(seq=1, attempt="digits:0:1", pid=1))
                await agent.send(reports(2, 1, 2))
                await acknowledged(agent, 2)
        async with house(tmp_path) as here, here.agent(intent) as agent:
            assert (await agent.next(Welcome)).acknowledged == 2
            assert {(await agent.next(Start)).attempt for _ in range(2)} == {"digits:0:1", "digits:1:1"}
            await agent.send(reports(2, 1, 2))
            await agent.send(Ended(seq=3, attempt="digits:0:1", ending=Ending(reason=EndReason.RETURNED)))
            assert (await agent.next(Start)).attempt == "digits:2:1"
            snapshot = await here.answers.snapshot("digits")
            assert (snapshot.reports, snapshot.counts["completed"]) == (2, 1)

    asyncio.run(main())


def test_an_agent_that_died_is_replaced_and_its_trials_run_again_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            async with here.agent(await here.launched()) as agent:
                await agent.next(Welcome)
                here.provider.kill()
            second = await here.launched()
            assert second.epoch == 2
            async with here.agent(second) as agent:
                await agent.next(Welcome)
                assert [(await agent.next(Start)).attempt for _ in range(2)] == ["digits:0:2", "digits:1:2"]

    asyncio.run(main())


def test_a_newer_connection_takes_the_place_of_an_older(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            intent = await here.launched()
            async with here.agent(intent) as first:
                await first.next(Welcome)
                async with here.agent(intent) as second:
                    await second.next(Welcome)
                    await first.closed()
                    await second.next(Start)
                    await second.next(Start)
                    await second.send(reports(1, 1))
                    await acknowledged(second, 1)

    asyncio.run(main())


def test_a_stop_reaches_the_agent_and_a_long_log_comes_home(tmp_path: Path) -> None:
    text = "line\n" * 30_000

    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            async with here.agent(await here.launched()) as agent:
                await agent.next(Welcome)
                await agent.next(Start)
                await agent.next(Start)
                from clustertune.coordinator.core import events as e

                await here.answers.ask(e.StopAsked(experiment="digits"), {})
                assert (await agent.next(Stop)).attempt == "digits:0:1"
                await agent.next(Stop)
                ending = Ending(reason=EndReason.STOPPED, log_bytes=len(text), log_tail=text[-100:])
                await agent.send(Ended(seq=1, attempt="digits:0:1", ending=ending))
                while True:
                    asked = await agent.next(LogRequest)
                    piece = text[asked.offset : asked.offset + asked.limit]
                    there = asked.offset + len(piece)
                    await agent.send(LogChunk(asked.request, asked.offset, there, len(text), piece, there == len(text)))
                    if there == len(text):
                        break
                assert (await agent.next(Forget)).attempts == ("digits:0:1",)
            assert here.answers.rows("digits", 0, 1)[0].state is TrialState.STOPPED
        assert Places(tmp_path, "local").log_of("digits", 0, 1).read_text() == text

    asyncio.run(main())


def test_files_of_results_are_there_from_the_first_report_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            async with here.agent(await here.launched()) as agent:
                await agent.send(Started(seq=1, attempt="digits:0:1", pid=1))
                await agent.send(reports(2, 1, 2))
                await acknowledged(agent, 2)
                two = Reports(
                    seq=3, attempt="digits:0:1", reports=(Report(3, {"error": 0.1, "a,b": float("nan"), "trial": 7.0}),)
                )
                await agent.send(two)
                await acknowledged(agent, 3)
                folder = here.coordinator.places.experiment("digits")
                last = folder / "results.json"  # it is written after the others
                async with asyncio.timeout(30):
                    while not last.exists() or '"resource": 3' not in last.read_text():
                        await asyncio.sleep(0.02)
                rows = list(csv.DictReader((folder / "reports.csv").read_text().splitlines()))
                metrics = ("error", "a,b", "metric.trial")
                assert [(row["trial"], row["resource"], *(row[name] for name in metrics)) for row in rows] == [
                    ("0", "1", "1.0", "", ""),
                    ("0", "2", "0.5", "", ""),
                    ("0", "3", "0.1", "nan", "7.0"),
                ]
                assert (folder / "best.yaml").read_text().startswith("lr: 0.")
                assert "nan" in (folder / "reports.csv").read_text()
                assert (folder / "trials.csv").read_text().splitlines()[1].startswith("0,running,1,3,0.1,")

    asyncio.run(main())


def test_text_that_no_file_takes_and_levels_beyond_all_bounds_harm_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            await here.submit()
            async with here.agent(await here.launched()) as agent:
                await agent.send(Started(seq=1, attempt="digits:0:1", pid=1))
                odd = '{"type":"reports","seq":2,"attempt":"digits:0:1","notices":["\\ud800"],"reports":'
                odd += '[{"resource":1,"metrics":{"\\ud800":1,"error":0.5}},'
                odd += '{"resource":99999999999999999999,"metrics":{}}]}'
                await agent.socket.send(odd)
                ending = Ending(reason=EndReason.RAISED, error="?")
                text = encode(Ended(seq=3, attempt="digits:0:1", ending=ending)).replace("?", "\\ud800")
                await agent.socket.send(text)
                await acknowledged(agent, 3)
            snapshot = await here.answers.snapshot("digits")
            json.dumps(to_plain(snapshot), ensure_ascii=False).encode()
            assert snapshot.reports == 1
            await here.coordinator.results.settle_all()
            assert (here.coordinator.places.experiment("digits") / "reports.csv").read_text().count("\n") == 2

    asyncio.run(main())


class OneByOne:
    """An enrolment whose journal takes messages when the test says so."""

    def __init__(self) -> None:
        self.epoch = 1
        self.open = asyncio.Event()
        self.waits = asyncio.Event()
        self.heard: list[tuple[int, int]] = []

    def expected(self, instance: str) -> tuple[int, str]:
        del instance
        return self.epoch, "token"

    def hash(self, token: str) -> str:
        return token

    def on_disk(self, instance: str, epoch: int) -> int:
        del instance, epoch
        return 0

    def connected(self, instance: str, epoch: int, inventory: Inventory) -> None: ...

    def disconnected(self, instance: str, epoch: int) -> None: ...

    def received(self, instance: str, epoch: int, message: Numbered, committed: Callable[[], None]) -> None:
        del instance, committed
        self.heard.append((epoch, message.seq))

    async def writable(self) -> None:
        self.waits.set()
        await self.open.wait()


def test_what_an_agent_said_before_its_successor_came_is_not_taken_after_it(tmp_path: Path) -> None:
    async def main() -> list[tuple[int, int]]:
        enrolment = OneByOne()
        link = AgentLink(enrolment)
        server = await link.listen(tmp_path / "s")
        hello = {"protocol": PROTOCOL, "version": "0", "instance": "m", "token": "token", "inventory": Inventory(1, 1)}
        sockets = []
        for epoch in (1, 2):
            enrolment.epoch = epoch
            socket = await unix_connect(str(tmp_path / "s"), "ws://localhost/", compression=None)
            sockets.append(socket)
            await socket.send(encode(Hello(epoch=epoch, **hello)))  # type: ignore[arg-type]
            await socket.recv()
            enrolment.waits.clear()
            await socket.send(encode(Started(seq=1, attempt="digits:0:1", pid=1)))
            await enrolment.waits.wait()
        enrolment.open.set()
        await sockets[1].send(encode(Started(seq=2, attempt="digits:1:1", pid=1)))
        async with asyncio.timeout(10):
            while (2, 2) not in enrolment.heard:
                await asyncio.sleep(0.001)
        for socket in sockets:
            with contextlib.suppress(AttributeError):
                await socket.close()
        server.close()
        await server.wait_closed()
        return enrolment.heard

    assert asyncio.run(main()) == [(2, 1), (2, 2)]


def test_a_start_that_is_not_on_disk_yet_is_told_to_nobody_who_comes_back_meanwhile(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as here:
            here.coordinator.handle(e.UpAsked())
            intent = await here.launched()
            async with here.agent(intent) as agent:
                await agent.next(Welcome)
            with contextlib.closing(sqlite3.connect(here.coordinator.journal.path, isolation_level=None)) as other:
                await here.coordinator.committed()
                other.execute("BEGIN IMMEDIATE")
                plain = definition(trials=1)
                async with here.agent(intent) as agent:
                    await agent.next(Welcome)
                    submitted = e.Submitted(experiment="digits", definition=plain, workdir="/x", python="python")
                    here.coordinator.handle(submitted)
                    assert here.coordinator.core.state.experiments["digits"].active
                async with here.agent(intent) as agent:
                    await agent.next(Welcome)
                    here.coordinator.link.send(intent.instance, Forget(attempts=()))
                    await agent.next(Forget)  # and no Start before it
                    other.execute("ROLLBACK")
                    assert (await agent.next(Start)).attempt == "digits:0:1"

    asyncio.run(main())
