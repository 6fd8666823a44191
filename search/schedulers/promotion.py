"""Trials wait at their rungs until they are promoted: what the promoting schedulers share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, Next, ResumeTrial, StartNew
from clustertune.search.schedulers.ladder import highest_reached
from clustertune.search.schedulers.promotion_rung import PromotionRung


class Promotion:
    """Pauses each trial at the rungs of its ladder, and resumes the best of each rung.

    ``ladders`` are levels below ``max_resource``; ``ladder_of`` tells by its number which one a trial climbs. Li et al.
    2020 (https://arxiv.org/abs/1810.05934), algorithm 2: get_job looks from the top rung down for a trial that may be
    promoted, and else starts a new one at the bottom. One departure, where it occurs.
    """

    def __init__(
        self,
        *,
        max_resource: int,
        ladders: Sequence[Sequence[int]],
        reduction_factor: float,
        ladder_of: Callable[[int], int],
    ) -> None:
        self._max = max_resource
        self._ladders = [[PromotionRung(level, reduction_factor) for level in levels] for levels in ladders]
        self._ladder_of = ladder_of
        rungs = [rung for ladder in self._ladders for rung in ladder]
        self._top_down = sorted(rungs, key=lambda rung: -rung.level)
        self._next_rung: dict[int, int] = {}
        self._paused: set[int] = set()

    @staticmethod
    def pauses(options: object) -> bool:
        """Whoever waits at a rung is paused."""
        del options
        return True

    def next(self) -> Next:
        """The best paused trial that may be promoted, of the highest rung that has one; else a new trial."""
        for rung in self._top_down:
            # One that is still saving may be promoted as soon as it has; until then others have the slot.
            trial = rung.promotable(self._paused.__contains__)
            if trial is not None:
                return ResumeTrial(trial)
        return StartNew()

    def on_pause(self, trial: int) -> None:
        """It waits at its rung from now on."""
        self._paused.add(trial)

    def on_resume(self, trial: int) -> None:
        """It is promoted from the rung that it waits at, the last one that it passed."""
        self._paused.discard(trial)
        self._ladder(trial)[self._next_rung[trial] - 1].promote(trial)

    def target(self, trial: int) -> int | None:
        """The next rung, then the maximum, then None."""
        at, ladder = self._next_rung.get(trial, 0), self._ladder(trial)
        if at > len(ladder):
            return None
        return ladder[at].level if at < len(ladder) else self._max

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """PAUSE at a rung, unless the trial would be promoted at once; at the maximum CONTINUE."""
        at, ladder = self._next_rung.get(trial, 0), self._ladder(trial)
        if resource >= self._max:
            self._next_rung[trial] = len(ladder) + 1
            return Decision.CONTINUE
        reached = highest_reached(ladder, at, resource)
        if reached is None:
            return Decision.CONTINUE
        # A program that reports seldom passes several rungs at once: it is compared where it is, not where it was.
        self._next_rung[trial] = reached + 1
        rung = ladder[reached]
        rung.record(trial, loss)
        if rung.promotable() == trial:
            # The paper frees the worker and promotes at the next request. That request comes at once, from the
            # worker just freed, and mostly takes this trial: going on spares a checkpoint and a start.
            rung.promote(trial)
            return Decision.CONTINUE
        return Decision.PAUSE

    def on_end(self, trial: int, state: TrialState) -> None:
        """What the trial recorded stays; it is never promoted any more."""
        del state
        self._next_rung.pop(trial, None)
        self._paused.discard(trial)
        for rung in self._ladder(trial):
            rung.promote(trial)

    def _ladder(self, trial: int) -> list[PromotionRung]:
        return self._ladders[self._ladder_of(trial)]
