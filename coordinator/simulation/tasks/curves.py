"""A family of synthetic learning curves that cross and diverge, over any search space; its members are numbered.

A member is made of smooth random functions of the configuration (sums of cosines: Rahimi and Recht 2007, "Random
features for large-scale kernel machines", section 3): one says how low the curve ends, one how high it begins, one how
fast it falls. A share of the configurations are late bloomers: they seem stuck for a while, and end lower than
their neighbours. Others diverge: from some level on they report NaN, infinity, or a loss that grows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from clustertune.coordinator.simulation.task import Step, check_step, key_of, normal, uniform
from clustertune.model.space import Space
from clustertune.model.trial import LARGEST_LEVEL, Config

_WAVES = 24
_LARGEST_NOISE = 10.0
_NEVER = LARGEST_LEVEL + 1
_FLOOR, _FALL, _SPEED, _LATE, _WILD, _COST = range(6)
"""The functions of the configuration that make a curve."""


class _Shape(NamedTuple):
    """loss(t) = floor + fall * exp(-rate * max(0, t - delay)), t in shares of the whole, until it diverges."""

    floor: float
    fall: float
    rate: float
    delay: float
    diverges_at: int
    how: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Member ``number`` of the family, over ``space``.

    ``misleading`` (0 to 1): how little the beginning of a curve has to do with its end. ``late``: the share of late
    bloomers; ``diverging``: that of curves that diverge; ``noise``: the deviation of the logarithm of each report.
    The least loss over a space is not known: ``lowest`` is None.
    """

    space: Space
    number: int = 0
    max_resource: int = 81
    misleading: float = 0.7
    late: float = 0.1
    diverging: float = 0.1
    noise: float = 0.02
    step_seconds: float = 1.0
    metric: str = "loss"
    sign: float = 1.0
    lowest: float | None = None
    _waves: Sequence[Sequence[tuple[Sequence[float], float]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("misleading", "late", "diverging"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, found {getattr(self, name)}")
        if not 0 <= self.noise <= _LARGEST_NOISE:
            raise ValueError(f"noise is a number from 0 to {_LARGEST_NOISE:g}, found {self.noise:g}")
        check_step(self.step_seconds)
        dimensions = len(self.space.dimensions)
        object.__setattr__(self, "_waves", [self._draw_waves(function, dimensions) for function in range(6)])

    def step_s(self, config: Config) -> float:
        """Between half and twice ``step_seconds``, depending on the configuration."""
        return self.step_seconds * 2 ** (2 * self._value(_COST, self.space.to_unit(config)) - 1)

    def loss(self, config: Config, resource: int, seed: int) -> float:
        return self._loss(self._shape(config), key_of(config, seed, self.number), resource)

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        """Level by level; what does not change with the level is computed once."""
        shape, key, step_s = self._shape(config), key_of(config, seed, self.number), self.step_s(config)
        for resource in range(1, self.max_resource + 1):
            yield resource, step_s, {self.metric: self.sign * self._loss(shape, key, resource)}

    def _loss(self, shape: _Shape, key: int, resource: int) -> float:
        if resource >= shape.diverges_at:
            if shape.how < 0.5:
                return math.nan
            return math.inf if shape.how < 0.75 else 10.0 * 1.5 ** min(100, resource - shape.diverges_at)
        late = max(0.0, resource / self.max_resource - shape.delay)
        exact = shape.floor + shape.fall * math.exp(-shape.rate * late)
        return exact * math.exp(self.noise * normal(key, resource))

    def _shape(self, config: Config) -> _Shape:
        point = self.space.to_unit(config)
        end, fall, own, late, wild = (self._value(f, point) for f in (_FLOOR, _FALL, _SPEED, _LATE, _WILD))
        # Where nothing misleads, what ends low also begins low and falls fast.
        quick, fall = self._mixed(1 - end, own), self._mixed(end, fall)
        floor, rate, delay = 0.02 + end * end, 3.0 * 10**quick, 0.0
        if late < self.late:
            floor, delay = 0.7 * floor, 0.1 + 0.4 * own
        draw = uniform(key_of(config, "diverging", self.number), 0)
        diverges_at = 1 + int(draw * self.max_resource) if wild < self.diverging else _NEVER
        return _Shape(floor, 0.5 + 2.5 * fall, rate, delay, diverges_at, uniform(key_of(config, "how", self.number), 0))

    def _mixed(self, telling: float, own: float) -> float:
        return (1 - self.misleading) * telling + self.misleading * own

    def _draw_waves(self, function: int, dimensions: int) -> Sequence[tuple[Sequence[float], float]]:
        key = key_of({}, "waves", self.number, function)
        width = dimensions + 1
        return [
            (
                [4.0 * normal(key, wave * width + axis) / math.sqrt(max(1, dimensions)) for axis in range(dimensions)],
                2 * math.pi * uniform(key, wave * width + dimensions),
            )
            for wave in range(_WAVES)
        ]

    def _value(self, function: int, point: Sequence[float]) -> float:
        """Smooth in the configuration, and over all of them nearly uniform in (0, 1)."""
        total = sum(
            math.cos(sum(w * x for w, x in zip(weights, point, strict=True)) + phase)
            for weights, phase in self._waves[function]
        )
        # The sum is nearly normal with deviation sqrt(waves / 2); its distribution function makes it uniform.
        return 0.5 * (1 + math.erf(total / math.sqrt(_WAVES)))
