"""Experiments whose algorithms were uninstalled: readable, paused where they were not over, and resumed afterwards."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.snapshots import best_trial
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.wayward import Wayward, install, put
from tests.coordinator.core.world import World

INSTALL = "the scheduler wayward is not installed any more: install package wayward 0.1 again"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install(tmp_path / "site", monkeypatch)


def uninstall(package: Path) -> None:
    shutil.rmtree(package)
    importlib.invalidate_caches()


@pytest.fixture
def running() -> World:
    """Two trials run; the first has passed its first level."""
    world = World()
    world.submit(trials=3, scheduler={"type": "wayward"}, resource={"name": "epoch", "max": 4})
    world.join(slots=2)
    world.ran(0)
    world.ran(1)
    world.report(0, 2, error=0.25)
    return world


def test_what_was_over_can_still_be_read(package: Path) -> None:
    world = World()
    world.submit(trials=1, scheduler={"type": "wayward"})
    world.join(slots=1)
    world.report(0, 2, error=0.25)
    world.end(0)
    uninstall(package)
    after = world.restarted()
    assert after.experiment().state is ExperimentState.COMPLETED
    assert best_trial(after.core, after.experiment()).value == 0.25
    assert [trial.state for trial in after.experiment().trials] == [TrialState.COMPLETED]


def test_what_was_not_over_is_paused_and_says_what_to_install(package: Path, running: World) -> None:
    running.submit("other", trials=1)
    uninstall(package)
    after = running.restarted()
    assert after.experiment().state is ExperimentState.PAUSED
    assert after.experiment().reason == (
        f"{INSTALL}; then `clustertune resume digits` goes on, after a restart of the coordinator if it runs"
    )
    assert after.stops() == [("digits:0:1", "paused"), ("digits:1:1", "paused")]
    assert (after.experiment().best_loss, after.experiment("other").state) == (0.25, ExperimentState.RUNNING)


def test_it_is_not_resumed_while_the_package_is_missing_and_can_be_stopped(package: Path, running: World) -> None:
    uninstall(package)
    after = running.restarted()
    after.send(e.ResumeAsked(experiment="digits"))
    assert after.experiment().state is ExperimentState.PAUSED
    after.send(e.StopAsked(experiment="digits"))
    assert after.experiment().state is ExperimentState.STOPPED


def test_with_the_package_back_it_goes_on_where_it_was(package: Path, running: World) -> None:
    uninstall(package)
    without = running.restarted()
    without.send(e.AgentConnected(instance="local-0", epoch=1, inventory=_inventory(running)))
    without.report(1, 2, error=0.5)
    without.end(0, EndReason.PAUSED)
    without.end(1, EndReason.PAUSED)
    put(package.parent)
    again = without.restarted()
    assert again.experiment().state is ExperimentState.PAUSED
    Wayward.asked.clear()
    again.send(e.ResumeAsked(experiment="digits"))
    assert again.experiment().state is ExperimentState.RUNNING
    again.send(e.AgentConnected(instance="local-0", epoch=1, inventory=_inventory(running)))
    again.ran(0)
    again.report(0, 4, error=0.125)
    assert "on_report" in Wayward.asked
    again.end(0)
    assert again.trial(0).state is TrialState.COMPLETED
    assert len(again.experiment().trials) == 3


def test_an_experiment_of_a_journal_without_packages_says_what_is_missing(package: Path, running: World) -> None:
    now, created = running.journal[0]
    assert isinstance(created, f.ExperimentCreated)
    assert created.packages == {"scheduler": "wayward 0.1"}
    kind, version, body = f.write(created)
    old = f.read(kind, version - 1, body.replace(',"packages":{"scheduler":"wayward 0.1"}', ""))
    running.journal[0] = now, old
    uninstall(package)
    assert "install the package that brings it again" in running.restarted().experiment().reason


def test_a_trial_that_reached_its_target_meanwhile_waits_for_its_scheduler(package: Path) -> None:
    world = World()
    scheduler = {"type": "wayward", "may_pause": True}
    world.submit(trials=1, scheduler=scheduler, resource={"name": "epoch", "max": 4})
    world.join(slots=1)
    world.ran(0)
    uninstall(package)
    after = world.restarted()
    after.send(e.AgentConnected(instance="local-0", epoch=1, inventory=_inventory(world)))
    after.report(0, 2, error=0.25)
    after.end(0)
    assert after.trial(0).state is TrialState.PAUSED


def _inventory(world: World) -> object:
    return world.core.state.instances["local-0"].room.inventory  # type: ignore[union-attr]
