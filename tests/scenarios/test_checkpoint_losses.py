"""kill -9 of agents, trials and coordinator while checkpoints are made, sent and fetched: nothing lost or twice."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.scenarios import carrying
from tests.scenarios.machines import INSTANCES, Machines, wait_for
from tests.scenarios.promises import check_placements, check_reports, check_what_is_left

if TYPE_CHECKING:
    from tests.scenarios.conftest import Kept

pytestmark = [pytest.mark.timeout(150), pytest.mark.parametrize("storage", ["own"], indirect=True)]

Moment = Callable[[Machines, int], str | None]
"""Which machine it is about, where the moment is now; only what is in the journal after a fact counts."""


def saves(machines: Machines, _: int) -> str | None:
    """The program is writing a checkpoint."""
    return _instance(machines, "attempts/*/checkpoints/.part-*")


def hashes(machines: Machines, _: int) -> str | None:
    """The agent has it, and has not said so."""
    folders = [path for path in machines.folder.glob("instances/*/checkpoints/*/*") if path.is_dir()]
    unsealed = [path for path in folders if not path.with_name(path.name + ".json").exists()]
    return next((path.parts[-4] for path in unsealed if path.parts[-2] != ".trash"), None)


def uploads(machines: Machines, after: int) -> str | None:
    """It is said, and not stored."""
    return next(_unstored(machines, after), (None, ""))[0]


def uploaded(machines: Machines, after: int) -> str | None:
    """All of it is in the storage, and nobody was told."""
    for instance, digest in _unstored(machines, after):
        if list(machines.folder.glob(f"checkpoints/*/manifests/{digest}")):
            return instance
    return None


def fetches(machines: Machines, after: int) -> str | None:
    """An attempt that begins from a checkpoint was placed, and has not begun."""
    facts = machines.facts("AttemptPlaced", "AttemptStarted", after=after)
    last = facts[-1] if facts else {}
    return last["instance"] if last.get("checkpoint") is not None else None


def starts(machines: Machines, after: int) -> str | None:
    """An attempt that began from a checkpoint runs."""
    facts = machines.facts("AttemptPlaced", "AttemptStarted", after=after)
    placed = {fact["trial"]: fact for fact in facts if fact["fact"] == "AttemptPlaced" and fact["checkpoint"]}
    started = [fact["trial"] for fact in facts if fact["fact"] == "AttemptStarted" and fact["trial"] in placed]
    return placed[started[-1]]["instance"] if started else None


MOMENTS: list[Moment] = [saves, hashes, uploads, uploaded, fetches, starts]


def _instance(machines: Machines, pattern: str) -> str | None:
    found = list(machines.folder.glob(f"instances/*/{pattern}"))
    return found[0].relative_to(machines.folder).parts[1] if found else None


def _unstored(machines: Machines, after: int) -> Iterator[tuple[str, str]]:
    facts = machines.facts("CheckpointSaved", "CheckpointStored", "CheckpointDropped", after=after)
    gone = {fact["digest"] for fact in facts if fact["fact"] != "CheckpointSaved"}
    for fact in facts:
        if fact["fact"] == "CheckpointSaved" and fact["wanted"] and fact["ref"]["digest"] not in gone:
            yield fact["instance"], fact["ref"]["digest"]


def strike(machines: Machines, victim: str, instance: str) -> None:
    if victim == "agent":
        machines.kill_agent(instance)
        return
    if victim == "coordinator":
        machines.kill_coordinator()
        machines.start()
        return
    spawners = machines.home.processes("clustertune.agent.spawner")
    with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
        if children := [child for spawner in spawners for child in spawner.children()]:
            children[0].kill()


@pytest.mark.parametrize("victim", ["agent", "coordinator"])
def test_whoever_is_killed_at_each_step_of_a_checkpoints_way_every_trial_ends_once_and_as_it_would_have(
    machines: Machines, storage: Kept, victim: str, tmp_path: Path
) -> None:
    machines.start()
    name = machines.submit(tmp_path, **carrying.definition("torn", tmp_path, trials=18))
    struck = []
    for moment in MOMENTS:
        after = machines.last_fact()
        found = wait_for(lambda: moment(machines, after) or machines.is_over(name), moment.__name__, more=machines.log)  # noqa: B023 - called before they change
        if machines.is_over(name):
            break
        struck.append(moment.__name__)
        strike(machines, victim, found)
    check_all(machines, storage, name, trials=18)
    assert len(struck) >= 4, struck


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_at_random_moments_too(machines: Machines, storage: Kept, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    machines.start()
    name = machines.submit(tmp_path, **carrying.definition("torn", tmp_path, retries=20))
    for _ in range(4):
        until = machines.last_fact() + chance.randint(3, 25)
        wait_for(lambda: machines.last_fact() >= until or machines.is_over(name), "more facts", more=machines.log)  # noqa: B023
        strike(machines, chance.choice(["agent", "trial", "coordinator"]), chance.choice(INSTANCES))
    check_all(machines, storage, name, trials=12)


def check_all(machines: Machines, storage: Kept, name: str, trials: int) -> None:
    machines.wait_for_end(name)
    ended = machines.ended(name)
    assert sorted(ended) == list(range(trials))
    assert "failed" not in ended.values(), machines.log()
    check_reports(machines, name)
    check_placements(machines, name)
    carrying.check_curves(machines, name)
    carrying.check_best(machines, name)
    check_what_is_left(machines, storage, name)
