"""The rungs that trials climb: at which levels, how many trials on each, and who of them ranks before whom."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Protocol

REDUCTION_FACTOR: Mapping[str, object] = {
    "doc": "Of the trials that reach a rung, one in this many goes on; rungs are this factor apart.",
    "minimum": 2,
    "examples": [4],
}
"""What is said of this option of all schedulers that halve."""

LOOP: Mapping[str, object] = {
    "doc": "How many trials it takes until each bracket had its turn, in Hyperband's proportions. Default: as many "
    "as Hyperband has. Choose fewer where there are fewer trials: else the later brackets never have theirs.",
    "minimum": 1,
    "examples": [64],
}
"""What is said of this option of all schedulers whose brackets take turns."""

Rank = tuple[float, int]


class HasLevel(Protocol):
    """A rung, whatever else it is."""

    @property
    def level(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Bracket:
    """How many trials there are at each level of a ladder; the last level is the maximum."""

    levels: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, levels: Sequence[int], trials: int, reduction_factor: float) -> Bracket:
        """floor(trials * eta**-i) of them at rung i, and at least one."""
        factor = Fraction(str(reduction_factor))
        return cls(tuple(levels), tuple(max(1, int(trials / factor**rung)) for rung in range(len(levels))))


def rank(trial: int, loss: float) -> Rank:
    """Smaller is better: losses that are not finite rank last; ties go to the lower trial number."""
    return (loss if math.isfinite(loss) else math.inf, trial)


def rung_levels(min_resource: int, max_resource: int, reduction_factor: float) -> list[int]:
    """min, min * eta, min * eta**2, …, below max; a fractional level is rounded down."""
    # Exact arithmetic in a loop: floating logarithms lose the top rung at 243 with eta 3.
    level, factor, levels = Fraction(min_resource), Fraction(str(reduction_factor)), []
    while level < max_resource:
        levels.append(int(level))
        level *= factor
    return levels


def hyperband_brackets(min_resource: int, max_resource: int, reduction_factor: float) -> list[Bracket]:
    """Hyperband's brackets, s from s_max down to 0 (Li et al. 2018, algorithm 1), each ending at max.

    s_max is the largest s for which min * eta**s is no more than max. Bracket s has
    n = ceil((s_max + 1) * eta**s / (s + 1)) trials and the levels max * eta**-(s - i), i from 0 to s, rounded down.
    """
    factor, s_max = Fraction(str(reduction_factor)), 0
    while min_resource * factor ** (s_max + 1) <= max_resource:
        s_max += 1
    brackets, sizes = [], bracket_sizes(s_max, reduction_factor)
    for s in range(s_max, -1, -1):
        trials = sizes[s_max - s]
        levels = [int(max_resource / factor**below) for below in range(s, -1, -1)]
        brackets.append(Bracket.of(levels, trials, reduction_factor))
    return brackets


def bracket_sizes(rungs: int, reduction_factor: float) -> list[int]:
    """How many trials Hyperband's brackets begin with, from the one with s = ``rungs`` to that with 0."""
    factor = Fraction(str(reduction_factor))
    return [math.ceil((rungs + 1) * factor**s / (s + 1)) for s in range(rungs, -1, -1)]


def taking_turns(sizes: Sequence[int], loop: int | None) -> Callable[[int], int]:
    """Which bracket a trial is in, by its number alone: nothing of it needs to be remembered.

    The first ``sizes[0]`` are in bracket 0, the next ``sizes[1]`` in 1, …, then it begins anew. The sizes are scaled so
    that once around takes at most ``loop`` trials, or one for each bracket where those are more.
    """
    scale = min(1.0, loop / sum(sizes)) if loop is not None else 1.0
    scaled = [max(1, round(scale * size)) for size in sizes]
    if loop is not None:
        # What the small ones were raised to one is the largest's to give: the last of them are why there is a loop.
        scaled[0] = max(1, scaled[0] - max(0, sum(scaled) - loop))
    ends = list(accumulate(scaled))
    return lambda trial: bisect_right(ends, trial % ends[-1])


def highest_reached(ladder: Sequence[HasLevel], begin: int, resource: int) -> int | None:
    """The highest rung from ``begin`` on whose level is no more than ``resource``."""
    reached = None
    for index in range(begin, len(ladder)):
        if ladder[index].level > resource:
            break
        reached = index
    return reached


def maximum_problem(name: str, max_resource: int | None) -> list[tuple[str, str]]:
    """What to tell a user who gave none to a scheduler that needs one."""
    if max_resource is not None:
        return []
    return [("", f"{name} compares trials on the way to a maximum; add resource: {{max: …}}, or use fifo")]
