"""Trials that have stopped getting better."""

from __future__ import annotations

import math

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision
from clustertune.search.schedulers.plateau import Plateau, PlateauOptions

CONTINUE, STOP = Decision.CONTINUE, Decision.STOP


def scheduler(high: int | None = None, low: int = 1, **options: float) -> Plateau:
    return Plateau(min_resource=low, max_resource=high, seed=0, options=PlateauOptions(**options))  # type: ignore[arg-type]


def curve(plateau: Plateau, *losses: float, trial: int = 0) -> list[Decision]:
    return [plateau.on_report(trial, level, loss) for level, loss in enumerate(losses, 1)]


def test_a_curve_worked_by_hand() -> None:
    plateau = scheduler(window=2, min_delta=0.1)
    # The best so far: 1, 0.8, 0.8, 0.7, 0.68. Over two reports it got better by 0.2 of 1, by 0.1 of 0.8 (more than
    # 0.08), by 0.12 of 0.8, and, at the end, by 0.01 of 0.7.
    assert curve(plateau, 1.0, 0.8, 0.9, 0.7, 0.68, 0.69) == [CONTINUE] * 5 + [STOP]


def test_min_delta_may_be_in_the_metrics_own_unit() -> None:
    losses = [100.0, 99.0, 98.0]
    assert curve(scheduler(window=2, min_delta=1.5, relative=False), *losses) == [CONTINUE] * 3
    assert curve(scheduler(window=2, min_delta=2.5, relative=False), *losses) == [CONTINUE, CONTINUE, STOP]


def test_with_no_least_improvement_any_is_enough_and_none_is_not() -> None:
    plateau = scheduler(window=1, min_delta=0)
    assert curve(plateau, -1.0, -1.0001, -1.0001) == [CONTINUE, CONTINUE, STOP]


def test_a_metric_below_zero_improves_away_from_it() -> None:
    assert curve(scheduler(window=1, min_delta=0.5), -1.0, -1.6, -1.7) == [CONTINUE, CONTINUE, STOP]


def test_values_that_are_not_finite_are_no_progress_and_the_first_finite_one_is() -> None:
    assert curve(scheduler(window=2), math.nan, math.nan, math.nan) == [CONTINUE, CONTINUE, STOP]
    assert curve(scheduler(window=2), math.nan, math.inf, 5.0) == [CONTINUE] * 3
    assert curve(scheduler(window=1), 1.0, -math.inf) == [CONTINUE, STOP]


def test_nobody_is_stopped_before_the_grace_nor_at_the_end() -> None:
    assert curve(scheduler(window=1, grace=4), 1, 1, 1, 1) == [CONTINUE] * 3 + [STOP]
    assert curve(scheduler(window=1, low=3), 1, 1, 1) == [CONTINUE] * 2 + [STOP]
    assert curve(scheduler(window=1, high=2), 1, 1) == [CONTINUE] * 2


def test_trials_do_not_look_at_each_other() -> None:
    plateau = scheduler(window=1)
    assert curve(plateau, 1.0, 0.5, trial=0) == [CONTINUE] * 2
    assert curve(plateau, 9.0, 8.0, trial=1) == [CONTINUE] * 2
    plateau.on_end(0, TrialState.COMPLETED)
    assert plateau.target(1) == 3
