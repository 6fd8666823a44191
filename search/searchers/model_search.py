"""From what was observed to proposals: fit a model, and choose where it expects to gain most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.contracts import EarlierExperiment
from clustertune.search.searchers.acquisition import Acquisition, Candidates, best_of
from clustertune.search.searchers.encoding import Encoder
from clustertune.search.searchers.past import Past
from clustertune.search.searchers.scalarization import weigh, weights
from clustertune.search.searchers.spread import StandIn, key
from clustertune.search.searchers.surrogates import Data, Learned, Surrogate, learn

_FENCE = 6.0
"""Ten standard deviations above the mean, where losses are normally distributed."""

_RELEARN = 1.1

_BEST = 5
"""Candidates are looked for near this many of the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a model of this ``kind`` learns from, and what it is asked.

    ``taught`` configurations with their ``losses``, finite, and ``worthless`` ones, which had none;
    ``levels`` are a further column of these, where the model has one: it is asked for the highest, 1. ``best``: some of
    the taught, the best first.
    """

    kind: Surrogate
    taught: Sequence[Config]
    losses: Sequence[float]
    worthless: Sequence[Config]
    best: Sequence[Config]
    pending: Sequence[Config]
    levels: Sequence[float] | None = None


class ModelSearch:
    """The part that model-based searchers share; ``lesson`` is what makes one differ from another.

    What takes long to learn is learned anew whenever a tenth more has been observed. At which observations that is
    depends on their number alone, so that a searcher made anew and told everything again proposes the same.
    """

    def __init__(self, space: Space, seed: int, acquisition: Acquisition, lesson: Callable[[Past], Lesson]) -> None:
        import skopt.learning  # noqa: F401 - a second of importing is spent here, and not when a proposal is due
        from threadpoolctl import ThreadpoolController

        self._space, self._seed, self._acquisition, self._lesson = space, seed, acquisition, lesson
        self._encoder, self._stand_in = Encoder(space), StandIn(space, seed)
        self.past = Past()
        self._observed = self._due = 0
        self._base: Lesson | None = None
        self._learned: Learned | None = None
        self._learn: Callable[[Surrogate, Data, int], Learned] = learn
        self._threads = ThreadpoolController()

    def earlier(self, experiments: Sequence[EarlierExperiment]) -> None:
        """From now on models know what these found. Told before anything else."""
        from clustertune.search.searchers.transfer import Transfer

        self._learn = Transfer(experiments, self._encoder, self._seed).learn

    def observe(self, trial: int, resource: int, loss: float) -> None:
        self.past.observe(trial, resource, loss)
        if math.isfinite(loss):
            self._note()

    def observe_all(self, trial: int, resource: int, losses: tuple[float, ...], violation: float) -> None:
        self.past.observe_all(trial, resource, losses, violation)
        self._note()

    def _note(self) -> None:
        """Of several losses a model learns its scales where all count alike: they matter to each of them."""
        self._observed += 1
        if self._observed >= self._due:
            self._due = math.ceil(_RELEARN * self._observed)
            weigh(self.past)
            self._base, self._learned = self._lesson(self.past), None

    def propose(self, count: int) -> list[Config]:
        """At most ``count`` configurations that were not tried; none where there are no more.

        In one thread: matrices are small, and where trials keep the cores busy, threads that wait for each other at
        every step of a small product take several times as long as one.
        """
        with self._threads.limit(limits=1):
            return self._proposed_by_models(count)

    def _proposed_by_models(self, count: int) -> list[Config]:
        losses = max((len(losses) for losses, _ in self.past.vectors.values()), default=1)
        weigh(self.past)
        if losses == 1:
            return self._proposed(count)
        found: list[Config] = []
        for number in range(count):
            weigh(self.past, weights(self._seed, len(self.past.trials) + number, losses))
            found += self._proposed(1, found)
        return found

    def _proposed(self, count: int, before: Sequence[Config] = ()) -> list[Config]:
        """``before``: what was proposed in the same breath, and is pending."""
        lesson, seen = self._lesson(self.past), self.past.seen | {key(config) for config in before}
        if self._base is None or not lesson.taught or not self._space.dimensions:
            return self._spread(count, before)
        if self._learned is None:
            self._learned = self._learn(self._base.kind, self._data(self._base), self._seed)
        generator = np.random.default_rng([self._seed, self.past.told, *([len(before)] if before else [])])
        column = lesson.levels is not None
        model = self._learned(self._data(lesson))
        if pending := [*lesson.pending, *before]:
            model = model.believing(_at_the_top(self._encoder.encode(pending), column))
        best_loss = float(model.predict(_at_the_top(self._encoder.encode(lesson.best), column))[0].min())
        candidates = Candidates(self._space, self._encoder, generator, seen)
        candidates.add_anywhere()
        candidates.add_near(lesson.best[:_BEST])
        rows = _at_the_top(candidates.rows, column)
        found: list[Config] = []
        while len(found) < count:
            index = best_of(model, rows, candidates, self._acquisition, best_loss, generator)
            if index is None:
                break
            found.append(candidates.take(index))
            if len(found) < count:
                model = model.believing(rows[index : index + 1])
        return [*found, *self._spread(count - len(found), [*before, *found])]

    def _spread(self, count: int, found: Sequence[Config] = ()) -> list[Config]:
        """While there is nothing to learn from; and where no candidate is new and allowed: in a tight or used space."""
        seen = self.past.seen | {key(config) for config in found}
        first, spread = len(self.past.trials) + len(found), list[Config]()
        for number in range(first, first + count):
            config = self._stand_in.config(number, seen)
            if isinstance(config, dict):
                spread.append(config)
                seen.add(key(config))
        return spread

    def _data(self, lesson: Lesson) -> Data:
        """What was worth nothing counts as much as the worst that was worth something."""
        rows = self._encoder.encode([*lesson.taught, *lesson.worthless])
        if lesson.levels is not None:
            rows = np.hstack([rows, np.array(lesson.levels, dtype=float)[:, None]])
        scaled = standardized(np.array(lesson.losses, dtype=float))
        groups = np.array(lesson.levels) if lesson.levels is not None else np.zeros(len(rows))
        return Data(rows, np.append(scaled, [scaled.max()] * len(lesson.worthless)), groups)


def _at_the_top(rows: Any, column: bool) -> Any:
    """The rows, with the highest level in the last column where there is one."""
    return np.hstack([rows, np.ones((len(rows), 1))]) if column else rows


def _fence(losses: Any) -> tuple[float, int]:
    """How large a loss may be before it says no more than "bad", in units of a power of two, and which power that is.

    It is measured from the best quarter, not as in a box plot from the middle half: more than half may have diverged.
    The power is that of what it is measured from, so that neither a sum nor a difference is too large or too small for
    a float, whatever the size of the losses. Where all are equal nothing is bad.
    """
    best, *quarters = np.quantile(losses, (0.0, 0.25, 0.5, 0.75, 1.0), method="lower")
    quarter = next((quarter for quarter in quarters if quarter > best), best)
    power = math.frexp(max(abs(best), abs(quarter)))[1]
    low, high = math.ldexp(best, -power), math.ldexp(quarter, -power)
    return (high + _FENCE * (high - low) if high > low else math.inf), power


def standardized(losses: Any) -> Any:
    """Zero mean, unit variance, and no tail of bad values that would hide the differences between good ones.

    ``losses`` are finite, and of any size: the same times a power of two give the same. What is skewed after that is
    straightened by a power (Yeo and Johnson 2000), as HEBO does (Cowen-Rivers et al. 2022, arXiv 2012.03826,
    section 3.2).
    """
    from sklearn.preprocessing import PowerTransformer

    fence, power = _fence(losses)
    with np.errstate(over="ignore", under="ignore"):  # what is far beyond the fence, and what is nothing beside it
        fenced = np.minimum(np.ldexp(losses, -power), fence)
    if fenced.min() == fenced.max():
        return np.zeros(len(losses))
    scaled = (fenced - fenced.mean()) / fenced.std()
    straight = PowerTransformer(method="yeo-johnson").fit_transform(scaled[:, None])[:, 0]
    return straight if np.isfinite(straight).all() and straight.std() > 0.0 else scaled
