"""From what was observed to proposals: fit a model, and choose where it expects to gain most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clustertune.model.parameters import LARGEST_INT
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.searchers.acquisition import Acquisition, Candidates, best_of
from clustertune.search.searchers.encoding import Encoder
from clustertune.search.searchers.spread import key
from clustertune.search.searchers.surrogates import Model, Surrogate, fit

_FENCE = 6.0
"""Ten standard deviations above the mean, where losses are normally distributed."""

_BEST = 5
"""Candidates are looked for near this many of the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a model learns from, and what it is asked.

    ``taught`` configurations with their ``losses``, finite, at least one, and ``worthless`` ones, which had none;
    ``levels`` are a further column of these, where the model has one: it is asked for the highest, 1. ``best``: some of
    the taught, the best first.
    """

    taught: Sequence[Config]
    losses: Sequence[float]
    worthless: Sequence[Config]
    best: Sequence[Config]
    pending: Sequence[Config]
    levels: Sequence[float] | None = None


@dataclass(slots=True)
class ModelSearch:
    """The part that model-based searchers share. What it proposes is a function of its arguments alone."""

    space: Space
    seed: int
    encoder: Encoder = field(init=False)

    def __post_init__(self) -> None:
        import skopt.learning  # noqa: F401 - a second of importing is spent here, and not when the first proposal is due

        self.encoder = Encoder(self.space)

    def propose(
        self, lesson: Lesson, kind: Surrogate, acquisition: Acquisition, seen: set[str], told: int, count: int
    ) -> list[Config]:
        """At most ``count`` configurations that are not ``seen``; none where there are no more."""
        generator = np.random.default_rng([self.seed, told])
        column = lesson.levels is not None
        model = fit(kind, *self._data(lesson), int(generator.integers(2**31)))
        for row in _at_the_top(self.encoder.encode(lesson.pending), column):
            model = model.believing(row)
        best_loss = float(model.predict(_at_the_top(self.encoder.encode(lesson.best), column))[0].min())
        candidates = Candidates(self.space, self.encoder, generator)
        candidates.add_anywhere(seen)
        candidates.add_near(lesson.best[:_BEST], seen)
        rows, configs = _at_the_top(candidates.rows, column), candidates.configs
        found: list[Config] = []
        while len(found) < count and configs:
            index = best_of(model, rows, acquisition, best_loss, generator)
            found.append(configs.pop(index))
            model = self._next(model, rows[index], last=len(found) == count)
            rows = np.delete(rows, index, axis=0)
        return [*found, *self._left(seen, found, count)]

    def _next(self, model: Model, row: Any, *, last: bool) -> Model:
        return model if last else model.believing(row)

    def _data(self, lesson: Lesson) -> tuple[Any, Any]:
        """Rows (n, d) and losses (n,); what was worth nothing counts as much as the worst that was worth something."""
        rows = self.encoder.encode([*lesson.taught, *lesson.worthless])
        if lesson.levels is not None:
            rows = np.hstack([rows, np.array(lesson.levels, dtype=float)[:, None]])
        scaled = standardized(np.array(lesson.losses, dtype=float))
        return rows, np.append(scaled, [scaled.max()] * len(lesson.worthless))

    def _left(self, seen: set[str], found: list[Config], count: int) -> list[Config]:
        """Of a finite space that is nearly used up, what no candidate hit."""
        if len(found) >= count or self.space.size is None:
            return []
        tried = seen | {key(config) for config in found}
        left = (c for c in self.space.grid(LARGEST_INT) if key(c) not in tried and self.space.allows(c))
        return [config for config, _ in zip(left, range(count - len(found)), strict=False)]


def _at_the_top(rows: Any, column: bool) -> Any:
    """The rows, with the highest level in the last column where there is one."""
    return np.hstack([rows, np.ones((len(rows), 1))]) if column else rows


def _fence(losses: Any) -> float:
    """How large a loss may be before it says no more than "bad".

    It is measured from the best quarter, not as in a box plot from the middle half: more than half may have diverged.
    """
    best, *quarters = np.quantile(losses, (0.0, 0.25, 0.5, 0.75, 1.0), method="lower")
    return next((float(q + _FENCE * (q - best)) for q in quarters if q > best), math.inf)


def standardized(losses: Any) -> Any:
    """Zero mean, unit variance, and no tail of bad values that would hide the differences between good ones.

    What is skewed after that is straightened by a power (Yeo and Johnson 2000), as HEBO does (Cowen-Rivers et al. 2022,
    arXiv 2012.03826, section 3.2).
    """
    from sklearn.preprocessing import PowerTransformer

    fenced = np.minimum(losses, _fence(losses))
    spread = fenced.std()
    if not spread > 0.0:
        return np.zeros(len(losses))
    scaled = (fenced - fenced.mean()) / spread
    straight = PowerTransformer(method="yeo-johnson").fit_transform(scaled[:, None])[:, 0]
    return straight if np.isfinite(straight).all() and straight.std() > 0.0 else scaled
