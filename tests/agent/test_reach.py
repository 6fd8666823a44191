"""Where the coordinator is: told again and again, and believed by the agent it is told to."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest

from clustertune.agent.enrolment import Enrolment
from clustertune.agent.reach import Reach, Ways
from clustertune.agent.stopper import Stopper
from clustertune.agent.wire import Trouble, Wire
from tests.agent.conftest import Coordinator
from tests.agent.host import PATIENCE_S, Host

ENROLMENT = Enrolment(socket="/first", instance="ssh-0", epoch=3, token="t", files="/first-files")
FIRST = Ways(socket="/first", files="/first-files")


def told(path: Path, text: object) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text if isinstance(text, str) else json.dumps(text))
    fresh.replace(path)


def test_the_enrolment_holds_until_a_file_says_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "reach.json"
    reach = Reach(ENROLMENT, path)
    assert reach.now() == FIRST
    told(path, {"epoch": 3, "socket": "/second", "files": "/f"})
    assert reach.now() == Ways(socket="/second", files="/f")
    told(path, {"epoch": 3, "socket": "/third"})
    assert reach.now() == Ways(socket="/third", files="")


def test_what_another_epoch_is_told_is_not_for_this_one(tmp_path: Path) -> None:
    path = tmp_path / "reach.json"
    told(path, {"epoch": 2, "socket": "/second", "files": "/f"})
    assert Reach(ENROLMENT, path).now() == FIRST


@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null", '{"socket": "/x"}', "\0", "[" * 10**5])
def test_a_damaged_file_says_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "reach.json"
    reach = Reach(ENROLMENT, path)
    told(path, {"epoch": 3, "socket": "/second", "files": "/f"})
    reach.now()
    told(path, text)
    assert reach.now().socket == "/second"
    path.unlink()
    assert reach.now().socket == "/second"


def test_the_verb_writes_it_whole_and_removes_sockets_of_the_past(host: Host) -> None:
    sockets = Path(host.ask("look")["sockets"])
    kept = [sockets / name for name in ("now", "files")]
    held = []
    for path in (*kept, sockets / "past"):
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].bind(str(path))
    (sockets / "no-socket").write_text("")
    assert host.ask("reach", {"epoch": 3, "socket": str(kept[0]), "files": str(kept[1])}) == {}
    assert {path.name for path in sockets.iterdir()} == {"now", "files", "no-socket"}
    path = host.root / "reach.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Reach(ENROLMENT, path).now() == Ways(socket=str(kept[0]), files=str(kept[1]))
    for each in held:
        each.close()


def test_checkpoints_take_the_way_that_was_told_last(tmp_path: Path) -> None:
    path = tmp_path / "reach.json"
    wire = Wire(ENROLMENT, Reach(ENROLMENT, path))
    assert wire.where() == "/first-files"
    told(path, {"epoch": 3, "socket": "/second", "files": ""})
    assert wire.where() == ""
    with pytest.raises(Trouble, match="no place for checkpoints"):
        wire.ask("GET", "/v1/x", Stopper())


def scenario_with_agent(host: Host, scenario, **more: object) -> None:
    """An agent that was told nothing yet, and a coordinator that is not open yet."""

    async def main() -> None:
        await asyncio.to_thread(
            host.ask, "start", {"socket": "", "instance": "ssh-0", "epoch": 1, "token": "t", **more}
        )
        coordinator = Coordinator(host.folder / "c.sock")
        try:
            await scenario(coordinator)
        finally:
            if coordinator._server is not None:
                await coordinator.close()

    asyncio.run(main())


async def reach(host: Host, path: Path, epoch: int = 1) -> None:
    await asyncio.to_thread(host.ask, "reach", {"epoch": epoch, "socket": str(path), "files": ""})


def test_an_agent_that_was_told_nothing_waits_and_comes_once_it_is_told(host: Host) -> None:
    async def scenario(coordinator: Coordinator) -> None:
        while "was not told yet" not in (await asyncio.to_thread(host.ask, "words"))["text"]:
            await asyncio.sleep(0.01)
        await coordinator.open()
        await reach(host, coordinator.socket, epoch=2)
        assert not coordinator.hellos
        await reach(host, coordinator.socket)
        await coordinator.connected()

    scenario_with_agent(host, scenario)


def test_an_agent_goes_where_the_coordinator_is_now_though_the_old_way_seems_open(host: Host) -> None:
    async def scenario(coordinator: Coordinator) -> None:
        # What sshd keeps of a connection that is dead: it takes who comes, and nothing comes of it.
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(host.folder / "old.sock"))
            silent.listen()
            await reach(host, host.folder / "old.sock")
            await coordinator.open()
            silent.settimeout(PATIENCE_S)
            taken, _ = await asyncio.to_thread(silent.accept)
            await reach(host, coordinator.socket)
            await coordinator.until(lambda: coordinator.hellos, 5)
            taken.close()

    scenario_with_agent(host, scenario)


def test_an_agent_that_is_connected_leaves_for_the_new_place_with_what_it_runs(host: Host) -> None:
    async def scenario(coordinator: Coordinator) -> None:
        await coordinator.open()
        await reach(host, coordinator.socket)
        await coordinator.connected()
        moved = host.folder / "moved.sock"
        os.link(coordinator.socket, moved)
        await reach(host, moved)
        await coordinator.until(lambda: len(coordinator.hellos) == 2)
        await coordinator.connected()

    scenario_with_agent(host, scenario)


def test_a_link_that_is_dead_without_being_closed_is_noticed(host: Host) -> None:
    async def scenario(coordinator: Coordinator) -> None:
        await coordinator.open()
        await reach(host, coordinator.socket)
        await coordinator.connected()
        (dead,) = coordinator._connections
        dead.transport.pause_reading()  # pings too
        await coordinator.until(lambda: len(coordinator.hellos) == 2)
        dead.transport.resume_reading()

    scenario_with_agent(host, scenario, ping_s=0.2)
