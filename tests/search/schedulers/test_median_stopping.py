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


def test_a_curve_with_a_hole_counts_as_infinitely_bad_from_there_on() -> None:
    median = scheduler()
    assert curve(median, 0, 1.0, math.nan, 1.0) == [CONTINUE] * 3
    assert curve(median, 1, 1.0, 1.0, 1.0) == [CONTINUE] * 3
    # At 3 the median of 1 and infinity is infinite: nothing is worse.
    assert curve(median, 2, 0.5, 5.0, 5.0) == [CONTINUE] * 3
    assert curve(median, 3, math.nan) == [STOP]


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
