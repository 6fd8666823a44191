"""Asynchronous successive halving, the stopping variant."""

from __future__ import annotations

import math

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, StartNew
from clustertune.search.schedulers.asha import Asha, AshaOptions


def asha(low: int = 1, high: int = 27, seed: int = 0, **options: float) -> Asha:
    return Asha(min_resource=low, max_resource=high, seed=seed, options=AshaOptions(**options))  # type: ignore[arg-type]


def test_a_trial_is_asked_for_each_rung_and_then_for_the_maximum() -> None:
    scheduler, asked = asha(), []
    while (target := scheduler.target(0)) is not None:
        asked.append(target)
        assert scheduler.on_report(0, target, 1.0) is Decision.CONTINUE
    assert asked == [1, 3, 9, 27]


def test_a_ladder_worked_by_hand() -> None:
    scheduler = asha()
    at_one = {0: 0.9, 1: 0.8, 2: 0.85, 3: 0.7, 4: 0.75, 5: 0.6}
    decided = {trial: scheduler.on_report(trial, 1, loss) for trial, loss in at_one.items()}
    # Of one to five the best goes on, of six the best two.
    going_on = [trial for trial, decision in decided.items() if decision is Decision.CONTINUE]
    assert going_on == [0, 1, 3, 5]
    assert [scheduler.on_report(trial, 3, loss) for trial, loss in ((0, 0.5), (1, 0.55), (3, 0.4), (5, 0.45))] == [
        Decision.CONTINUE, Decision.STOP, Decision.CONTINUE, Decision.STOP,
    ]  # fmt: skip


def test_reports_between_rungs_change_nothing() -> None:
    scheduler = asha()
    assert scheduler.on_report(0, 1, 0.1) is Decision.CONTINUE
    assert scheduler.on_report(1, 1, 0.05) is Decision.CONTINUE
    assert scheduler.on_report(0, 2, math.inf) is Decision.CONTINUE
    assert scheduler.target(0) == 3


def test_the_same_rung_is_not_recorded_twice() -> None:
    scheduler = asha()
    assert scheduler.on_report(0, 1, 0.5) is Decision.CONTINUE
    assert scheduler.on_report(0, 1, 0.9) is Decision.CONTINUE
    assert scheduler.on_report(1, 1, 0.6) is Decision.STOP


def test_a_report_that_passes_several_rungs_is_compared_at_the_highest() -> None:
    scheduler = asha()
    assert scheduler.on_report(0, 10, 0.5) is Decision.CONTINUE
    assert scheduler.target(0) == 27
    assert scheduler.on_report(1, 1, 0.9) is Decision.CONTINUE
    assert scheduler.on_report(2, 11, 0.6) is Decision.STOP


def test_the_maximum_is_never_a_reason_to_stop() -> None:
    scheduler = asha()
    assert scheduler.on_report(0, 27, 0.1) is Decision.CONTINUE
    assert scheduler.on_report(1, 30, 0.9) is Decision.CONTINUE
    assert scheduler.target(1) is None


def test_without_a_rung_below_the_maximum_every_trial_runs_to_its_end() -> None:
    scheduler = asha(low=5, high=5)
    assert scheduler.target(0) == 5
    assert scheduler.on_report(0, 5, math.nan) is Decision.CONTINUE


def test_trials_that_diverge_give_way_to_those_that_do_not() -> None:
    scheduler = asha(reduction_factor=2)
    assert scheduler.on_report(0, 1, math.nan) is Decision.CONTINUE
    assert scheduler.on_report(1, 1, 0.5) is Decision.CONTINUE
    assert scheduler.on_report(2, 1, math.inf) is Decision.STOP


def test_nothing_is_ever_paused_so_a_free_slot_gets_a_new_trial() -> None:
    assert asha().next() == StartNew()


def test_records_of_trials_that_ended_still_count() -> None:
    scheduler = asha()
    assert scheduler.on_report(0, 1, 0.1) is Decision.CONTINUE
    scheduler.on_end(0, TrialState.FAILED)
    assert scheduler.on_report(1, 1, 0.2) is Decision.STOP


def test_brackets_begin_one_rung_later_each_and_take_turns_as_in_hyperband() -> None:
    # R = 9, eta = 3: 9 from the rung at 1 on, ceil(3 * 3 / 2) = 5 from 3 on, 3 that run to 9; then it begins anew.
    scheduler = asha(high=9, brackets=3)
    assert [scheduler.target(trial) for trial in range(20)] == [1] * 9 + [3] * 5 + [9] * 3 + [1] * 3
    assert [asha(high=9, brackets=2).target(trial) for trial in range(20)] == [1] * 9 + [3] * 5 + [1] * 6


def test_a_shorter_loop_gives_each_bracket_its_share_and_at_least_one_trial() -> None:
    scheduler = asha(high=9, brackets=3, loop=7)
    assert [scheduler.target(trial) for trial in range(8)] == [1] * 4 + [3] * 2 + [9] + [1]
    assert [asha(high=81, brackets=5, loop=10).target(trial) for trial in range(10)] == [1] * 5 + [3] * 2 + [9, 27, 81]
    shortest = asha(high=9, brackets=3, loop=1)
    assert [shortest.target(trial) for trial in range(4)] == [1, 3, 9, 1]
    assert [asha(high=9, brackets=3, loop=999).target(trial) for trial in range(10)] == [1] * 9 + [3]


def test_at_a_rung_trials_of_all_brackets_are_compared() -> None:
    scheduler = asha(high=9, brackets=3, loop=1)
    assert scheduler.on_report(0, 1, 0.5) is Decision.CONTINUE
    assert scheduler.on_report(0, 3, 0.5) is Decision.CONTINUE
    assert scheduler.on_report(1, 1, 0.6) is Decision.CONTINUE  # its first rung is the one at 3
    assert scheduler.on_report(1, 3, 0.6) is Decision.STOP
    assert scheduler.on_report(4, 3, 0.4) is Decision.CONTINUE


def test_the_last_bracket_runs_to_the_end_whatever_it_reports() -> None:
    scheduler = asha(high=9, brackets=3, loop=1)
    assert scheduler.on_report(0, 1, 0.1) is Decision.CONTINUE
    assert [scheduler.on_report(2, level, 0.9) for level in (1, 3, 9)] == [Decision.CONTINUE] * 3


def test_what_it_cannot_work_with_is_said_with_a_remedy() -> None:
    assert Asha.problems(AshaOptions(), min_resource=1, max_resource=None) == [
        ("", "asha compares trials on the way to a maximum; add resource: {max: …}, or use fifo")
    ]
    [(option, message)] = Asha.problems(AshaOptions(brackets=6), min_resource=1, max_resource=81)
    assert option == "brackets"
    assert "resource 1 to 81 with reduction_factor 3 has 4 rungs: at most 5 brackets" in message
    assert Asha.problems(AshaOptions(brackets=5), min_resource=1, max_resource=81) == []
    [(option, message)] = Asha.problems(AshaOptions(loop=9), min_resource=1, max_resource=81)
    assert (option, message.endswith("add brackets: 2, or more")) == ("loop", True)
