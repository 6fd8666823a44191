"""The median stopping rule."""

from __future__ import annotations

import math

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, StartNew
from clustertune.search.schedulers.median_stopping import MedianStopping, MedianStoppingOptions

CONTINUE, STOP = Decision.CONTINUE, Decision.STOP


def scheduler(low: int = 1, high: int | None = 10, **options: int) -> MedianStopping:
    options = {"min_trials": 2, **options}
    return MedianStopping(min_resource=low, max_resource=high, seed=0, options=MedianStoppingOptions(**options))


def curve(median: MedianStopping, trial: int, *losses: float) -> list[Decision]:
    return [median.on_report(trial, level, loss) for level, loss in enumerate(losses, 1)]


def test_curves_worked_by_hand() -> None:
    median = scheduler()
    assert curve(median, 0, 4, 2) == [CONTINUE, CONTINUE]  # running averages 4, 3
    assert curve(median, 1, 6, 4) == [CONTINUE, CONTINUE]  # 6, 5
    assert curve(median, 2, 10) == [STOP]  # the median at 1 is (4 + 6) / 2 = 5
    # At 1 the averages are 4, 6, 10: 4.9 is better than 6. At 2 they are 3 and 5: its best, 4.5, is worse than 4.
    assert curve(median, 3, 4.9, 4.5) == [CONTINUE, STOP]
    # At 2 they are 3, 5 and (4.9 + 4.5) / 2 = 4.7, and its best is 4.2, though it is 9 now.
    assert curve(median, 4, 4.2, 9) == [CONTINUE, CONTINUE]


def test_as_good_as_the_median_is_good_enough() -> None:
    median = scheduler()
    curve(median, 0, 1.0)
    curve(median, 1, 3.0)
    assert curve(median, 2, 2.0) == [CONTINUE]
    assert curve(median, 3, 2.1) == [STOP]


def test_nobody_is_stopped_before_the_grace_or_with_few_others_or_at_the_end() -> None:
    median = scheduler(grace=3)
    for trial in (0, 1):
        curve(median, trial, *([1.0] * 10))
    assert curve(median, 2, 9, 9, 9) == [CONTINUE, CONTINUE, STOP]
    assert scheduler(low=2)._grace == 2
    few = scheduler(min_trials=3)
    for trial in (0, 1):
        curve(few, trial, 1.0)
    assert curve(few, 2, 9.0) == [CONTINUE]
    assert median.on_report(3, 10, 9.0) is CONTINUE


def test_a_hole_in_a_curve_leaves_the_average_of_the_rest() -> None:
    median = scheduler()
    assert curve(median, 0, 1.0, math.nan, 3.0) == [CONTINUE] * 3
    assert curve(median, 1, 1.0, 1.0, 1.0) == [CONTINUE] * 3
    # At 3 the averages are 2 and 1.
    assert curve(median, 2, 0.9, math.inf, 1.6) == [CONTINUE] * 3
    assert median.on_report(3, 3, 1.6) is STOP


def test_a_level_at_which_nobody_reports_a_number_does_not_switch_it_off() -> None:
    median = scheduler(grace=3)
    stopped = [trial for trial in range(20) if STOP in curve(median, trial, math.nan, *([float(trial)] * 8))]
    assert stopped == list(range(2, 20))


def test_who_reports_no_number_at_all_is_stopped_as_soon_as_one_of_enough_others_did() -> None:
    median = scheduler(min_trials=3)
    assert [curve(median, trial, math.nan) for trial in range(5)] == [[CONTINUE]] * 5
    assert curve(median, 5, 9.0) == [CONTINUE]
    # The median of the others is infinite, and one of them is not.
    assert curve(median, 6, -math.inf) == [STOP]
    assert curve(median, 7, 1e9) == [CONTINUE]
    assert curve(scheduler(min_trials=3), 0, math.nan) == [CONTINUE]


def test_every_level_is_wanted_and_nothing_is_paused() -> None:
    median = scheduler()
    assert median.target(0) == 1
    median.on_report(0, 4, 1.0)
    assert median.target(0) == 5
    median.on_report(0, 10, 1.0)
    assert median.target(0) is None
    assert scheduler(high=None).target(7) == 1
    assert median.next() == StartNew()


def test_what_ended_still_counts() -> None:
    median = scheduler()
    for trial in (0, 1):
        curve(median, trial, 1.0)
        median.on_end(trial, TrialState.COMPLETED)
    assert curve(median, 2, 2.0) == [STOP]
