"""Regressors that say how sure they are, fitted to what was observed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

Surrogate = Literal["gp", "rf", "et", "gbrt"]

_SCALES = (0.05, 10.0)
_WHATEVER_THE_LEVEL = (1e3, 1.0001e3)
"""So long a scale in one column makes a process the same at both its ends."""

_LEAST_NOISE = 1e-6
_GAIN = 1e-4
"""Where a step gains less than this share of the log-likelihood, it was the last."""

_ROUNDS, _FEW = 3, 5

_TREES = 100
_LARGEST_LEAF, _OBSERVATIONS_A_LEAF = 3, 25
"""A leaf of several observations evens out noise; of few there are none to spare for that."""

_QUANTILES = (0.16, 0.5, 0.84)
"""The middle, and one standard deviation of a normal distribution to either side."""

_CLOSE = 0.1
"""Where trees are asked for several points, they know less of what is farther than this from those chosen before."""


class Model(Protocol):
    """Predicts; scikit-optimize's acquisition functions take such a one."""

    def predict(self, rows: Any, return_std: bool = True) -> tuple[Any, Any]:
        """Mean and standard deviation for each row."""
        ...

    def believing(self, rows: Any) -> Model:
        """The same model as if its own predictions had come true at ``rows``: what is pending is no news any more."""
        ...


@dataclass(frozen=True, slots=True)
class Data:
    """``rows`` (n, d) in the unit cube, ``losses`` (n,) of about zero mean and unit variance.

    ``groups`` (n,) are numbers: rows of one group are as noisy as each other. Where there are several, they are levels,
    and the last column of the rows.
    """

    rows: Any
    losses: Any
    groups: Any


Learned = Callable[[Data], Model]
"""Makes a model of data; what takes long, and changes little from one observation to the next, was done before."""


def learn(kind: Surrogate, data: Data, seed: int) -> Learned:
    """For a Gaussian process its scales and noise; trees have nothing to learn beforehand."""
    if kind != "gp":
        return partial(_TREES_BY_NAME[kind], seed)
    with warnings.catch_warnings():
        # A length scale at its bound, or a search that ends early, is no news to whoever tunes.
        warnings.simplefilter("ignore")
        return _learn_gaussian_process(data, seed)


class GaussianProcess:
    """A Gaussian process with given hyperparameters (Rasmussen and Williams 2006, algorithm 2.1)."""

    def __init__(self, kernel: Any, noise: Mapping[float, float], data: Data) -> None:
        self._kernel, self._noise, self._data = kernel, noise, data
        self._regressor = _regressor(kernel, _noise_of(data, noise), data)

    def predict(self, rows: Any, return_std: bool = True) -> tuple[Any, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mean, std = self._regressor.predict(rows, return_std=True)
        return mean, std if return_std else None

    def believing(self, rows: Any) -> GaussianProcess:
        """Ginsbourger et al. 2010, "Kriging is well-suited to parallelize optimization", section 3.2: the believer."""
        mean, _ = self.predict(rows)
        believed = Data(
            np.vstack([self._data.rows, rows]),
            np.append(self._data.losses, mean),
            np.append(self._data.groups, [self._data.groups.max()] * len(rows)),
        )
        return GaussianProcess(self._kernel, self._noise, believed)


def _learn_gaussian_process(data: Data, seed: int) -> Learned:
    from skopt.learning import GaussianProcessRegressor

    groups = np.unique(data.groups)
    kernel = _kernel(data.rows.shape[1], levels=len(groups) > 1)
    regressor = GaussianProcessRegressor(kernel, noise="gaussian", optimizer=_most_likely, random_state=seed)
    regressor.fit(data.rows, data.losses)
    # scikit-optimize takes the noise out of the fitted kernel, and keeps it beside.
    fitted, noise = regressor.kernel_.k1, max(float(regressor.noise_ or 0.0), _LEAST_NOISE)
    by_group = {float(groups[0]): noise} if len(groups) == 1 else _noise_by_group(fitted, noise, data)
    return partial(GaussianProcess, fitted, by_group)


def _most_likely(loss: Callable[..., Any], start: Any, bounds: Any) -> tuple[Any, float]:
    """The kernel's parameters of the least ``loss``, as nearly as predictions can tell.

    scikit-learn's own search goes on until ten digits stand, and with restarts: five times the time for some tenths of
    a unit of log-likelihood.
    """
    from scipy.optimize import minimize

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": _GAIN, "maxiter": 50})
    return found.x, found.fun


def _kernel(columns: int, *, levels: bool) -> Any:
    """Each column has a scale of its own; with levels, in two parts: what all share, and what sets each apart.

    As in Kennedy and O'Hagan 2000, "Predicting the output from a complex computer code when fast approximations are
    available", the deviation from what the levels share is a process of its own, here one that is stationary in the
    level, so that a level with few rows borrows from its neighbours.
    """
    from skopt.learning.gaussian_process.kernels import ConstantKernel, Matern

    scales = [_SCALES] * (columns - levels) + [_WHATEVER_THE_LEVEL] * levels
    start = [0.5] * (columns - levels) + [_WHATEVER_THE_LEVEL[0]] * levels
    shared = ConstantKernel(1.0, (0.05, 20.0)) * Matern(start, length_scale_bounds=scales, nu=2.5)
    if not levels:
        return shared
    return shared + ConstantKernel(0.1, (1e-3, 5.0)) * Matern(0.5, length_scale_bounds=(0.1, 2.0), nu=2.5)


def _noise_by_group(kernel: Any, noise: float, data: Data) -> Mapping[float, float]:
    """Noise that differs from group to group, by what each row's prediction from all the others misses it.

    Errors and variances of leaving one out are in closed form (Rasmussen and Williams 2006, equations 5.10 to 5.12):
    where the errors of a group are larger than the variances say, its noise is larger than that of all.
    """
    by_group = {float(group): noise for group in np.unique(data.groups)}
    for _ in range(_ROUNDS):
        covariance = kernel(data.rows) + np.diag(_noise_of(data, by_group))
        inverse = np.linalg.inv(covariance)
        variances = 1.0 / np.diag(inverse)
        errors = (inverse @ data.losses) * variances
        for group, before in by_group.items():
            members = data.groups == group
            excess = float(np.mean(errors[members] ** 2) - np.mean(variances[members]))
            # A few rows say little about their noise: it is held back towards that of all.
            trust = members.sum() / (members.sum() + _FEW)
            by_group[group] = max(_LEAST_NOISE, before + trust * excess)
    return by_group


def _noise_of(data: Data, by_group: Mapping[float, float]) -> Any:
    least = min(by_group.values())
    return np.array([by_group.get(float(group), least) for group in data.groups])


def _regressor(kernel: Any, noise: Any, data: Data) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(data.rows, data.losses)


class Trees:
    """An ensemble; about points chosen already it is as sure as of what it has seen."""

    def __init__(self, predict: Callable[[Any], tuple[Any, Any]], chosen: tuple[Any, ...] = ()) -> None:
        self._predict, self._chosen = predict, chosen

    def predict(self, rows: Any, return_std: bool = True) -> tuple[Any, Any]:
        mean, std = self._predict(rows)
        for row in self._chosen:
            distance = ((rows - row) ** 2).sum(axis=1)
            std = std * (1.0 - np.exp(-distance / (2.0 * _CLOSE**2)))
        return mean, std if return_std else None

    def believing(self, rows: Any) -> Trees:
        return Trees(self._predict, (*self._chosen, *rows))


def _random_forest(seed: int, data: Data) -> Trees:
    from skopt.learning import RandomForestRegressor

    forest = RandomForestRegressor(_TREES, min_samples_leaf=_leaf(data), random_state=seed)
    forest.fit(data.rows, data.losses)
    return Trees(lambda asked: forest.predict(asked, return_std=True))


def _extra_trees(seed: int, data: Data) -> Trees:
    from skopt.learning import ExtraTreesRegressor

    trees = ExtraTreesRegressor(_TREES, min_samples_leaf=_leaf(data), random_state=seed)
    trees.fit(data.rows, data.losses)
    return Trees(lambda asked: trees.predict(asked, return_std=True))


def _leaf(data: Data) -> int:
    return max(1, min(_LARGEST_LEAF, len(data.losses) // _OBSERVATIONS_A_LEAF))


def _boosted_trees(seed: int, data: Data) -> Trees:
    """Three quantiles, as scikit-optimize has them; its own wrapper fails with scikit-learn 1.7 and NumPy 2.4."""
    from sklearn.ensemble import GradientBoostingRegressor

    def quantile(alpha: float) -> Any:
        trees = GradientBoostingRegressor(loss="quantile", alpha=alpha, n_estimators=_TREES, random_state=seed)
        return trees.fit(data.rows, data.losses)

    low, middle, high = map(quantile, _QUANTILES)

    def predict(asked: Any) -> tuple[Any, Any]:
        spread = np.abs(high.predict(asked) - low.predict(asked)) / 2.0
        return middle.predict(asked), np.maximum(spread, 1e-6)

    return Trees(predict)


_TREES_BY_NAME: dict[str, Callable[[int, Data], Model]] = {
    "rf": _random_forest,
    "et": _extra_trees,
    "gbrt": _boosted_trees,
}
