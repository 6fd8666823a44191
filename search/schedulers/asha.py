"""Asynchronous successive halving, the stopping variant.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (https://arxiv.org/abs/1810.05934), algorithm 2,
with the change that Ray Tune and Syne Tune made known as the stopping type: a trial that reaches a rung goes on at once
when it is among the best there so far, and ends otherwise, so that no checkpoint is ever needed. Their r is
``min_resource``, R ``max_resource``, eta ``reduction_factor``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, Next, StartNew
from clustertune.search.schedulers.ladder import REDUCTION_FACTOR, highest_reached, maximum_problem, rung_levels
from clustertune.search.schedulers.rung import Rung


@dataclass(frozen=True, slots=True)
class AshaOptions:
    """How hard trials are culled."""

    reduction_factor: int | float = field(default=3, metadata=REDUCTION_FACTOR)
    brackets: int = field(
        default=1,
        metadata={
            "doc": "Ladders of rungs, each beginning one rung later than the one before; more of them guard against "
            "metrics that mislead early on. Trials are spread over them as Hyperband does.",
            "minimum": 1,
            "examples": [2],
        },
    )


@dataclass(slots=True)
class _Climber:
    """A trial on its way: its ladder, and the first rung of it that the trial has not passed."""

    bracket: int
    rung: int = 0
    finished: bool = False


class Asha:
    """Stops early the trials that do worse than the others did at the same resource level (ASHA)."""

    Options = AshaOptions

    def __init__(self, *, min_resource: int, max_resource: int | None, seed: int, options: AshaOptions) -> None:
        if max_resource is None:
            raise ValueError("asha needs max_resource")
        self._max, self._seed, eta = max_resource, seed, options.reduction_factor
        levels = rung_levels(min_resource, max_resource, eta)
        starts = range(min(options.brackets, max(1, len(levels))))
        self._ladders = [[Rung(level, eta) for level in levels[start:]] for start in starts]
        self._weights = list(accumulate(_bracket_weights(len(levels), len(starts), eta)))
        self._climbers: dict[int, _Climber] = {}

    @staticmethod
    def problems(options: AshaOptions, *, min_resource: int, max_resource: int | None) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        if max_resource is None:
            return maximum_problem("asha", max_resource)
        rungs = len(rung_levels(min_resource, max_resource, options.reduction_factor))
        if options.brackets > max(1, rungs):
            span = f"resource {min_resource} to {max_resource} with reduction_factor {options.reduction_factor:g}"
            return [
                ("brackets", f"found {options.brackets}; {span} has {rungs} rungs, and a bracket needs one of them")
            ]
        return []

    def next(self) -> Next:
        """Always a new trial: nothing is ever paused."""
        return StartNew()

    def target(self, trial: int) -> int | None:
        """The next rung of the trial's bracket, then the maximum, then None."""
        climber = self._climber(trial)
        if climber.finished:
            return None
        ladder = self._ladders[climber.bracket]
        return ladder[climber.rung].level if climber.rung < len(ladder) else self._max

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """Decides at the highest rung that ``resource`` reaches; below the next rung, and at the maximum, CONTINUE."""
        climber = self._climber(trial)
        if climber.finished or resource >= self._max:
            climber.finished = True
            return Decision.CONTINUE
        reached = highest_reached(self._ladders[climber.bracket], climber.rung, resource)
        if reached is None:
            return Decision.CONTINUE
        # A program that reports seldom passes several rungs at once: it is compared where it is, not where it was.
        climber.rung = reached + 1
        good = self._ladders[climber.bracket][reached].record(trial, loss)
        return Decision.CONTINUE if good else Decision.STOP

    def on_end(self, trial: int, state: TrialState) -> None:
        """What the trial recorded stays; the trial itself is forgotten."""
        del state
        self._climbers.pop(trial, None)

    def _climber(self, trial: int) -> _Climber:
        if trial not in self._climbers:
            self._climbers[trial] = _Climber(self._bracket(trial))
        return self._climbers[trial]

    def _bracket(self, trial: int) -> int:
        if len(self._ladders) == 1:
            return 0
        at = Random(f"{self._seed}/bracket/{trial}").random() * self._weights[-1]  # noqa: S311 - reproducible, not secret
        return next(index for index, weight in enumerate(self._weights) if at < weight)


def _bracket_weights(rungs: int, brackets: int, reduction_factor: float) -> Sequence[float]:
    """How many trials each bracket gets, as in Hyperband (Li et al. 2018, algorithm 1): eta**s / (s + 1).

    s is the number of rungs of the bracket; the common factor (s_max + 1) is left out.
    """
    return [reduction_factor ** (rungs - start) / (rungs - start + 1) for start in range(brackets)]
