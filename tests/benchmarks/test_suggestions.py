"""What the benchmark of suggestions counts: percentiles, empty slots, and what fills in."""

from __future__ import annotations

from random import Random
from typing import Any

from benchmarks.search.suite import MIXED
from benchmarks.suggesting.cost import LEVELS, teach
from benchmarks.suggesting.idle import idle
from benchmarks.suggesting.wait import percentiles


class Counting:
    """A searcher that remembers what it was told."""

    def __init__(self) -> None:
        self.trials: list[int] = []
        self.levels: list[int] = []

    def created(self, trial: int, config: Any) -> None:
        assert MIXED.check(config) == []
        self.trials.append(trial)

    def observe(self, trial: int, level: int, loss: float) -> None:
        assert trial == self.trials[-1]
        self.levels.append(level)


def test_one_in_a_hundred_is_beyond_the_99th() -> None:
    assert percentiles([float(n) for n in range(100, 0, -1)]) == {"p50": 51.0, "p99": 100.0, "max": 100.0}
    assert percentiles([float(n) for n in range(1000)]) == {"p50": 500.0, "p99": 990.0, "max": 999.0}
    assert percentiles([7.0]) == {"p50": 7.0, "p99": 7.0, "max": 7.0}


def test_quick_suggestions_leave_no_slot_empty_and_slow_ones_are_filled_in_for() -> None:
    quick = idle(slots=4, trial_s=60.0, suggest_s=0.1)
    assert 0.0 < quick["idle"] < 0.01
    assert quick["filled_in"] < 0.05
    slow = idle(slots=4, trial_s=1.0, suggest_s=10.0)
    assert slow["idle"] < 0.01
    assert slow["filled_in"] > 0.5


def test_a_searcher_is_taught_exactly_as_much_as_is_said_over_a_ladder() -> None:
    searcher = Counting()
    trials = teach(searcher, MIXED, Random(0), 200, LEVELS)
    assert len(searcher.levels) == 200
    assert trials == len(searcher.trials) < 200
    low, next_one = searcher.levels.count(1), searcher.levels.count(3)
    assert 2.0 < low / next_one < 5.0
