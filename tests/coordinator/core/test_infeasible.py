"""A configuration that cannot be: what it reported before it said so counts for nothing."""

from __future__ import annotations

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.snapshots import best_trial, front, row, snapshot
from clustertune.model.errors import Mistake
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.test_objectives import SMALL, TWO, said, world
from tests.coordinator.core.world import World


def infeasible(here: World, trial: int) -> None:
    here.end(trial, EndReason.INFEASIBLE, "too wide")


def same_after_a_restart(here: World) -> None:
    again = here.restarted()
    one, other = here.experiment(), again.experiment()
    assert (one.best, one.best_loss, one.best_resource, one.best_violation, one.front, one.ended_since_best) == (
        other.best, other.best_loss, other.best_resource, other.best_violation, other.front, other.ended_since_best
    )  # fmt: skip
    assert [(t.best_loss, t.best_resource, t.measured, t.values, t.resource) for t in one.trials] == [
        (t.best_loss, t.best_resource, t.measured, t.values, t.resource) for t in other.trials
    ]


@pytest.mark.parametrize("constraints", [{}, SMALL])
@pytest.mark.parametrize("take", ["best", "last"])
def test_the_next_best_takes_the_place_of_one_that_ends_infeasible(take: str, constraints: dict[str, object]) -> None:
    here = world(objective={"metric": "error", "take": take}, **constraints)
    for trial, error in enumerate((0.5, 0.1, 0.3)):
        here.report(trial, 1, error=error, memory=1.0)
        here.save(trial, 1)
    infeasible(here, 1)
    experiment = here.experiment()
    assert (experiment.best, experiment.best_loss, experiment.best_resource) == (2, 0.3, 1)
    assert said(here)[-1].startswith("trial 2 is the best: error 0.3")
    assert not here.trial(1).kept
    shown = row(experiment, here.trial(1), here.now)
    assert (shown.value, shown.last_value, shown.state) == (None, 0.1, TrialState.INFEASIBLE)
    with pytest.raises(Mistake, match="trial 1 of digits ended infeasible"):
        best_trial(here.core, experiment, 1)
    same_after_a_restart(here)
    here.end(2)
    assert here.trial(2).kept
    here.report(0, 2, error=0.2, memory=1.0)
    assert experiment.best == 0


@pytest.mark.parametrize("several", [False, True])
def test_where_all_that_reported_were_infeasible_there_is_no_best_and_the_end_says_so(several: bool) -> None:
    here = world(**(TWO if several else {}), trials=2)
    here.report(0, 1, error=0.5, speed=1.0)
    assert here.experiment().best == 0
    infeasible(here, 0)
    assert (here.experiment().best, here.experiment().front) == (None, ())
    same_after_a_restart(here)
    infeasible(here, 1)
    assert here.experiment().state is ExperimentState.FAILED
    assert here.experiment().reason.startswith("every trial that reported a finite error" if not several else "every")
    assert snapshot(here.core, here.experiment(), cluster="", now=here.now, folder="").best is None


def test_whom_it_alone_had_beaten_comes_back_to_the_front() -> None:
    here = world(**TWO)
    for trial, (error, speed) in enumerate([(0.2, 5.0), (0.9, 9.0), (0.1, 6.0), (0.3, 5.0)]):
        here.report(trial, 1, error=error, speed=speed)
    assert (here.experiment().front, here.experiment().best) == ((1, 2), 1)
    infeasible(here, 2)
    assert (here.experiment().front, here.experiment().best) == ((0, 1), 0)
    improved = [fact for _, fact in here.journal if isinstance(fact, f.Improved)][-1]
    assert (improved.instead_of, improved.front) == (2, (0, 1))
    same_after_a_restart(here)


def test_where_none_keeps_the_constraints_the_next_nearest_is_shown() -> None:
    here = world(**TWO, **SMALL)
    for trial, memory in enumerate((20.0, 10.0)):
        here.report(trial, 1, error=0.1, speed=1.0, memory=memory)
    infeasible(here, 1)
    assert (here.experiment().best, here.experiment().best_violation) == (0, 1.5)
    same_after_a_restart(here)


def test_an_infeasible_one_says_nothing_of_when_there_was_the_last_improvement() -> None:
    here = world(stop={"flat": 3})
    here.report(0, 1, error=0.5)
    here.end(0)
    for trial in (1, 2):
        here.report(trial, 1, error=0.4 - 0.1 * trial)
        assert here.experiment().best == trial
        infeasible(here, trial)
        assert here.experiment().best == 0
        same_after_a_restart(here)
    assert here.experiment().state is ExperimentState.RUNNING
    here.report(3, 1, error=0.9)
    here.end(3)
    assert here.experiment().reason == "3 trials ended without an improvement"


def test_what_a_trial_reported_before_it_failed_counts_and_is_marked() -> None:
    here = world(**TWO, retries=0)
    here.report(0, 1, error=0.1, speed=5.0)
    here.end(0, EndReason.RAISED, "boom")
    here.report(1, 1, error=0.3, speed=9.0)
    assert here.experiment().front == (0, 1)
    assert [point.failed for point in front(here.experiment())] == [True, False]


def test_a_journal_of_before_in_which_the_best_ended_infeasible_names_the_next_best() -> None:
    here = world()
    here.report(0, 1, error=0.5)
    here.report(1, 1, error=0.1)
    infeasible(here, 1)
    here.journal = [(now, x) for now, x in here.journal if not (isinstance(x, f.Improved) and x.instead_of is not None)]
    assert here.restarted().experiment().best == 0
