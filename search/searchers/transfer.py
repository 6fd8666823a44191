"""What earlier experiments say of this one: models of each, weighed by how well they rank what was observed here.

The weights are those of the ranking-weighted ensemble (Feurer, Letham and Bakshy 2018, "Practical transfer learning for
Bayesian optimization", RGPE, arXiv 1802.02219, section 4): in each of S bootstrap samples of this experiment's
observations the model that misranks the fewest pairs wins, and a model's weight is the share of samples that it won;
the own model takes part with predictions of what it was not shown; a model whose median loss lies above the 95th
percentile of the own model's is out (against the dilution of weights). Departures: chance is a contestant, too, so that
the weights may add up to less than one, or nothing. And the ensemble is not the sum of all models: the weighted mean of
the earlier ones is what this experiment's model takes for given, and it learns what is left. So observations here
correct what comes from there, wherever they are, and it is this model alone that says how sure it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustertune.search.contracts import EarlierExperiment, EarlierTrial
from clustertune.search.searchers.encoding import Encoder
from clustertune.search.searchers.model_search import standardized
from clustertune.search.searchers.surrogates import Data, Learned, Model, Surrogate, learn

_SAMPLES = 200
_FOLDS = 10
_CHANCE = 0.4
"""Misranking half of the pairs is chance; a little less, of few observations, is chance as well."""

_DILUTING = 95.0
_FEWEST_TRIALS, _FEWEST_OBSERVATIONS = 5, 4
_HELD_BACK = 2.0
"""The slope from their losses to ours is taken for one until about so many observations say otherwise."""

_MOST_FOR_A_GAUSSIAN_PROCESS = 200


class Transfer:
    """Learns as ``surrogates.learn`` does, from what ``experiments`` knew, too."""

    def __init__(self, experiments: Sequence[EarlierExperiment], encoder: Encoder, seed: int) -> None:
        views = (_view(experiment.trials, encoder, seed) for experiment in experiments)
        self._views = [view for view in views if view is not None]
        self._width = encoder.width

    def learn(self, kind: Surrogate, data: Data, seed: int) -> Learned:
        """The weights are learned now, as the scales of a Gaussian process are; how losses compare, with each data."""
        learned = learn(kind, data, seed)
        weights = self.weights(learned, data, seed)
        if not weights.any():
            return learned
        rest = learn(kind, _less(data, self._guess(weights, data)), seed)

        def model(current: Data) -> Model:
            guess = self._guess(weights, current)
            return _Guided(rest(_less(current, guess)), guess)

        return model

    def weights(self, learned: Learned, data: Data, seed: int) -> Any:
        """One for each view, of sum 1 at most. A function of the arguments."""
        configs = _Configs.of(data, self._width)
        if not self._views or len(configs.rows) < _FEWEST_OBSERVATIONS:
            return np.zeros(len(self._views))
        rows, losses = data.rows[configs.rows], data.losses[configs.rows]
        predicted = [view.predict(rows[:, : self._width]) for view in self._views]
        samples = _samples(len(rows), np.random.default_rng([seed, len(rows)]))
        theirs = np.array([_misranked(mean, losses, samples) for mean in predicted])
        own = _misranked(_unseen(learned, data, configs), losses, samples)
        diluting = np.median(theirs, axis=1) > np.percentile(own, _DILUTING)
        theirs[diluting] = 1.0
        winners, least = theirs.argmin(axis=0), theirs.min(axis=0)
        won = least < np.minimum(own, _CHANCE)
        return np.bincount(winners[won], minlength=len(self._views)) / _SAMPLES

    def _guess(self, weights: Any, data: Data) -> _Guess:
        """From the views' losses to ours: by least squares, held back towards taking them as they are."""
        configs = _Configs.of(data, self._width).rows
        losses = data.losses[configs]
        theirs = _mean(self._views, weights, data.rows[configs][:, : self._width])
        centre, around = float(theirs.mean()), theirs - theirs.mean()
        slope = (float(around @ (losses - losses.mean())) + _HELD_BACK) / (float(around @ around) + _HELD_BACK)
        trust = float(weights.sum())
        return _Guess(self._views, weights, self._width, trust * max(0.0, slope), centre, trust * float(losses.mean()))


@dataclass(frozen=True, slots=True)
class _View:
    """What an earlier experiment found, as a model of it over some ``columns``, at the highest level seen there."""

    model: Model
    columns: Any
    levelled: bool

    def predict(self, rows: Any) -> Any:
        seen = rows[:, self.columns]
        return self.model.predict(np.hstack([seen, np.ones((len(seen), 1))]) if self.levelled else seen)[0]


@dataclass(frozen=True, slots=True)
class _Guess:
    """Our loss, as the views have it."""

    views: Sequence[_View]
    weights: Any
    width: int
    slope: float
    centre: float
    middle: float

    def at(self, rows: Any) -> Any:
        theirs = _mean(self.views, self.weights, rows[:, : self.width])
        return self.middle + self.slope * (theirs - self.centre)


class _Guided:
    """A model of what a guess leaves over."""

    def __init__(self, rest: Model, guess: _Guess) -> None:
        self._rest, self._guess = rest, guess

    def predict(self, rows: Any, return_std: bool = True) -> tuple[Any, Any]:
        mean, std = self._rest.predict(rows, return_std)
        return mean + self._guess.at(rows), std

    def believing(self, rows: Any) -> _Guided:
        return _Guided(self._rest.believing(rows), self._guess)


@dataclass(frozen=True, slots=True)
class _Configs:
    """Each configuration once: ``rows`` is where it stands at its highest level; ``whose`` says it of every row."""

    rows: Any
    whose: Any

    @classmethod
    def of(cls, data: Data, width: int) -> _Configs:
        order = np.argsort(-np.asarray(data.groups), kind="stable")
        _, first, inverse = np.unique(data.rows[order, :width], axis=0, return_index=True, return_inverse=True)
        whose = np.empty(len(order), dtype=int)
        whose[order] = inverse.reshape(-1)
        return cls(order[first], whose)


def _view(trials: Sequence[EarlierTrial], encoder: Encoder, seed: int) -> _View | None:
    """None where there is too little to learn from. What did not vary there, or was not there, says nothing here."""
    valued = [trial for trial in trials if trial.loss is not None]
    if len(valued) < _FEWEST_TRIALS:
        return None
    told = [*valued, *(trial for trial in trials if trial.loss is None)]
    encoded = encoder.encode([trial.config for trial in told])
    columns = np.flatnonzero(np.ptp(encoded, axis=0) > 0.0)
    if not len(columns):
        return None
    levels = _levels(np.array([trial.share for trial in told]))
    levelled = bool(np.ptp(levels) > 0.0)
    rows = np.hstack([encoded[:, columns], levels[:, None]]) if levelled else encoded[:, columns]
    losses = standardized(np.array([trial.loss for trial in valued], dtype=float))
    losses = np.append(losses, [losses.max()] * (len(told) - len(valued)))
    data = Data(rows, losses, levels if levelled else np.zeros(len(rows)))
    kind: Surrogate = "gp" if len(rows) <= _MOST_FOR_A_GAUSSIAN_PROCESS else "et"
    return _View(learn(kind, data, seed)(data), columns, levelled)


def _levels(shares: Any) -> Any:
    """0 at the lowest level, 1 at the highest, even by factors: rungs are. Who never reported failed at the lowest."""
    lowest = shares[shares > 0.0].min(initial=1.0)
    if lowest >= 1.0:
        return np.ones(len(shares))
    return 1.0 - np.log(np.maximum(shares, lowest)) / np.log(lowest)


def _mean(views: Sequence[_View], weights: Any, rows: Any) -> Any:
    means = [weight * view.predict(rows) for view, weight in zip(views, weights, strict=True) if weight]
    return sum(means) / weights.sum()


def _less(data: Data, guess: _Guess) -> Data:
    return Data(data.rows, data.losses - guess.at(data.rows), data.groups)


def _unseen(learned: Learned, data: Data, configs: _Configs) -> Any:
    """What a model predicts of each configuration that was not told of it."""
    found = np.empty(len(configs.rows))
    fold_of = np.random.default_rng(len(found)).permutation(len(found)) % min(_FOLDS, len(found))
    for fold in range(fold_of.max() + 1):
        kept = fold_of[configs.whose] != fold
        asked = configs.rows[fold_of == fold]
        model = learned(Data(data.rows[kept], data.losses[kept], data.groups[kept]))
        found[fold_of == fold] = model.predict(data.rows[asked])[0]
    return found


def _samples(count: int, generator: Any) -> Any:
    """How often each observation is in each bootstrap sample."""
    return generator.multinomial(count, [1.0 / count] * count, size=_SAMPLES).astype(float)


def _misranked(predicted: Any, losses: Any, samples: Any) -> Any:
    """The share of pairs that are in another order than predicted, for each sample; a tie is half an error."""
    theirs, ours = (np.sign(np.subtract.outer(values, values)) for values in (predicted, losses))
    wrong = np.where(ours != 0.0, np.abs(theirs - ours) / 2.0, 0.0)
    errors, pairs = (((samples @ each) * samples).sum(axis=1) for each in (wrong, np.abs(ours)))
    return np.where(pairs > 0.0, errors / np.maximum(pairs, 1.0), 0.5)
