"""What will happen, in the order in which it will: time first, then the order in which it was planned."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

Planned = tuple[float, int, Callable[[Any], None], Any]


class Timeline:
    """Virtual time. ``now`` is that of what happens now, in seconds from 0; ``plan`` is its number.

    Once ``over`` is set, nothing happens any more."""

    def __init__(self) -> None:
        self.now, self.plan = 0.0, 0
        self._heap: list[Planned] = []
        self._number = 0
        self._uneventful = 0
        self.over = False

    def at(self, time_s: float, action: Callable[[Any], None], subject: Any = None) -> int:
        """Plans ``action(subject)``; the number tells this plan from others."""
        self._number += 1
        heappush(self._heap, (time_s, self._number, action, subject))
        return self._number

    def after(self, delay_s: float, action: Callable[[Any], None], subject: Any = None) -> int:
        return self.at(self.now + delay_s, action, subject)

    def sometime(self, time_s: float, action: Callable[[Any], None], subject: Any = None) -> None:
        """Plans what only matters while something else goes on."""
        self._uneventful += 1
        self.at(time_s, self._happen_sometime, (action, subject))

    def run(self) -> None:
        """Lets one thing after the other happen, until nothing that matters is to come."""
        heap = self._heap
        while not self.over and len(heap) > self._uneventful:
            self.now, self.plan, action, subject = heappop(heap)
            action(subject)

    def _happen_sometime(self, what: tuple[Callable[[Any], None], Any]) -> None:
        self._uneventful -= 1
        what[0](what[1])
