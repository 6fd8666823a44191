"""The Hartmann functions with fidelities: cheap evaluations are flattened and noisy, the last one is exact.

Kandasamy et al. 2017, "Multi-fidelity Bayesian Optimisation with Continuous Approximations"
(https://arxiv.org/abs/1703.06240), appendix on synthetic experiments: alpha, the weights of the four hills, falls with
the fidelity z. The form with one discrete fidelity, its bias and noise, and the four levels of difficulty are those of
mf-prior-bench (Mallik et al. 2023, https://arxiv.org/abs/2306.12370), where z is scaled logarithmically. Departures:
the noise is drawn by our own generator, from configuration, level and seed; and time: here a level costs as much as
the one before, as an epoch does, where the paper has a cost of its own for each fidelity.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from clustertune.coordinator.simulation.task import Step, check_step, key_of, normal
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import Config

_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = {
    3: ((3.0, 10.0, 30.0), (0.1, 10.0, 35.0), (3.0, 10.0, 30.0), (0.1, 10.0, 35.0)),
    6: (
        (10.0, 3.0, 17.0, 3.5, 1.7, 8.0),
        (0.05, 10.0, 17.0, 0.1, 8.0, 14.0),
        (3.0, 3.5, 1.7, 10.0, 17.0, 8.0),
        (17.0, 8.0, 0.05, 10.0, 0.1, 14.0),
    ),
}
_P = {
    3: ((3689, 1170, 2673), (4699, 4387, 7470), (1091, 8732, 5547), (381, 5743, 8828)),
    6: (
        (1312, 1696, 5569, 124, 8283, 5886),
        (2329, 4135, 8307, 3736, 1004, 9991),
        (2348, 1451, 3522, 2883, 3047, 6650),
        (4047, 8828, 8732, 5743, 1091, 381),
    ),
}
_LOWEST = {3: -3.8627797874, 6: -3.3223680115}
"""The value at the global minimum; rounded downwards, so that a regret is never negative."""


class Difficulty(NamedTuple):
    """``bias`` flattens the low levels, ``noise`` is the deviation of what is added there; both are gone at the top."""

    bias: float
    noise: float


DIFFICULTIES = {
    "good": Difficulty(2.5, 2.0),
    "moderate": Difficulty(3.0, 3.0),
    "bad": Difficulty(3.5, 4.0),
    "terrible": Difficulty(4.0, 5.0),
}
"""How well the low levels tell what the highest one will say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hartmann:
    """Parameters x0, x1, … in [0, 1]. ``sign`` -1 makes it a task whose metric is to be maximized."""

    dimensions: int
    difficulty: Difficulty = DIFFICULTIES["good"]
    max_resource: int = 100
    step_seconds: float = 1.0
    metric: str = "loss"
    sign: float = 1.0
    space: Space = field(init=False)

    def __post_init__(self) -> None:
        if self.dimensions not in _A:
            raise ValueError(f"there are Hartmann functions of 3 and of 6 dimensions, found {self.dimensions}")
        check_step(self.step_seconds)
        names = [f"x{number}" for number in range(self.dimensions)]
        object.__setattr__(self, "space", Space({name: Float(0.0, 1.0) for name in names}))

    @property
    def lowest(self) -> float:
        return _LOWEST[self.dimensions]

    def step_s(self, config: Config) -> float:
        del config
        return self.step_seconds

    def loss(self, config: Config, resource: int, seed: int) -> float:
        """H(x, z) + |N(0, 1)| * noise * (1 - z), with z = log(resource) / log(max_resource)."""
        return self._loss(self._hills(config), key_of(config, seed), resource)

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        """Level by level; what does not change with the level is computed once."""
        hills, key = self._hills(config), key_of(config, seed)
        for resource in range(1, self.max_resource + 1):
            yield resource, self.step_seconds, {self.metric: self.sign * self._loss(hills, key, resource)}

    def _hills(self, config: Config) -> Sequence[float]:
        point = [float(config[name]) for name in self.space.names]
        rows = zip(_A[self.dimensions], _P[self.dimensions], strict=True)
        return [
            math.exp(-sum(a * (x - p / 10_000) ** 2 for a, p, x in zip(weights, places, point, strict=True)))
            for weights, places in rows
        ]

    def _loss(self, hills: Sequence[float], key: int, resource: int) -> float:
        away = 1 - math.log(resource) / math.log(self.max_resource) if self.max_resource > 1 else 0.0
        exact = -sum((alpha - self.difficulty.bias * away) * hill for alpha, hill in zip(_ALPHA, hills, strict=True))
        # Always upwards: in the original, too, a low fidelity only ever looks worse than it is.
        return exact + abs(normal(key, resource)) * self.difficulty.noise * away
