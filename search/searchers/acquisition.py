"""Where a model expects to gain most: the choice among many candidates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
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
    """Configurations to choose from: anywhere in the space, and near the best that are known.

    They are points of the unit cube, and become configurations as they are chosen: few ever are.
    """

    def __init__(self, space: Space, encoder: Encoder, generator: Any, seen: Collection[str]) -> None:
        """``seen``: keys of configurations that are none to choose."""
        self._space, self._encoder, self._generator = space, encoder, generator
        self._dimensions = len(space.dimensions)
        self._points: Any = np.empty((0, self._dimensions))
        self._taken: set[str] = set(seen)
        self._dropped: set[int] = set()

    def add_anywhere(self) -> None:
        self._add(self._generator.random((_ANYWHERE, self._dimensions)))

    def add_near(self, best: Sequence[Config]) -> None:
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
        self._add(np.clip(points, 0.0, 1.0 - 1e-12))

    @property
    def rows(self) -> Any:
        """All of them as the model sees them, whether they may be chosen or not: (n, width)."""
        return self._encoder.encode_points(self._points)

    def best(self, scores: Any) -> int | None:
        """The index with the highest score of those that are allowed and new; None where none is."""
        return next((index for index in np.argsort(-scores, kind="stable").tolist() if self._is_free(index)), None)

    def take(self, index: int) -> Config:
        """It is not new any more."""
        config = self._config(index)
        self._taken.add(key(config))
        return config

    def _is_free(self, index: int) -> bool:
        if index not in self._dropped:
            config = self._config(index)
            if key(config) not in self._taken and self._space.allows(config):
                return True
            self._dropped.add(index)
        return False

    def _config(self, index: int) -> Config:
        return self._space.from_unit(self._points[index].tolist())

    def _choices(self) -> Any:
        return np.array([is_choice(self._space.parameters[name]) for name in self._space.dimensions])

    def _add(self, points: Any) -> None:
        self._points = np.vstack([self._points, points])


def best_of(
    model: Model, rows: Any, candidates: Candidates, acquisition: Acquisition, best_loss: float, generator: Any
) -> int | None:
    """The index of the most promising candidate, if there is one; ``best_loss`` is what is to be improved upon."""
    if acquisition == "hedge":
        return _hedge(model, rows, candidates, best_loss, generator)
    return candidates.best(_SCORES[acquisition](model, rows, best_loss))


def _hedge(model: Model, rows: Any, candidates: Candidates, best_loss: float, generator: Any) -> int | None:
    """One of the three, by chance in favour of whose choice the model holds best (Hoffman et al. 2011, GP-Hedge).

    The paper adds up such rewards over all iterations; here they are of this one alone, so that what is proposed
    depends on nothing but what was observed.
    """
    chosen = (candidates.best(score(model, rows, best_loss)) for score in _SCORES.values())
    nominees = [index for index in chosen if index is not None]
    if not nominees:
        return None
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
