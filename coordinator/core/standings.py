"""One number for schedulers and searchers where a report has several losses, or constraints to keep: its standing.

Multi-objective ASHA (Schmucker et al. 2021, "Multi-objective Asynchronous Successive Halving", arXiv 2106.12639) keeps
ASHA and ranks what a rung recorded by non-dominated sorting, with a second criterion inside each layer. Here a trial's
rank is the number of recorded ones that dominate it (Fonseca and Fleming 1993, "Genetic algorithms for multiobjective
optimization", section 3), which the next report brings up to date at a cost of O(n); inside a rank the crowding
distance decides (Deb et al. 2002, IEEE TEC 6(2), section III-B). The paper also tries a greedy epsilon-net there, which
would have to be built anew for every report. Whoever breaks a metric constraint stands after all who keep them, the
more it breaks the further.

Schedulers know losses, and they remember them. So the standing is a number in (0, 1) that lies among the standings
given before at that level exactly as the new report ranks among the reports: a scheduler that compares a report with
what its rung recorded decides as if it had ranked them itself. What was given stands: where a later report would change
the order of two earlier ones, their numbers stay as they are.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from clustertune.model.front import Measured, dominates


@dataclass(slots=True)
class _Record:
    trial: int
    losses: tuple[float, ...]
    beaten_by: int = 0


@dataclass(slots=True)
class Standings:
    """What was reported at one level, in the order in which it came."""

    _keepers: list[_Record] = field(default_factory=list)
    _breakers: list[tuple[float, int]] = field(default_factory=list)
    _given: list[float] = field(default_factory=list)
    _of: dict[int, float] = field(default_factory=dict)

    def of(self, trial: int) -> float | None:
        """What the trial was given here."""
        return self._of.get(trial)

    def standing(self, trial: int, measured: Measured) -> float:
        """What a report gets that comes now. ``measured`` is finite. Costs O(n) in the reports of this level."""
        if measured.keeps:
            place = self._place(trial, measured.losses)
        else:
            mine = (measured.violation, trial)
            place = len(self._keepers) + sum(other < mine for other in self._breakers)
        below = self._given[place - 1] if place else 0.0
        above = self._given[place] if place < len(self._given) else 1.0
        # As a share of those that are ahead: standings of different levels are of one kind.
        share = (place + 0.5) / (len(self._given) + 1)
        return share if below < share < above else (below + above) / 2

    def record(self, trial: int, measured: Measured, standing: float) -> None:
        """The report was given this standing."""
        if measured.keeps:
            new = _Record(trial, measured.losses)
            for other in self._keepers:
                if dominates(measured.losses, other.losses):
                    other.beaten_by += 1
                elif dominates(other.losses, measured.losses):
                    new.beaten_by += 1
            self._keepers.append(new)
        else:
            self._breakers.append((measured.violation, trial))
        insort(self._given, standing)
        self._of[trial] = standing

    def _place(self, trial: int, losses: Sequence[float]) -> int:
        """How many of those that keep the constraints rank before it."""
        mine, ranks = 0, []
        for other in self._keepers:
            beaten_by = other.beaten_by
            if dominates(losses, other.losses):
                beaten_by += 1
            elif dominates(other.losses, losses):
                mine += 1
            ranks.append(beaten_by)
        peers = [other for other, rank in zip(self._keepers, ranks, strict=True) if rank == mine]
        crowding = crowding_distances([losses, *(peer.losses for peer in peers)])
        again = any(peer.losses == losses for peer in peers)
        my_key = (0.0 if again else -crowding[0], trial)
        keys = [(-distance, peer.trial) for distance, peer in zip(crowding[1:], peers, strict=True)]
        return sum(rank < mine for rank in ranks) + sum(key < my_key for key in keys)


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
