"""Agents that were cut off for longer than the coordinator's patience, or their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.machines.fixture import Machines
from tests.machines.machine import Machine
from tests.scenarios.chaos.coordinator import Settings
from tests.scenarios.chaos.stage import Stage
from tests.scenarios.lab import there
from tests.scenarios.machines import wait_for

if TYPE_CHECKING:
    from tests.conftest import TestHome

EPOCHS, TRIALS = 120, 2
LIMIT_S = 60.0


@pytest.fixture
def made(home: TestHome, tmp_path: Path, ssh_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return {"home": home, "folder": tmp_path, "key": ssh_machines.key, "machines": ssh_machines(2)}


def begin(stage: Stage) -> None:
    """One trial runs on each machine, and reports."""
    stage.lab.program(epochs=EPOCHS, step_s=0.05)
    stage.lab.tune(trials=TRIALS, per_trial={"cpus": 2})
    for name in stage.lab.hosts:
        stage.lab.until(lambda name=name: stage.proxy.promises[name, 1].kept(), "a report")  # type: ignore[misc]


def agents(machine: Machine) -> list[psutil.Process]:
    return machine.processes("--folder")


def reported(machine: Machine) -> int:
    """By what the agent wrote down and was not acknowledged."""
    return int(there(machine, "cat .clustertune/machines/*/*/agent/outbox-*.jsonl | grep -c reports || true"))


def goings(stage: Stage) -> list[tuple[str, int]]:
    """Before anybody said down."""
    gone = [fact for fact in stage.lab.facts("InstanceGone") if "unheard of" in fact["reason"]]
    return [(fact["instance"], fact["epoch"]) for fact in gone]


def test_an_agent_cut_off_for_too_long_loses_its_trial_and_is_replaced_when_it_is_back(made: dict[str, Any]) -> None:
    with Stage(**made, settings=Settings(lost_after_s=2.0)) as stage:
        begin(stage)
        far = stage.lab.machines[0]
        (old,) = agents(far)
        far.cut()
        stage.lab.until(lambda: goings(stage) == [("gpu0", 1)], "the loss of the agent that was cut off")
        assert old.is_running()
        assert reported(far) > 0
        far.heal()
        wait_for(lambda: not old.is_running(), "the end of the agent that was replaced", LIMIT_S, stage.lab.log)
        assert stage.lab.end_of().counts["completed"] == TRIALS
        check_that_each_level_counts_once(stage)
        stage.down()


def check_that_each_level_counts_once(stage: Stage) -> None:
    rows = stage.lab.query("SELECT trial, resource, COUNT(*) FROM reports WHERE observed GROUP BY trial, resource")
    assert [row for row in rows if row[2] != 1] == []
    assert len(rows) == TRIALS * EPOCHS
    lost = [fact for fact in stage.lab.facts("AttemptPlaced") if fact["attempt"] > 1]
    assert len(lost) == 1


def test_an_agent_that_nobody_needs_any_more_is_fenced_when_it_is_back(made: dict[str, Any]) -> None:
    with Stage(**made, settings=Settings(lost_after_s=2.0)) as stage:
        begin(stage)
        far = stage.lab.machines[0]
        (old,) = agents(far)
        far.cut()
        stage.lab.until(lambda: goings(stage) == [("gpu0", 1)], "the loss of the agent that was cut off")
        with stage.lab.client() as client:
            client.stop("curve")
        stage.lab.until(lambda: not stage.lab.experiment().running, "the end of what still ran")
        told = stage.lab.query("SELECT COUNT(*) FROM reports")
        far.heal()
        wait_for(lambda: not far.processes(), "the end of the agent and its trial", LIMIT_S, stage.lab.log)
        assert not old.is_running()
        assert stage.lab.query("SELECT COUNT(*) FROM reports") == told
        stage.down()


def test_an_agent_without_any_coordinator_ends_its_trials_and_itself(made: dict[str, Any]) -> None:
    with Stage(**made, settings=Settings(orphan_after_s=2.0)) as stage:
        begin(stage)
        stage.kill_coordinator()
        for machine in stage.lab.machines:
            wait_for(lambda machine=machine: not machine.processes(), "the end of all there", LIMIT_S)  # type: ignore[misc]
            said = there(machine, "cat .clustertune/machines/*/*/agent.log")
            assert "no coordinator was heard of for 2 s" in said
        stage.start()
        assert stage.lab.end_of().counts["completed"] == TRIALS
        stage.down()
