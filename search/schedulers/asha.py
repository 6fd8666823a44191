"""Asynchronous successive halving, the stopping variant.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (https://arxiv.org/abs/1810.05934), algorithm 2,
with the change that Ray Tune and Syne Tune made known as the stopping type: a trial that reaches a rung goes on at once
when it is among the best there so far, and ends otherwise, so that no checkpoint is ever needed. Their r is
``min_resource``, R ``max_resource``, eta ``reduction_factor``.

With several brackets, trials take turns as in Hyperband (Li et al. 2018, JMLR 18(185), algorithm 1): the first n begin
to be compared at the lowest rung, the next ones a rung later, …, the last ones never, so that what is misleading early
on cannot mislead for ever. Departure: at a rung the trials of all brackets are compared with each other. In Hyperband
each bracket culls for itself; but a loss at a level means the same whoever reports it, and with few trials in a bracket
too many of them are among its best.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, Next, StartNew
from clustertune.search.schedulers.ladder import (
    LOOP,
    REDUCTION_FACTOR,
    bracket_sizes,
    highest_reached,
    maximum_problem,
    rung_levels,
    taking_turns,
)
from clustertune.search.schedulers.rung import Rung

_NEW = StartNew()


@dataclass(frozen=True, slots=True)
class AshaOptions:
    """How hard trials are culled."""

    reduction_factor: int | float = field(default=3, metadata=REDUCTION_FACTOR)
    brackets: int = field(
        default=1,
        metadata={
            "doc": "Groups of trials that begin to be compared one rung later each, and take turns as in Hyperband; "
            "more of them guard against losses that mislead early on. One more than there are rungs: the last group "
            "runs to the end.",
            "minimum": 1,
            "examples": [2],
        },
    )
    loop: int | None = field(default=None, metadata=LOOP)


@dataclass(slots=True)
class _Climber:
    """A trial on its way: the first rung at which it is compared, of those that it has not passed."""

    rung: int
    finished: bool = False


class Asha:
    """Stops early the trials that do worse than the others did at the same resource level (ASHA)."""

    Options = AshaOptions

    def __init__(self, *, min_resource: int, max_resource: int | None, seed: int, options: AshaOptions) -> None:
        if max_resource is None:
            raise ValueError("asha needs max_resource")
        del seed
        self._max, eta = max_resource, options.reduction_factor
        self._rungs = [Rung(level, eta) for level in rung_levels(min_resource, max_resource, eta)]
        brackets = min(options.brackets, len(self._rungs) + 1)
        self._bracket_of = taking_turns(bracket_sizes(len(self._rungs), eta)[:brackets], options.loop)
        self._climbers: dict[int, _Climber] = {}

    @staticmethod
    def problems(options: AshaOptions, *, min_resource: int, max_resource: int | None) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        if max_resource is None:
            return maximum_problem("asha", max_resource)
        if options.loop is not None and options.brackets == 1:
            return [("loop", "tells how brackets take turns, and there is only one; add brackets: 2, or more")]
        rungs = len(rung_levels(min_resource, max_resource, options.reduction_factor))
        if options.brackets > rungs + 1:
            span = f"resource {min_resource} to {max_resource} with reduction_factor {options.reduction_factor:g}"
            return [("brackets", f"found {options.brackets}; {span} has {rungs} rungs: at most {rungs + 1} brackets")]
        return []

    def next(self) -> Next:
        """Always a new trial: nothing is ever paused."""
        return _NEW

    def target(self, trial: int) -> int | None:
        """The next rung at which the trial is compared, then the maximum, then None."""
        climber = self._climber(trial)
        if climber.finished:
            return None
        return self._rungs[climber.rung].level if climber.rung < len(self._rungs) else self._max

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """Decides at the highest rung that ``resource`` reaches; below the next rung, and at the maximum, CONTINUE."""
        climber = self._climber(trial)
        if climber.finished or resource >= self._max:
            climber.finished = True
            return Decision.CONTINUE
        reached = highest_reached(self._rungs, climber.rung, resource)
        if reached is None:
            return Decision.CONTINUE
        # A program that reports seldom passes several rungs at once: it is compared where it is, not where it was.
        climber.rung = reached + 1
        return Decision.CONTINUE if self._rungs[reached].record(trial, loss) else Decision.STOP

    def on_end(self, trial: int, state: TrialState) -> None:
        """What the trial recorded stays; the trial itself is forgotten."""
        del state
        self._climbers.pop(trial, None)

    def _climber(self, trial: int) -> _Climber:
        if (climber := self._climbers.get(trial)) is None:
            self._climbers[trial] = climber = _Climber(self._bracket_of(trial))
        return climber
