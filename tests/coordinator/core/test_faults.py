"""Algorithms that raise, or answer what nobody can use: their experiment fails, and says who did what and where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.model.errors import Mistake
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.wayward import Wayward, install
from tests.coordinator.core.world import World

SCHEDULERS = ("next", "target", "on_report", "on_create", "on_no_more", "on_end")
SEARCHERS = ("suggest", "created", "observe", "forget")


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install(tmp_path / "site", monkeypatch)


def going_wrong(kind: str, **options: Any) -> dict[str, Any]:
    return {kind: {"type": "wayward", **options}, "resource": {"name": "epoch", "max": 4}}


def live(world: World) -> None:
    """Two slots, and all that a scheduler and a searcher may be asked or told: the second trial fails."""
    world.join(slots=2)
    for trial in (0, 1):
        for level in (1, 2):
            if runs(world, trial):
                world.report(trial, level, error=0.5 / level)
    for trial, reason in ((0, EndReason.RETURNED), (1, EndReason.RAISED)):
        if runs(world, trial):
            world.end(trial, reason, "" if trial == 0 else "ValueError: no")
    while world.experiment().active:
        world.end(min(world.experiment().active), EndReason.STOPPED)


def runs(world: World, trial: int) -> bool:
    return trial < len(world.experiment().trials) and world.trial(trial).current is not None


@pytest.mark.parametrize(
    ("kind", "method"), [*(("scheduler", x) for x in SCHEDULERS), *(("searcher", x) for x in SEARCHERS)]
)
def test_whatever_raises_its_experiment_alone_fails_and_says_where(kind: str, method: str) -> None:
    world = World()
    world.submit(trials=3, retries=0, **going_wrong(kind, raises=method))
    world.submit("other", trials=1)
    live(world)
    experiment = world.experiment()
    assert experiment.state is ExperimentState.FAILED
    assert re.fullmatch(
        rf"the {kind} wayward \(of package wayward 0\.1\) raised ZeroDivisionError: in {method} in {method} "
        r"\(wayward\.py, line \d+\)",
        experiment.reason,
    )
    assert "ZeroDivisionError" in experiment.failure
    assert {trial.state.ended for trial in experiment.trials} <= {True}
    (logged,) = world.of(c.Log)
    assert experiment.reason in logged.text
    assert "Traceback" in logged.text
    assert world.experiment("other").state is ExperimentState.RUNNING
    world.report(0, 1, "other", error=0.25)
    world.end(0, name="other")
    assert world.experiment("other").state is ExperimentState.COMPLETED


@pytest.mark.parametrize(
    ("kind", "method"), [*(("scheduler", x) for x in SCHEDULERS), *(("searcher", x) for x in SEARCHERS)]
)
def test_after_a_restart_all_is_as_it_was_and_the_algorithm_is_not_asked_again(kind: str, method: str) -> None:
    world = World()
    world.submit(trials=3, retries=0, **going_wrong(kind, raises=method))
    live(world)
    before, after = world.experiment(), world.restarted().experiment()
    assert (after.state, after.reason, after.failure) == (before.state, before.reason, before.failure)
    assert [(t.state, t.best_loss, t.config) for t in after.trials] == [
        (t.state, t.best_loss, t.config) for t in before.trials
    ]
    assert (after.best, after.best_loss, after.reports) == (before.best, before.best_loss, before.reports)
    Wayward.asked.clear()
    after.scheduler.next()
    after.scheduler.on_end(0, TrialState.STOPPED)
    assert Wayward.asked == []


def test_a_failure_is_replayed_from_the_journal_without_asking_who_failed() -> None:
    world = World()
    world.submit(trials=3, **going_wrong("scheduler", raises="on_report"))
    live(world)
    Wayward.asked.clear()
    world.restarted()
    assert "on_report" not in Wayward.asked


def test_the_report_at_which_it_failed_counts() -> None:
    world = World()
    world.submit(trials=3, **going_wrong("scheduler", raises="on_report"))
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.report(0, 2, error=0.25)
    assert [type(fact) for _, fact in world.journal][-4:-1] == [f.AlgorithmFailed, f.RungReached, f.ExperimentChanged]
    for found in (world.experiment(), world.restarted().experiment()):
        assert (found.best_loss, found.best_resource, found.reports) == (0.25, 2, 2)


@pytest.mark.parametrize(
    ("method", "answer", "told"),
    [
        ("next", "nothing", "StartNew, ResumeTrial, StopPausedTrial or Wait is wanted"),
        ("next", "unknown trial", "there is no trial 77; there are 1, from 0 on"),
        ("next", "running trial", "trial 0 is starting, and not paused"),
        ("next", "dismissed while it runs", "trial 0 is starting, and not paused"),
        ("next", "half a trial", "a whole number is wanted, found 0.5"),
        ("next", "outside", "lr: must lie from 0 to 1, found 5.0"),
        ("on_report", "nothing", "a Decision or a Clone is wanted"),
        ("on_report", "text", "a Decision or a Clone is wanted"),
        ("on_report", "pause", "its class has no pauses(options) that says that trials may be paused or cloned"),
        ("target", "half a level", "a whole number is wanted, found 1.5, or None"),
        ("target", "text", "a whole number is wanted, found 'stop', or None"),
    ],
)
def test_a_decision_about_what_there_is_not_fails_the_experiment(method: str, answer: str, told: str) -> None:
    world = World()
    world.submit(trials=3, **going_wrong("scheduler", answers=answer, method=method, after=1))
    live(world)
    assert world.experiment().state is ExperimentState.FAILED
    who = "the scheduler wayward (of package wayward 0.1) answered "
    assert re.fullmatch(
        rf"{re.escape(who)}.* in {method} \(wayward\.py, line \d+\): {re.escape(told)}", world.experiment().reason
    )


@pytest.mark.parametrize(
    ("answer", "told"), [("clone of nobody", "there is no trial 77"), ("clone outside", "lr: must lie from 0 to 1")]
)
def test_a_clone_of_nobody_or_of_nothing_fails_the_experiment(answer: str, told: str) -> None:
    world = World()
    world.submit(trials=3, **going_wrong("scheduler", answers=answer, method="on_report", may_pause=True))
    live(world)
    assert world.experiment().state is ExperimentState.FAILED
    assert told in world.experiment().reason
    assert all(trial.parent is None for trial in world.experiment().trials)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("config outside", "lr: must lie from 0 to 1, found 5.0"),
        ("config without values", "lr: is missing"),
        ("config with more", "momentum: no such parameter"),
        ("config of arrays", "of type ndarray is no number, text, true or false"),
        ("config of tensors", "lr: <Untouchable> of type Untouchable is no number, text, true or false"),
        ("config of numbers", "0 is no parameter's name"),
        ("what raises wherever it is touched", "cannot be read: RuntimeError"),
        ("nothing", "a configuration is wanted, which maps names to values"),
    ],
)
def test_no_trial_comes_of_a_proposal_that_is_not_of_the_space(answer: str, told: str) -> None:
    world = World()
    world.submit(trials=3, **going_wrong("searcher", answers=answer, method="suggest", after=1))
    live(world)
    assert world.experiment().state is ExperimentState.FAILED
    assert "the searcher wayward (of package wayward 0.1) answered " in world.experiment().reason
    assert told in world.experiment().reason
    assert [trial.config for trial in world.experiment().trials] == [{"lr": 0.0}]


def test_numbers_of_numpy_become_plain_ones() -> None:
    world = World()
    searcher = going_wrong("searcher", answers="config of NumPy", method="suggest")
    scheduler = going_wrong("scheduler", answers="a NumPy level", method="target")
    world.submit(trials=1, **{**searcher, **scheduler})
    world.join(slots=1)
    (trial,) = world.experiment().trials
    assert (trial.config, trial.target) == ({"lr": 0.5}, 3)
    assert (type(trial.config["lr"]), type(trial.target)) == (float, int)
    assert world.restarted().trial(0).config == {"lr": 0.5}


@pytest.mark.parametrize("paused", [False, True])
def test_one_that_raises_while_the_past_is_told_fails_what_was_not_over(
    paused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    world.submit(trials=3, **going_wrong("scheduler"))
    world.join(slots=1)
    world.report(0, 2, error=0.25)
    if paused:
        world.send(e.PauseAsked(experiment="digits"))
    monkeypatch.setattr(Wayward, "changed", "on_report")
    after = world.restarted()
    assert after.experiment().state is ExperimentState.FAILED
    assert "raised ZeroDivisionError: in on_report in on_report (wayward.py, line" in after.experiment().reason
    assert after.stops()[-1] == ("digits:0:1", "stopped")
    assert (after.experiment().best, after.experiment().best_loss) == (0, 0.25)
    assert "fails:" in after.of(c.Log)[0].text


def test_one_that_raises_while_the_past_is_told_changes_nothing_of_what_was_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.submit(trials=1, **going_wrong("scheduler"))
    live(world)
    assert world.experiment().state is ExperimentState.COMPLETED
    monkeypatch.setattr(Wayward, "changed", "on_report")
    after = world.restarted()
    assert (after.experiment().state, after.experiment().reason) == (ExperimentState.COMPLETED, "all trials ended")
    assert after.experiment().best_loss == 0.25
    assert after.of(c.Log) == []


def test_one_whose_constructor_raises_begins_no_experiment() -> None:
    world = World()
    world.submit("other", trials=1)
    with pytest.raises(Mistake, match=r"\(of package wayward 0.1\) raised .* in its constructor \(wayward.py, line"):
        world.submit(**going_wrong("scheduler", raises="__init__"))
    assert list(world.core.state.experiments) == ["other"]
    world.join(slots=1)
    assert world.started() == ["other:0:1"]
    assert list(world.restarted().core.state.experiments) == ["other"]


def test_a_coordinator_that_ended_right_after_the_failure_draws_the_consequence_when_it_is_back() -> None:
    world = World()
    world.submit(trials=3, **going_wrong("scheduler", raises="on_report"))
    world.join(slots=1)
    world.report(0, 2, error=0.25)
    failed = next(n for n, (_, fact) in enumerate(world.journal) if isinstance(fact, f.AlgorithmFailed))
    world.journal = world.journal[: failed + 2]
    after = world.restarted()
    assert after.experiment().state is ExperimentState.FAILED
    assert "in on_report (wayward.py, line" in after.experiment().reason
    assert after.stops() == [("digits:0:1", "stopped")]


def test_one_that_fails_while_its_experiment_is_paused_fails_it() -> None:
    world = World()
    world.submit(trials=2, **going_wrong("scheduler", raises="on_end"))
    world.join(slots=1)
    world.report(0, 4, error=0.25)
    world.send(e.PauseAsked(experiment="digits"))
    world.end(0)
    assert world.experiment().state is ExperimentState.FAILED
    assert world.trial(0).state is TrialState.COMPLETED
