"""Synchronous successive halving, one round after the other."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, ResumeTrial, StartNew, StopPausedTrial
from clustertune.search.registry import Registry
from clustertune.search.schedulers.successive_halving import SuccessiveHalving, SuccessiveHalvingOptions

CONTINUE, PAUSE, STOP = Decision.CONTINUE, Decision.PAUSE, Decision.STOP


def scheduler(trials: int, high: int = 9, **options: float) -> SuccessiveHalving:
    made = SuccessiveHalving(
        min_resource=1,
        max_resource=high,
        seed=0,
        options=SuccessiveHalvingOptions(**options),  # type: ignore[arg-type]
    )
    for trial in range(trials):
        made.on_create(trial, {})
    return made


def test_a_ladder_worked_by_hand() -> None:
    halving = scheduler(9)  # eta = 3: nine trials at 1, three at 3, one at 9
    losses = [0.9, 0.8, 0.7, 0.95, 0.1, 0.85, 0.2, 0.99, 0.3]
    # The first three fill the places above. Trial 3 is worse than all of them; 4 is better than 0, which falls out;
    # 5 is worse than 1, 2 and 4; 6 drives out 1; 7 is the worst; 8 drives out 2, is the last, and goes on at once.
    assert [halving.on_report(trial, 1, loss) for trial, loss in enumerate(losses)] == [
        PAUSE, PAUSE, PAUSE, STOP, PAUSE, STOP, PAUSE, STOP, CONTINUE,
    ]  # fmt: skip
    assert halving.next() == StartNew()  # the others are still saving
    halving.on_pause(0)
    assert halving.next() == halving.next() == StopPausedTrial(0)
    halving.on_end(0, TrialState.STOPPED)
    halving.on_pause(6)
    assert halving.next() == ResumeTrial(6)
    halving.on_pause(4)
    assert halving.next() == ResumeTrial(4)  # the better one first
    halving.on_resume(4)
    assert halving.next() == ResumeTrial(6)
    halving.on_resume(6)
    assert [halving.target(trial) for trial in (4, 6, 8)] == [3, 3, 3]
    # One of three goes on: 6 drives out 4, and 8 comes last and is worse.
    assert [halving.on_report(trial, 3, loss) for trial, loss in ((4, 0.5), (6, 0.4), (8, 0.6))] == [PAUSE, PAUSE, STOP]
    halving.on_pause(6)
    assert halving.next() == ResumeTrial(6)
    halving.on_resume(6)
    assert halving.target(6) == 9
    assert halving.on_report(6, 9, 0.3) is CONTINUE
    assert halving.target(6) is None


def test_a_rung_does_not_wait_for_those_that_fail() -> None:
    halving = scheduler(3, round_size=3)
    assert halving.on_report(0, 1, 0.5) is PAUSE
    halving.on_pause(0)
    halving.on_end(1, TrialState.FAILED)
    assert halving.next() == StartNew()
    halving.on_end(2, TrialState.FAILED)
    assert halving.next() == ResumeTrial(0)


def test_a_place_won_by_one_that_failed_since_stays_empty() -> None:
    halving = scheduler(6, round_size=6)  # six at 1, two at 3, one at 9
    for trial in range(5):
        halving.on_report(trial, 1, trial / 10)
        if trial < 2:
            halving.on_pause(trial)
    halving.on_end(0, TrialState.FAILED)
    assert halving.on_report(5, 1, 0.9) is STOP
    assert halving.next() == ResumeTrial(1)
    halving.on_resume(1)
    assert halving.on_report(1, 3, 0.2) is CONTINUE  # nobody else is on its way there


def test_a_round_with_nobody_left_is_forgotten() -> None:
    halving = scheduler(3, round_size=3)
    for trial in range(3):
        halving.on_end(trial, TrialState.FAILED)
    halving.on_create(3, {})
    assert halving.next() == StartNew()
    assert halving.target(3) == 1
    assert halving.target(0) is None


def test_rounds_do_not_compare_across() -> None:
    halving = scheduler(6, round_size=3)
    # Trials 0 to 2 are the first round, 3 to 5 the second: the best of each goes on, however bad.
    assert [halving.on_report(trial, 1, 0.1 * trial) for trial in (3, 4, 5)] == [PAUSE, STOP, STOP]
    assert [halving.on_report(trial, 1, 5.0 + trial) for trial in (1, 2, 0)] == [PAUSE, STOP, CONTINUE]
    halving.on_pause(3)
    assert halving.next() == ResumeTrial(3)


def test_without_more_trials_a_round_is_decided_among_fewer() -> None:
    halving = scheduler(7)  # of nine
    for trial in range(7):
        assert halving.on_report(trial, 1, trial / 10) is (PAUSE if trial < 3 else STOP)
        halving.on_pause(trial) if trial < 3 else halving.on_end(trial, TrialState.STOPPED)
    assert halving.next() == StartNew()
    halving.on_no_more()
    # floor(7 / 3) = 2 go on: trial 2, the third, does not.
    assert halving.next() == StopPausedTrial(2)
    halving.on_end(2, TrialState.STOPPED)
    assert halving.next() == ResumeTrial(0)
    halving.on_no_more()  # a second time changes nothing
    assert halving.next() == ResumeTrial(0)


def test_a_program_that_reports_seldom_is_compared_where_it_is() -> None:
    halving = scheduler(3, round_size=3)  # three at 1, one at 3, one at 9
    # They report at 5 first, beyond both rungs: the best is the best at both, and has only the maximum left.
    assert [halving.on_report(trial, 5, loss) for trial, loss in ((0, 0.5), (1, 0.4), (2, 0.6))] == [PAUSE, PAUSE, STOP]
    halving.on_pause(1)
    assert halving.next() == ResumeTrial(1)
    assert halving.target(1) == 9


def test_whoever_reaches_the_maximum_is_done() -> None:
    halving = scheduler(3, round_size=3)
    assert [halving.on_report(trial, 12, loss) for trial, loss in ((0, 0.5), (1, 0.6))] == [CONTINUE, CONTINUE]
    assert halving.target(0) is None


def test_without_a_level_below_the_maximum_nobody_waits() -> None:
    halving = SuccessiveHalving(min_resource=5, max_resource=5, seed=0, options=SuccessiveHalvingOptions())
    halving.on_create(0, {})
    assert halving.target(0) == 5
    assert halving.on_report(0, 5, math.nan) is CONTINUE


@given(
    st.lists(st.sampled_from([math.nan, math.inf, 0.0, 0.1, 0.2, 0.3, 0.4]), min_size=9, max_size=9),
    st.permutations(range(9)),
    st.sets(st.integers(0, 8), max_size=4),
)
def test_who_goes_on_does_not_depend_on_the_order_of_the_reports(
    losses: list[float], order: list[int], failing: set[int]
) -> None:
    halving = scheduler(9)
    for trial in order:
        if trial in failing:
            halving.on_end(trial, TrialState.FAILED)
        elif halving.on_report(trial, 1, losses[trial]) is PAUSE:
            halving.on_pause(trial)
    sound = [trial for trial in range(9) if trial not in failing]
    ranked = sorted(sound, key=lambda trial: (losses[trial] if math.isfinite(losses[trial]) else math.inf, trial))
    resumed = set()
    while (wish := halving.next()) != StartNew():
        if isinstance(wish, ResumeTrial):
            resumed.add(wish.trial)
            halving.on_resume(wish.trial)
        elif isinstance(wish, StopPausedTrial):
            halving.on_end(wish.trial, TrialState.STOPPED)
    last = order[-1]
    assert resumed | ({last} & set(ranked[:3])) == set(ranked[:3])


def test_it_says_that_it_pauses_and_that_it_needs_a_maximum() -> None:
    registry = Registry.default()
    assert registry.scheduler_pauses("successive-halving", {})
    [(option, message)] = registry.scheduler_problems("successive-halving", {}, min_resource=1, max_resource=None)
    assert option == ""
    assert "successive-halving compares trials" in message
    with pytest.raises(ValueError, match="needs max_resource"):
        SuccessiveHalving(min_resource=1, max_resource=None, seed=0, options=SuccessiveHalvingOptions())
