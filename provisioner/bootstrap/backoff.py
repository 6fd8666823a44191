"""How long to wait before the next attempt: longer each time, bounded, and not when everybody else does."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_S, LONGEST_S = 0.5, 30.0
ONLY_THE_USER_S = 60.0
"""Where only the user can help: often enough to see that he did, too seldom for a machine to shut us out for it."""


@dataclass(slots=True)
class Backoff:
    """``failures`` in a row."""

    chance: random.Random
    failures: int = field(default=0, init=False)

    def failed(self, *, only_the_user: bool = False) -> float:
        """Seconds to wait now."""
        longest = ONLY_THE_USER_S if only_the_user else min(LONGEST_S, FIRST_S * 2 ** min(self.failures, 10))
        self.failures += 1
        return longest * self.chance.uniform(0.5, 1.0)

    def worked(self) -> None:
        self.failures = 0
