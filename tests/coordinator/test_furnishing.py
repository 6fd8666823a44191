"""Trials on machines elsewhere begin once their program is there, and nothing overtakes their start."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from clustertune.coordinator.workdirs import Workdirs
from clustertune.model.checkpoint import FileEntry, Manifest, Part
from clustertune.model.errors import ProviderFatal
from clustertune.model.messages import Start, Stop
from tests.coordinator.house import House, house

LAB = {"name": "lab", "provider": "ssh", "hosts": [{"host": "gpu"}], "setup": ["make"], "env": {"A": "b"}}


def at_the_lab(folder: Path, work: Callable[[House], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), house(folder, LAB) as here:
            await work(here)

    asyncio.run(main())


async def sent(workdirs: Workdirs, text: str = "print(1)\n") -> str:
    """A snapshot that is whole at the coordinator."""
    data = text.encode()
    part = Part(hashlib.sha256(data).hexdigest(), len(data))
    manifest = Manifest((FileEntry(path="sub/train.py", parts=(part,)),))
    if await workdirs.announce(manifest, manifest.digest()):
        receiver = workdirs.receive(part.digest)
        receiver.write(data)
        receiver.finish()
        assert not await workdirs.announce(manifest, manifest.digest())
    return manifest.digest()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def test_trials_run_where_the_machine_has_the_program(tmp_path: Path) -> None:
    async def work(here: House) -> None:
        digest = await sent(here.coordinator.workdirs)
        await here.submit(snapshot=digest, trials=2)
        intent = await here.launched()
        async with here.agent(intent) as agent:
            starts = [await agent.seek(Start), await agent.seek(Start)]
        assert {start.run.workdir for start in starts} == {f"/on/{intent.instance}/{digest}/sub"}
        assert {start.run.python for start in starts} == {"/usr/bin/python3"}
        assert [(outfit.setup, outfit.env) for outfit in here.provider.furnished] == [(("make",), {"A": "b"})]

    at_the_lab(tmp_path, work)


def test_what_is_said_of_a_trial_waits_behind_its_start(tmp_path: Path) -> None:
    async def work(here: House) -> None:
        digest = await sent(here.coordinator.workdirs)
        here.provider.may_furnish.clear()
        await here.submit(snapshot=digest, trials=1)
        async with here.agent(await here.launched()) as agent:
            await until(lambda: bool(here.provider.furnished))
            await here.stop()
            here.provider.may_furnish.set()
            start = await agent.seek(Start)
            assert (await agent.seek(Stop)).attempt == start.attempt

    at_the_lab(tmp_path, work)


def test_an_agent_that_returns_meanwhile_is_told_once(tmp_path: Path) -> None:
    async def work(here: House) -> None:
        digest = await sent(here.coordinator.workdirs)
        here.provider.may_furnish.clear()
        await here.submit(snapshot=digest, trials=1)
        intent = await here.launched()
        async with here.agent(intent):
            await until(lambda: bool(here.provider.furnished))
        async with here.agent(intent) as agent:
            await until(lambda: here.connected(intent.instance))
            here.provider.may_furnish.set()
            await agent.seek(Start)
            await here.stop()
            await agent.seek(Stop)
        assert len(here.provider.furnished) == 1

    at_the_lab(tmp_path, work)


def test_a_machine_that_cannot_be_made_ready_is_let_go_and_says_why(tmp_path: Path) -> None:
    async def work(here: House) -> None:
        digest = await sent(here.coordinator.workdirs)
        here.provider.refusal = ProviderFatal("setup failed: make: exit code 2")
        await here.submit(snapshot=digest, trials=1)
        async with here.agent(await here.launched()):
            await until(lambda: bool(here.coordinator.core.fleet.problems))
        assert here.coordinator.core.fleet.problem == "setup failed: make: exit code 2"
        trial = here.coordinator.core.state.experiments["digits"].trials[0]
        assert trial.state.value == "pending"
        assert trial.failures == 0

    at_the_lab(tmp_path, work)


def test_other_programs_that_are_still_needed_stay_on_the_machine(tmp_path: Path) -> None:
    async def work(here: House) -> None:
        one = await sent(here.coordinator.workdirs)
        two = await sent(here.coordinator.workdirs, "print(2)\n")
        await here.submit("one", snapshot=one, trials=1)
        async with here.agent(await here.launched()) as agent:
            await agent.seek(Start)
            await here.submit("two", snapshot=two, trials=1)
            await agent.seek(Start)
        assert [outfit.keep for outfit in here.provider.furnished] == [(), (one,)]

    at_the_lab(tmp_path, work)


def test_what_is_being_done_to_machines_is_told_while_nothing_can_run(tmp_path: Path) -> None:
    async def work(here: House) -> None:
        digest = await sent(here.coordinator.workdirs)
        here.provider.may_launch.clear()
        await here.submit(snapshot=digest, trials=1)
        experiment = here.coordinator.core.state.experiments["digits"]
        await until(lambda: here.coordinator.view(experiment).waiting == "local-0: connecting")
        here.provider.may_launch.set()
        await until(lambda: here.coordinator.view(experiment).waiting == "a machine is being started")

    at_the_lab(tmp_path, work)


def test_a_provider_that_takes_long_to_look_holds_up_nothing(tmp_path: Path) -> None:
    async def work(here: House) -> None:
        digest = await sent(here.coordinator.workdirs)
        await here.submit(snapshot=digest, trials=1)
        intent = await here.launched()
        here.provider.may_look.clear()
        async with here.agent(intent):
            await until(lambda: here.connected(intent.instance))
        await until(lambda: here.provider.looks > 0 and not here.connected(intent.instance))
        before = here.ticks
        await until(lambda: here.ticks > before + 1)
        assert not here.provider.may_look.is_set()
        here.provider.may_look.set()

    at_the_lab(tmp_path, work)
