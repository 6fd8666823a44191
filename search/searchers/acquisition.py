"""Where a model expects to gain most: the choice among many candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.searchers.encoding import Encoder, is_choice
from clustertune.search.searchers.spread import key
from clustertune.search.searchers.surrogates import Model

Acquisition = Literal["ei", "lcb", "pi", "hedge"]

_ANYWHERE = 800
_NEARBY = 400
_STEPS = (0.01, 0.05, 0.2)
"""How far candidates near the best ones lie from them, in units of the cube."""

_KAPPA = 1.96


class Candidates:
    """Configurations to choose from: anywhere in the space, and near the best that are known."""

    def __init__(self, space: Space, encoder: Encoder, generator: Any) -> None:
        self._space, self._encoder, self._generator = space, encoder, generator
        self._dimensions = len(space.dimensions)
        self.configs: list[Config] = []
        self.rows: Any = np.empty((0, encoder.width))

    def add_anywhere(self, seen: set[str]) -> None:
        self._add(self._generator.random((_ANYWHERE, self._dimensions)), seen)

    def add_near(self, best: Sequence[Config], seen: set[str]) -> None:
        """Steps along one or a few coordinates from each of ``best``."""
        if not best:
            return
        centres = np.array([self._space.to_unit(config) for config in best])
        chosen = centres[self._generator.integers(len(best), size=_NEARBY)]
        step = self._generator.choice(_STEPS, size=(_NEARBY, 1)) * self._generator.standard_normal(chosen.shape)
        moved = self._generator.random(chosen.shape) < max(0.3, 1.5 / self._dimensions)
        # A choice has no neighbours: where it moves, it moves anywhere.
        anywhere = moved & self._choices()
        points = np.where(moved, chosen + step, chosen)
        points = np.where(anywhere, self._generator.random(chosen.shape), points)
        self._add(np.clip(points, 0.0, 1.0 - 1e-12), seen)

    def _choices(self) -> Any:
        return np.array([is_choice(self._space.parameters[name]) for name in self._space.dimensions])

    def _add(self, points: Any, seen: set[str]) -> None:
        known = seen | {key(config) for config in self.configs}
        fresh = []
        for point in points.tolist():
            config = self._space.from_unit(point)
            name = key(config)
            if name not in known and self._space.allows(config):
                known.add(name)
                fresh.append(config)
        if fresh:
            self.configs += fresh
            self.rows = np.vstack([self.rows, self._encoder.encode(fresh)])


def best_of(model: Model, rows: Any, acquisition: Acquisition, best_loss: float, generator: Any) -> int:
    """The index of the most promising row. ``best_loss`` is what is to be improved upon."""
    if acquisition == "hedge":
        return _hedge(model, rows, best_loss, generator)
    return int(np.argmax(_SCORES[acquisition](model, rows, best_loss)))


def _hedge(model: Model, rows: Any, best_loss: float, generator: Any) -> int:
    """One of the three, by chance in favour of whose choice the model holds best (Hoffman et al. 2011, GP-Hedge).

    The paper adds up such rewards over all iterations; here they are of this one alone, so that what is proposed
    depends on nothing but what was observed.
    """
    nominees = [int(np.argmax(score(model, rows, best_loss))) for score in _SCORES.values()]
    reward = -model.predict(rows[nominees])[0]
    odds = np.exp(reward - reward.max())
    return nominees[int(generator.choice(len(nominees), p=odds / odds.sum()))]


def _expected_improvement(model: Model, rows: Any, best_loss: float) -> Any:
    from skopt.acquisition import gaussian_ei

    return gaussian_ei(rows, model, best_loss, xi=0.0)


def _lower_confidence_bound(model: Model, rows: Any, best_loss: float) -> Any:
    from skopt.acquisition import gaussian_lcb

    del best_loss
    return -gaussian_lcb(rows, model, _KAPPA)


def _probability_of_improvement(model: Model, rows: Any, best_loss: float) -> Any:
    from skopt.acquisition import gaussian_pi

    return gaussian_pi(rows, model, best_loss, xi=0.01)


_SCORES: dict[str, Callable[[Model, Any, float], Any]] = {
    "ei": _expected_improvement,
    "lcb": _lower_confidence_bound,
    "pi": _probability_of_improvement,
}
