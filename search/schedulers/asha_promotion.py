"""Asynchronous successive halving as the paper has it: trials wait at their rungs until they are promoted.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (https://arxiv.org/abs/1810.05934), algorithm 2:
get_job promotes the best trial that may be promoted, looking from the top rung down, and else starts a new one at
the bottom. Their r is ``min_resource``, R ``max_resource``, eta ``reduction_factor``; s, the early-stopping rate, is 0.
One departure, where it occurs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, Next, ResumeTrial, StartNew
from clustertune.search.schedulers.asha import REDUCTION_FACTOR, rung_levels
from clustertune.search.schedulers.promotion_rung import PromotionRung


@dataclass(frozen=True, slots=True)
class AshaPromotionOptions:
    """How hard trials are culled."""

    reduction_factor: int | float = field(default=3, metadata=REDUCTION_FACTOR)


class AshaPromotion:
    """Pauses each trial at its rung and resumes the best (ASHA with promotion); trials must take checkpoints."""

    Options = AshaPromotionOptions

    def __init__(
        self, *, min_resource: int, max_resource: int | None, seed: int, options: AshaPromotionOptions
    ) -> None:
        del seed
        if max_resource is None:
            raise ValueError("asha-promotion needs max_resource")
        self._max = max_resource
        levels = rung_levels(min_resource, max_resource, options.reduction_factor)
        self._rungs = [PromotionRung(level, options.reduction_factor) for level in levels]
        self._next_rung: dict[int, int] = {}
        self._paused: set[int] = set()

    @staticmethod
    def pauses(options: AshaPromotionOptions) -> bool:
        del options
        return True

    @staticmethod
    def problems(
        options: AshaPromotionOptions, *, min_resource: int, max_resource: int | None
    ) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        del options, min_resource
        if max_resource is None:
            message = "asha-promotion compares trials on the way to a maximum; add resource: {max: …}, or use fifo"
            return [("", message)]
        return []

    def next(self) -> Next:
        """The best paused trial that may be promoted, of the highest rung that has one; else a new trial."""
        for rung in reversed(self._rungs):
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
        self._rungs[self._next_rung[trial] - 1].promote(trial)

    def target(self, trial: int) -> int | None:
        """The next rung, then the maximum, then None."""
        at = self._next_rung.get(trial, 0)
        if at > len(self._rungs):
            return None
        return self._rungs[at].level if at < len(self._rungs) else self._max

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """PAUSE at a rung, unless the trial would be promoted at once; at the maximum CONTINUE."""
        at = self._next_rung.get(trial, 0)
        if resource >= self._max:
            self._next_rung[trial] = len(self._rungs) + 1
            return Decision.CONTINUE
        reached = [index for index in range(at, len(self._rungs)) if self._rungs[index].level <= resource]
        if not reached:
            return Decision.CONTINUE
        # A program that reports seldom passes several rungs at once: it is compared where it is, not where it was.
        self._next_rung[trial] = reached[-1] + 1
        rung = self._rungs[reached[-1]]
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
        for rung in self._rungs:
            rung.promote(trial)
