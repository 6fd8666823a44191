"""Configurations that stand in for a model's: spread evenly, at hand at once, in every process the same.

The points are an additive recurrence, frac(s + n a), with a_k = g**-k and g the root of g**(d+1) = g + 1: Roberts 2018,
"The unreasonable effectiveness of quasirandom sequences"; a Kronecker sequence (Niederreiter 1992, chapter 3), shifted
by the seed (Cranley and Patterson 1976). It needs no library, so the coordinator's event loop may call it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from clustertune.model.parameters import LARGEST_INT
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig
from clustertune.search.searchers.stream import allowed_config, initial_config, keyed_point


@dataclass(frozen=True, slots=True)
class StandIn:
    """What to try while a slow searcher has nothing ready: the user's own configurations first."""

    space: Space
    seed: int
    initial: Sequence[Mapping[str, Value]] = ()

    def config(self, trial: int, seen: Collection[str]) -> Config | NoConfig:
        """A function of seed, trial number and ``seen``, which holds the keys (``key``) of what was tried already."""
        if trial < len(self.initial):
            return initial_config(self.space, self.initial, self._draw, trial) or NoConfig.EXHAUSTED
        if found := allowed_config(self.space, self._draw, trial, seen=seen):
            return found
        if not self.space.finite:
            return allowed_config(self.space, self._draw, trial) or NoConfig.EXHAUSTED
        left = (c for c in self.space.grid(LARGEST_INT) if key(c) not in seen)
        return next(left, NoConfig.EXHAUSTED)

    def _draw(self, trial: int, attempt: int) -> Sequence[float]:
        dimensions = len(self.space.dimensions)
        return (
            keyed_point(self.seed, trial, attempt, dimensions)
            if attempt
            else spread_point(self.seed, trial, dimensions)
        )


def key(config: Config) -> str:
    """Equal for equal configurations, and for no others; parameters come in the order that the space declares."""
    return repr(config)


def spread_point(seed: int, number: int, dimensions: int) -> list[float]:
    """Point ``number`` of the sequence that ``seed`` shifts, in [0, 1)^dimensions."""
    root = _root(dimensions)
    shift = keyed_point(seed, -1, 0, dimensions)
    return [(start + (number + 1) * root**-k) % 1.0 for k, start in enumerate(shift, start=1)]


def _root(dimensions: int) -> float:
    """The root above 1 of g**(d+1) = g + 1, by the iteration that its definition suggests."""
    root = 2.0
    for _ in range(40):
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    return root
