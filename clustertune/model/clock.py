"""The one object that knows what time it is; everything else is told."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Reads the time at the edge of the system."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never steps backwards; for intervals."""
        ...

    def wall_s(self) -> float:
        """Seconds since 1970 in UTC; may step; for display and the journal only."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()
