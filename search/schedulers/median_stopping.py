"""Median stopping: a trial ends that never did better than the others did on average.

Golovin et al. 2017, "Google Vizier: A Service for Black-Box Optimization" (KDD 2017,
https://doi.org/10.1145/3097983.3098043), section 3.2.2: at step s a trial is stopped when its best objective so far is
strictly worse than the median of the running averages of the other trials' objectives up to s. The paper counts
completed trials only; here every trial counts that has reported at s, since else none of the first ones, as many as
there are slots, could ever be stopped. A trial is compared with those that reported at the same level: programs should
report at the same levels, as at every epoch. The paper knows no losses that are not finite: here a running average is
that of the finite ones, and infinite where there are none; a trial that has reported no finite loss is worse than any
that has, also where most others have none either.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision
from clustertune.search.schedulers.every_level import GRACE, EveryLevel
from clustertune.search.schedulers.running_median import RunningMedian


@dataclass(frozen=True, slots=True)
class MedianStoppingOptions:
    """When it may stop a trial."""

    grace: int | None = field(default=None, metadata=GRACE)
    min_trials: int = field(
        default=5,
        metadata={
            "doc": "So many other trials must have reported at a level before a trial is stopped there.",
            "minimum": 1,
            "examples": [10],
        },
    )


@dataclass(slots=True)
class _Curve:
    """What a trial reported so far, in brief."""

    best: float = math.inf
    total: float = 0.0
    reports: int = 0

    def add(self, loss: float) -> float:
        """The running average of what is finite; infinite where nothing is."""
        if math.isfinite(loss):
            self.best, self.total, self.reports = min(self.best, loss), self.total + loss, self.reports + 1
        return self.total / self.reports if self.reports else math.inf


class MedianStopping(EveryLevel):
    """Stops a trial whose best value is worse than the median of the others' averages so far."""

    Options = MedianStoppingOptions

    def __init__(
        self, *, min_resource: int, max_resource: int | None, seed: int, options: MedianStoppingOptions
    ) -> None:
        del seed
        super().__init__(min_resource=min_resource, max_resource=max_resource, grace=options.grace)
        self._min_trials = options.min_trials
        self._curves: defaultdict[int, _Curve] = defaultdict(_Curve)
        self._averages: defaultdict[int, RunningMedian] = defaultdict(RunningMedian)
        self._sound: set[int] = set()  # levels where somebody had an average that is finite

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """STOP where its best is strictly worse than the median of those that reported at this level before."""
        curve, others = self._curves[trial], self._averages[resource]
        average = curve.add(loss)
        sound = resource in self._sound
        worse = len(others) >= self._min_trials and (curve.best > others.value or (curve.best == math.inf and sound))
        others.add(average)
        if average < math.inf:
            self._sound.add(resource)
        return Decision.STOP if self._reach(trial, resource) and worse else Decision.CONTINUE

    def on_end(self, trial: int, state: TrialState) -> None:
        """Its averages stay."""
        super().on_end(trial, state)
        self._curves.pop(trial, None)
