"""One rung of the promoting variant: who of those that reached it may go further."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from clustertune.search.schedulers.ladder import Rank, rank


class PromotionRung:
    """The losses of the trials that reached one level; the best floor(n / eta) of them may be promoted, once each.

    Three heaps make it O(log n): the best (the worst of them on top), the rest (the best of them on top), and the
    candidates, which are those of the best that were not promoted yet. Who falls out of the best stays among the
    candidates until it comes to the top, and is passed over there.
    """

    __slots__ = ("_best", "_candidates", "_count", "_in_best", "_promoted", "_rest", "level", "reduction_factor")

    def __init__(self, level: int, reduction_factor: float) -> None:
        self.level, self.reduction_factor = level, reduction_factor
        self._count = 0
        self._best: list[Rank] = []  # negated
        self._rest: list[Rank] = []
        self._candidates: list[Rank] = []
        self._in_best: set[int] = set()
        self._promoted: set[int] = set()

    def __len__(self) -> int:
        return self._count

    def record(self, trial: int, loss: float) -> None:
        """Losses that are not finite rank last; ties go to the lower trial number. Each trial is recorded once."""
        self._count += 1
        heappush(self._rest, rank(trial, loss))
        while len(self._best) < int(self._count // self.reduction_factor):
            self._rise()
        # One of the rest may be better than the worst of the best.
        while self._best and self._rest and self._rest[0] < _negated(self._best[0]):
            worst = _negated(heappop(self._best))
            self._in_best.discard(worst[1])
            self._rise()
            heappush(self._rest, worst)

    def _rise(self) -> None:
        record = heappop(self._rest)
        heappush(self._best, _negated(record))
        self._in_best.add(record[1])
        heappush(self._candidates, record)

    def promotable(self, ready: Callable[[int], bool] = lambda trial: True) -> int | None:  # noqa: ARG005
        """The best trial that may be promoted, was not, and is ``ready``; None where there is none."""
        passed_over: list[Rank] = []
        found = None
        while self._candidates and found is None:
            record = heappop(self._candidates)
            trial = record[1]
            # Who fell out of the best comes back if it rises again; who was promoted does not.
            if trial in self._in_best and trial not in self._promoted:
                passed_over.append(record)
                found = trial if ready(trial) else None
        for record in passed_over:
            heappush(self._candidates, record)
        return found

    def promote(self, trial: int) -> None:
        """``trial`` goes further, or never will: it is a candidate no more."""
        self._promoted.add(trial)


def _negated(record: Rank) -> Rank:
    return -record[0], -record[1]
