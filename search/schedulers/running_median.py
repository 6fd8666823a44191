"""The median of numbers that come one at a time."""

from __future__ import annotations

from heapq import heappush, heappushpop


class RunningMedian:
    """Two heaps, the lower half and the upper, so that a number costs O(log n) and the median nothing."""

    __slots__ = ("_lower", "_upper")

    def __init__(self) -> None:
        self._lower: list[float] = []  # negated: the largest on top
        self._upper: list[float] = []

    def __len__(self) -> int:
        return len(self._lower) + len(self._upper)

    def add(self, number: float) -> None:
        """One more of them; infinite ones are welcome, NaN is not."""
        if len(self._lower) > len(self._upper):
            heappush(self._upper, -heappushpop(self._lower, -number))
        else:
            heappush(self._lower, -heappushpop(self._upper, number))

    @property
    def value(self) -> float:
        """Of an even number the mean of the two in the middle. Raises IndexError where there is none."""
        if len(self._lower) > len(self._upper):
            return -self._lower[0]
        return (self._upper[0] - self._lower[0]) / 2
