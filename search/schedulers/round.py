"""One round of synchronous successive halving: who of its trials is where, who goes on, and who is dismissed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from clustertune.search.contracts import Decision, ResumeTrial, StopPausedTrial
from clustertune.search.schedulers.ladder import Bracket, Rank, rank


@dataclass(slots=True)
class _Climber:
    """A trial on its way to ``rung``, or waiting there until all have come; a ``lost`` one goes no further."""

    rung: int = 0
    resource: int = 0
    loss: float = 0.0
    waits: bool = False
    lost: bool = False
    paused: bool = False


class Round:
    """A bracket being filled and climbed.

    At each rung but the last all wait for each other, and as many go on as the next rung holds. A rung holds a heap of
    those that will go on as things stand; who falls out of it, or never gets in, is dismissed there and then, since
    more reports can only make it worse. So a report costs O(log n), and few trials wait that will not go on.
    """

    def __init__(self, bracket: Bracket, reduction_factor: float) -> None:
        self._bracket, self._reduction_factor = bracket, reduction_factor
        self._entered, self._closed = 0, False
        self._climbers: dict[int, _Climber] = {}
        rungs = range(len(bracket.levels))
        self._missing = [0 for _ in rungs]  # who is on the way to each rung
        self._best: list[list[Rank]] = [[] for _ in rungs]  # negated, so that the worst is on top
        self._promoted: list[tuple[int, float, int]] = []  # (-rung, rank), the highest rung first
        self._dismissed: deque[int] = deque()

    @property
    def full(self) -> bool:
        """Whether no trial may enter any more."""
        return self._closed or self._entered == self._bracket.sizes[0]

    @property
    def over(self) -> bool:
        return self.full and not self._climbers

    def enter(self, trial: int) -> None:
        """A new trial takes a place at the first rung."""
        self._entered += 1
        self._climbers[trial] = _Climber()
        self._missing[0] += 1

    def close(self) -> None:
        """No more will come: it becomes a smaller round, of those that are there."""
        if self.full:
            return
        self._closed = True
        self._bracket = Bracket.of(self._bracket.levels, self._entered, self._reduction_factor)
        while self._best[0] and len(self._best[0]) > self._places_above(0):
            self._dismiss(self._worst(0))
        self._decide_if_complete(0)

    def wish(self) -> ResumeTrial | StopPausedTrial | None:
        """What to do with a paused trial."""
        if self._dismissed:
            return StopPausedTrial(self._dismissed[0])
        return ResumeTrial(self._promoted[0][2]) if self._promoted else None

    def target(self, trial: int) -> int | None:
        """The first level above what the trial has reached."""
        climber = self._climbers.get(trial)
        if climber is None:
            return None
        return next((level for level in self._bracket.levels[climber.rung :] if level > climber.resource), None)

    def report(self, trial: int, resource: int, loss: float) -> Decision:
        """PAUSE while others are missing, STOP for one that cannot be among the best any more."""
        climber = self._climbers[trial]
        climber.resource, climber.loss = resource, loss
        if not climber.waits and not climber.lost:
            self._arrive(trial, climber)
        if resource >= self._bracket.levels[-1]:
            return Decision.CONTINUE
        if climber.lost:
            return Decision.STOP
        return Decision.PAUSE if climber.waits else Decision.CONTINUE

    def pause(self, trial: int) -> None:
        climber = self._climbers[trial]
        climber.paused = True
        if climber.lost:
            self._dismissed.append(trial)
        elif not climber.waits:
            self._may_resume(trial, climber)

    def resume(self, trial: int) -> None:
        self._climbers[trial].paused = False
        self._prune()

    def leave(self, trial: int) -> None:
        """The trial ended: nobody waits for it any more. A place that it had won stays empty."""
        climber = self._climbers.pop(trial, None)
        if climber is None:
            return
        if not climber.waits and not climber.lost:
            self._missing[climber.rung] -= 1
            self._decide_if_complete(climber.rung)
        self._prune()

    def _arrive(self, trial: int, climber: _Climber) -> None:
        """At the rung that it was on its way to, if it has come that far; the last one is no place to wait."""
        rung = climber.rung
        if rung + 1 == len(self._bracket.levels) or climber.resource < self._bracket.levels[rung]:
            return
        climber.waits = True
        self._missing[rung] -= 1
        loss, number = rank(trial, climber.loss)
        heappush(self._best[rung], (-loss, -number))
        if len(self._best[rung]) > self._places_above(rung):
            self._dismiss(self._worst(rung))
        self._decide_if_complete(rung)

    def _places_above(self, rung: int) -> int:
        return self._bracket.sizes[rung + 1]

    def _worst(self, rung: int) -> int:
        return -heappop(self._best[rung])[1]

    def _dismiss(self, trial: int) -> None:
        climber = self._climbers.get(trial)
        if climber is None:
            return
        climber.waits, climber.lost = False, True
        if climber.paused:
            self._dismissed.append(trial)

    def _decide_if_complete(self, rung: int) -> None:
        """All that can come have come: the best go on, if they have not ended meanwhile."""
        if self._missing[rung] or not self.full or rung + 1 == len(self._bracket.levels):
            return
        best, self._best[rung] = self._best[rung], []
        winners = [trial for _, trial in sorted((-loss, -trial) for loss, trial in best) if trial in self._climbers]
        for trial in winners:
            climber = self._climbers[trial]
            climber.rung, climber.waits = rung + 1, False
            self._missing[rung + 1] += 1
        for trial in winners:
            # A program that reports seldom may have passed the next rung, too.
            climber = self._climbers[trial]
            self._arrive(trial, climber)
            if climber.paused and not climber.waits and not climber.lost and climber.rung == rung + 1:
                self._may_resume(trial, climber)

    def _may_resume(self, trial: int, climber: _Climber) -> None:
        heappush(self._promoted, (-climber.rung, *rank(trial, climber.loss)))

    def _prune(self) -> None:
        """What is on top must be true, so that asking changes nothing."""
        while self._dismissed and self._dismissed[0] not in self._climbers:
            self._dismissed.popleft()
        while self._promoted and not self._resumable(self._promoted[0]):
            heappop(self._promoted)

    def _resumable(self, entry: tuple[int, float, int]) -> bool:
        climber = self._climbers.get(entry[2])
        return climber is not None and climber.paused and not climber.waits and climber.rung == -entry[0]
