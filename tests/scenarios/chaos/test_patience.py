"""An agent that was cut off for longer than the coordinator has patience."""

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

EPOCHS, TRIALS = 60, 6
LIMIT_S = 60.0


@pytest.fixture
def made(home: TestHome, tmp_path: Path, ssh_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return {"home": home, "folder": tmp_path, "key": ssh_machines.key, "machines": ssh_machines(2)}


def begin(stage: Stage) -> None:
    """Trials run on both machines, and report. More than two: the first machine takes one in hand for later."""
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
    assert lost
