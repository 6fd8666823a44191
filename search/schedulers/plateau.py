"""Plateau stopping: a trial ends when it has stopped getting better, whatever the others do.

The usual early stopping by patience (Prechelt 1998, "Early Stopping - But When?",
https://doi.org/10.1007/3-540-49430-8_3, is the classic on such rules), moved from the program to the scheduler. What
counts is the best loss so far: with b(k) the best of the first k reports, a trial ends after report k when
b(k - window) - b(k) is less than ``min_delta``, or nothing. By default ``min_delta`` is a share of abs(b(k - window)).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision
from clustertune.search.schedulers.every_level import GRACE, EveryLevel


@dataclass(frozen=True, slots=True)
class PlateauOptions:
    """What counts as no progress."""

    window: int = field(
        default=10,
        metadata={"doc": "How many reports a trial has to get better in.", "minimum": 1, "examples": [5]},
    )
    min_delta: int | float = field(
        default=0.001,
        metadata={
            "doc": "By how much the best value must improve in that many reports: as a share of what it was before, "
            "or, with `relative: false`, in the metric's own unit. At 0 any improvement is enough.",
            "minimum": 0,
            "examples": [0.01],
        },
    )
    relative: bool = field(
        default=True, metadata={"doc": "Whether `min_delta` is a share of the best value.", "examples": [False]}
    )
    grace: int | None = field(default=None, metadata=GRACE)


class Plateau(EveryLevel):
    """Stops a trial that has not got better for some reports, without looking at the others."""

    Options = PlateauOptions

    def __init__(self, *, min_resource: int, max_resource: int | None, seed: int, options: PlateauOptions) -> None:
        del seed
        super().__init__(min_resource=min_resource, max_resource=max_resource, grace=options.grace)
        self._options = options
        self._best: dict[int, deque[float]] = {}

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """STOP where the best of all reports is hardly better than the best of all but the last ``window``."""
        best = self._best.setdefault(trial, deque(maxlen=self._options.window + 1))
        loss = loss if math.isfinite(loss) else math.inf
        best.append(min(best[-1], loss) if best else loss)
        return Decision.STOP if self._reach(trial, resource) and self._is_flat(best) else Decision.CONTINUE

    def _is_flat(self, best: deque[float]) -> bool:
        if len(best) <= self._options.window:
            return False
        before, now = best[0], best[-1]
        if now == before:
            return True
        scale = abs(before) if self._options.relative and math.isfinite(before) else 1.0
        return before - now < self._options.min_delta * scale

    def on_end(self, trial: int, state: TrialState) -> None:
        """Nothing of it matters to others."""
        super().on_end(trial, state)
        self._best.pop(trial, None)
