"""Population-based training: who copies whom, and when."""

from __future__ import annotations

import math

import pytest

from clustertune.definition.loading import inspect_experiment
from clustertune.model.space import Float, Space
from clustertune.model.trial import TrialState
from clustertune.search.contracts import Clone, Decision, ResumeTrial, StartNew, Wait
from clustertune.search.registry import Registry
from clustertune.search.schedulers.population_based import PopulationBased, PopulationBasedOptions

CONTINUE, PAUSE = Decision.CONTINUE, Decision.PAUSE
SPACE = Space({"lr": Float(0.0, 10.0)})


def population(members: int = 4, low: int = 1, high: int = 10, **options: float) -> PopulationBased:
    """Trial n begins with lr = n + 1."""
    chosen = {"population": 4, "interval": 2, "resample": 0, **options}
    made = PopulationBased(
        space=SPACE,
        min_resource=low,
        max_resource=high,
        seed=3,
        options=PopulationBasedOptions(**chosen),  # type: ignore[arg-type]
    )
    for trial in range(members):
        made.on_create(trial, {"lr": trial + 1.0})
    return made


def reported(made: PopulationBased, level: int, *losses: float) -> list[Decision | Clone]:
    return [made.on_report(trial, level, loss) for trial, loss in enumerate(losses)]


def test_an_interval_worked_by_hand() -> None:
    made = population()
    assert [made.target(trial) for trial in range(4)] == [2, 2, 2, 2]
    # Of fewer than four a quarter is nobody. Then the worst, trial 3, copies the best, trial 1, whose lr of 2 is
    # multiplied by 0.8 or 1.2.
    *others, last = reported(made, 2, 0.2, 0.1, 0.3, 0.9)
    assert others == [CONTINUE] * 3
    assert isinstance(last, Clone)
    assert last.parent == 1
    assert last.config["lr"] in (pytest.approx(1.6), pytest.approx(2.4))
    assert made.target(3) is None
    made.on_create(4, last.config)
    made.on_clone(1, 4, 2)
    assert made.target(4) == 4  # it goes on from where its parent is
    made.on_end(3, TrialState.STOPPED)
    assert made.next() == Wait()  # four members are four, though there were five trials


def test_the_middle_goes_on_whatever_happens() -> None:
    made = population()
    reported(made, 2, 0.2, 0.1, 0.3)
    assert made.on_report(0, 4, 0.15) is CONTINUE
    assert made.on_report(2, 4, 0.12) is CONTINUE


def test_a_member_far_behind_is_no_parent() -> None:
    made = population()
    reported(made, 2, 0.1, 0.2, 0.3)
    assert made.on_report(3, 6, 0.9) is CONTINUE  # the best is at 2, two intervals behind
    made = population()
    reported(made, 2, 0.1, 0.2, 0.3)
    assert isinstance(made.on_report(3, 4, 0.9), Clone)


def test_a_clone_that_has_not_reported_is_neither_ranked_nor_copied() -> None:
    made = population()
    clone = reported(made, 2, 0.2, 0.1, 0.3, 0.9)[-1]
    assert isinstance(clone, Clone)
    made.on_create(4, clone.config)
    made.on_clone(1, 4, 2)
    assert made.on_report(2, 4, 0.95) is CONTINUE  # the worst of three that have reported: a quarter is nobody
    assert made.on_report(0, 4, 0.2) is CONTINUE  # the best of them is trial 1, at 2


def test_a_clone_that_reports_for_the_first_time_does_not_go_back_once_more() -> None:
    made = population()
    clone = reported(made, 2, 0.2, 0.1, 0.3, 0.9)[-1]
    assert isinstance(clone, Clone)
    made.on_create(4, clone.config)
    made.on_clone(1, 4, 2)
    assert made.on_report(4, 4, 0.99) is CONTINUE  # the worst of four; the best, trial 1, is at 2
    assert made.on_report(1, 4, 0.1) is CONTINUE
    assert isinstance(made.on_report(4, 6, 0.99), Clone)


def test_members_that_diverge_copy_and_are_not_copied() -> None:
    made = population()
    assert isinstance(reported(made, 2, 0.3, 0.2, 0.1, math.nan)[-1], Clone)
    made = population()
    assert reported(made, 2, math.nan, math.inf, math.nan, math.nan) == [CONTINUE] * 4


def test_whoever_has_arrived_stays_and_is_copied_no_more() -> None:
    made = population()
    reported(made, 8, 0.1, 0.2, 0.3)
    assert made.on_report(0, 10, 0.05) is CONTINUE
    assert made.target(0) is None
    assert made.on_report(3, 8, 0.9) is CONTINUE  # the only one of the best quarter has nothing left to train
    for trial in range(4):
        made.on_end(trial, TrialState.COMPLETED)
    assert made.next() == Wait()


def test_the_population_is_filled_first_and_a_member_that_fails_is_replaced() -> None:
    made = population(members=3)
    assert made.next() == StartNew()
    made.on_create(3, {"lr": 4.0})
    assert made.next() == Wait()
    made.on_end(2, TrialState.FAILED)
    assert made.next() == StartNew()
    made.on_no_more()
    assert made.next() == Wait()


def test_while_slots_are_short_those_ahead_pause_and_the_one_furthest_behind_goes_first() -> None:
    made = population(members=2)
    assert made.on_report(0, 2, 0.1) is PAUSE  # two members have not begun
    made.on_pause(0)
    assert made.next() == StartNew()
    made.on_create(2, {"lr": 3.0})
    made.on_create(3, {"lr": 4.0})
    assert made.on_report(1, 2, 0.2) is CONTINUE  # trial 0 is no further behind
    assert made.on_report(1, 4, 0.2) is PAUSE
    made.on_pause(1)
    assert made.next() == made.next() == ResumeTrial(0)
    made.on_resume(0)
    assert made.next() == ResumeTrial(1)


def test_nobody_is_compared_below_the_least_resource() -> None:
    made = population(low=5)
    assert made.target(0) == 6
    assert population(low=5, interval=20, high=12).target(0) == 12


def test_the_interval_is_a_twentieth_where_nothing_is_said() -> None:
    options = PopulationBasedOptions()
    made = PopulationBased(space=SPACE, min_resource=1, max_resource=100, seed=0, options=options)
    made.on_create(0, {"lr": 1.0})
    assert made.target(0) == 5


def test_whom_it_copies_depends_on_the_seed_and_on_what_was_reported_alone() -> None:
    def clones(trials: int) -> list[Decision | Clone]:
        made = population(members=trials, population=trials)
        return [made.on_report(trial, 2, trial / 10) for trial in range(trials)]

    assert clones(12) == clones(12)
    parents = {decision.parent for decision in clones(12) if isinstance(decision, Clone)}
    assert parents <= {0, 1, 2}


def test_what_it_cannot_work_with_is_said_with_a_remedy() -> None:
    registry = Registry.default()
    assert registry.scheduler_pauses("population-based", {})

    def problems(limit: int | None, trials: int | None = None, **options: object) -> list[str]:
        found = registry.scheduler_problems(
            "population-based", options, trials=trials, min_resource=1, max_resource=limit
        )
        return [option for option, _ in found]

    assert problems(None) == [""]
    assert problems(10, population=3) == ["quantile"]
    assert problems(10, interval=10) == ["interval"]
    assert problems(10) == []


def test_so_few_trials_that_none_would_copy_are_refused() -> None:
    def told(trials: str) -> str:
        written = (
            "name: few\nrun: {call: 'a:b'}\nspace: {x: {type: float, low: 0, high: 1}}\nobjective: {metric: loss}\n"
            f"resource: {{name: epoch, max: 10}}\nscheduler: population-based\nsearcher: random\n{trials}\n"
        )
        return "\n".join(map(str, inspect_experiment(written, registry=Registry.default()).problems))

    assert "0.25 of 3 trials is less than one, so that none would copy; raise trials or quantile" in told("trials: 3")
    assert told("trials: 4") == told("trials: 20") == ""
    assert told("trials: unlimited\nstop: {time: 1h}") == ""
