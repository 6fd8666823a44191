"""Configurations that stand in for a model's: spread evenly, at hand at once, in every process the same.

The points are an additive recurrence, frac(s + n a), with a_k = g**-k and g the root of g**(d+1) = g + 1: Roberts 2018,
"The unreasonable effectiveness of quasirandom sequences"; a Kronecker sequence (Niederreiter 1992, chapter 3), shifted
by the seed (Cranley and Patterson 1976). It needs no library, so the coordinator's event loop may call it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clustertune.model.parameters import LARGEST_INT
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig
from clustertune.search.searchers.stream import allowed_config, initial_config, keyed_point


class _Left:
    """The first configuration of a finite space that was not seen: how far the way to it was gone is remembered.

    What was passed is remembered, too, so that the answer hangs on ``seen`` alone: who asks may count something as seen
    that was proposed and never tried.
    """

    __slots__ = ("_ahead", "_passed")

    def __init__(self) -> None:
        self._ahead: Iterator[Config] | None = None
        self._passed: dict[str, Config] = {}

    def first(self, space: Space, seen: Collection[str]) -> Config | NoConfig:
        if not all(map(seen.__contains__, self._passed)):
            return next(config for name, config in self._passed.items() if name not in seen)
        if self._ahead is None:
            self._ahead = space.grid(LARGEST_INT)
        for config in self._ahead:
            self._passed[key(config)] = config
            if key(config) not in seen:
                return config
        return NoConfig.EXHAUSTED


@dataclass(frozen=True, slots=True)
class StandIn:
    """What to try while a slow searcher has nothing ready: the user's own configurations first."""

    space: Space
    seed: int
    initial: Sequence[Mapping[str, Value]] = ()
    _left: _Left = field(default_factory=_Left, init=False, repr=False, compare=False)

    def config(self, trial: int, seen: Collection[str]) -> Config | NoConfig:
        """A function of seed, trial number and ``seen``, which holds the keys (``key``) of what was tried already."""
        if trial < len(self.initial):
            return initial_config(self.space, self.initial, self._draw, trial) or NoConfig.EXHAUSTED
        if found := allowed_config(self.space, self._draw, trial, seen=seen):
            return found
        if not self.space.finite:
            return allowed_config(self.space, self._draw, trial) or NoConfig.EXHAUSTED
        return self._left.first(self.space, seen)

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
