"""The median of what came so far."""

from __future__ import annotations

import math
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from clustertune.search.schedulers.running_median import RunningMedian


@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.inf), min_size=1, max_size=50))
def test_it_is_that_of_sorting_all_numbers(numbers: list[float]) -> None:
    running = RunningMedian()
    for count, number in enumerate(numbers, 1):
        running.add(number)
        assert len(running) == count
        assert running.value == median(numbers[:count])
