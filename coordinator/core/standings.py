"""One number for schedulers and searchers where a report has several losses, or constraints to keep: its standing.

Multi-objective ASHA (Schmucker et al. 2021, "Multi-objective Asynchronous Successive Halving", arXiv 2106.12639) keeps
ASHA and ranks what a rung recorded by non-dominated sorting, with a second criterion inside each layer. Here a trial's
rank is the number of recorded ones that dominate it (Fonseca and Fleming 1993, "Genetic algorithms for multiobjective
optimization", section 3), which the next report brings up to date at a cost of O(n); inside a rank the crowding
distance decides (Deb et al. 2002, IEEE TEC 6(2), section III-B). The paper also tries a greedy epsilon-net there, which
would have to be built anew for every report. Whoever breaks a metric constraint stands after all who keep them, the
more it breaks the further.

Schedulers know losses, and they remember them. So the standing is a number that lies among the standings given before
at that level as the new report ranks among the reports: a scheduler that compares a report with what its rung recorded
decides as if it had ranked them itself. Whoever keeps the constraints stands below 1/2, whoever breaks one above. The
same measurement again gets the same standing again. What was given stands: where a later report would change the order
of two earlier ones, their numbers stay as they are. For the same reason nobody can move aside for a newcomer: after
some fifty reports in a row of which each lies between the two before it, floating point has no number between them
left, and the newcomer gets that of the one right before it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Any

from clustertune.model.front import Measured

_MIDDLE = 0.5
"""Between those that keep the constraints and those that break one; nobody stands there."""


class _Half:
    """The standings given to one kind: to those that keep the constraints, or to those that break one."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = low, high
        self._given: list[float] = []

    def __len__(self) -> int:
        return len(self._given)

    def at(self, place: int) -> float:
        """A number for who has ``place`` ahead of it."""
        below = self._given[place - 1] if place else self._low
        above = self._given[after] if (after := bisect_right(self._given, below)) < len(self._given) else self._high
        # As a share of those that are ahead: standings of different levels are of one kind.
        share = self._low + (self._high - self._low) * (place + 0.5) / (len(self._given) + 1)
        standing = share if below < share < above else (below + above) / 2
        if below < standing < above:
            return standing
        return below if place else above

    def record(self, standing: float) -> None:
        insort(self._given, standing)


class Standings:
    """What was reported at one level, in the order in which it came."""

    def __init__(self) -> None:
        self._trials: list[int] = []
        self._rows: list[tuple[float, ...]] = []
        self._losses: Any = None  # the rows as an array, with room for more
        self._beaten_by: Any = None
        self._violations: list[float] = []
        self._keepers, self._breakers = _Half(0.0, _MIDDLE), _Half(_MIDDLE, 1.0)
        self._known: dict[tuple[float, ...], float] = {}
        self._of: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._keepers) + len(self._breakers)

    def of(self, trial: int) -> float | None:
        """What the trial was given here."""
        return self._of.get(trial)

    def standing(self, trial: int, measured: Measured) -> float:
        """What a report gets that comes now. ``measured`` is finite. Costs O(n) in the reports of this level."""
        if (known := self._known.get(_worth(measured))) is not None:
            return known
        if measured.keeps:
            return self._keepers.at(self._place(trial, measured.losses))
        return self._breakers.at(bisect_left(self._violations, measured.violation))

    def record(self, trial: int, measured: Measured, standing: float) -> None:
        """The report was given this standing."""
        if measured.keeps:
            beaten_by, beaten = self._compared(measured.losses)
            self._make_room(len(measured.losses))
            count = len(self._trials)
            self._beaten_by[:count] += beaten
            self._losses[count], self._beaten_by[count] = measured.losses, beaten_by
            self._trials.append(trial)
            self._rows.append(measured.losses)
            self._keepers.record(standing)
        else:
            insort(self._violations, measured.violation)
            self._breakers.record(standing)
        self._known.setdefault(_worth(measured), standing)
        self._of[trial] = standing

    def _place(self, trial: int, losses: tuple[float, ...]) -> int:
        """How many of those that keep the constraints rank before it."""
        if not self._trials:
            return 0
        mine, beaten = self._compared(losses)
        ranks = self._beaten_by[: len(self._trials)] + beaten
        peers = [int(index) for index in (ranks == mine).nonzero()[0]]
        crowding = crowding_distances([losses, *(self._rows[index] for index in peers)])
        my_key = (-crowding[0], trial)
        keys = [(-distance, self._trials[index]) for distance, index in zip(crowding[1:], peers, strict=True)]
        return int((ranks < mine).sum()) + sum(key < my_key for key in keys)

    def _compared(self, losses: tuple[float, ...]) -> tuple[int, Any]:
        """How many dominate it, and which it dominates."""
        if not self._trials:
            return 0, 0
        known = self._losses[: len(self._trials)]
        no_worse, no_better = (known <= losses).all(axis=1), (known >= losses).all(axis=1)
        return int((no_worse & ~no_better).sum()), no_better & ~no_worse

    def _make_room(self, losses: int) -> None:
        # Only who has several objectives, or constraints to keep, waits for it to be imported.
        import numpy as np

        if self._losses is None:
            self._losses, self._beaten_by = np.zeros((16, losses)), np.zeros(16, dtype=int)
        elif len(self._losses) == len(self._trials):
            self._losses = np.concatenate([self._losses, np.zeros_like(self._losses)])
            self._beaten_by = np.concatenate([self._beaten_by, np.zeros_like(self._beaten_by)])


def _worth(measured: Measured) -> tuple[float, ...]:
    """Equal for those that rank alike: of those that break constraints what they break counts and nothing else."""
    return (measured.violation, *(measured.losses if measured.keeps else ()))


def crowding_distances(points: Sequence[Sequence[float]]) -> list[float]:
    """How far apart the neighbours of each point are, in all objectives together; infinite at the ends of one."""
    distances = [0.0] * len(points)
    for objective, column in enumerate(zip(*points, strict=True)):
        order = sorted(range(len(points)), key=column.__getitem__)
        span = column[order[-1]] - column[order[0]]
        if not span > 0.0:
            continue
        distances[order[0]] = distances[order[-1]] = math.inf
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            distances[here] += (points[after][objective] - points[before][objective]) / span
    return distances
