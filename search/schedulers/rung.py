"""One rung: which of the losses recorded so far are among the best."""

from __future__ import annotations

from heapq import heappop, heappush, heappushpop

from clustertune.search.schedulers.ladder import rank


class Rung:
    """The losses of the trials that reached one resource level, split into the best n/eta and the rest.

    Both parts are heaps, so that a decision costs O(log n): n only grows, and with it the number of the best, so
    records move between the heaps one at a time.
    """

    __slots__ = ("_best", "_count", "_rest", "level", "reduction_factor")

    def __init__(self, level: int, reduction_factor: float) -> None:
        self.level, self.reduction_factor = level, reduction_factor
        self._count = 0
        # The best are negated, so that the worst of them is on top.
        self._best: list[tuple[float, int]] = []
        self._rest: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return self._count

    def record(self, trial: int, loss: float) -> bool:
        """Whether ``trial`` is among the best floor(n / eta), at least one, of the n recorded, itself included.

        Losses that are not finite rank last; ties go to the lower trial number. Each trial is recorded once.
        """
        mine = rank(trial, loss)
        worst = heappushpop(self._best, (-mine[0], -trial)) if self._best else (-mine[0], -trial)
        heappush(self._rest, (-worst[0], -worst[1]))
        self._count += 1
        while len(self._best) < max(1, int(self._count // self.reduction_factor)):
            value, number = heappop(self._rest)
            heappush(self._best, (-value, -number))
        worst = self._best[0]
        return mine <= (-worst[0], -worst[1])
