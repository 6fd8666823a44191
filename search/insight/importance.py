"""Which hyperparameters mattered: what a forest loses on trials that it has not seen when one of them is mixed up.

Permutation importance is Breiman 2001, "Random forests" (Machine Learning 45, section 10), here on held-out folds
instead of out-of-bag trials, as scikit-learn computes it. It departs in two things, for spaces with conditions: a
parameter is mixed up among the trials that have it, all its columns together; and where mixing up a parent gives a
trial a child that it did not have, or takes one away, the child's value comes with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.insight.evidence import Evidence
from clustertune.search.searchers.encoding import Encoder, is_choice
from clustertune.search.searchers.model_search import standardized

_TREES, _FOLDS, _REPEATS = 60, 5, 3
_LARGEST_LEAF, _OBSERVATIONS_A_LEAF = 3, 25
_SEED = 0
"""The same trials say the same again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """By how much of the losses' variance the forest is more wrong without a parameter, and that figure's error."""

    drop: float
    error: float

    @property
    def clear(self) -> bool:
        return self.drop > _LEAST_DROP and self.drop > _ERRORS * self.error

    @property
    def negligible(self) -> bool:
        """Whether even a high guess of its influence is little."""
        return self.drop + self.error < _LEAST_DROP


_LEAST_DROP = 0.03
_ERRORS = 2.5
"""So many standard errors of five folds: a parameter without any influence is taken for one once in thirty."""


class Forest:
    """Extremely randomized trees (Geurts et al. 2006, Machine Learning 63, table 1), whose leaves grow with the data.

    The trees are asked directly: scikit-learn's own call costs ten times as much where rows are few, and there are many
    such calls.
    """

    def __init__(self, rows: Any, losses: Any) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        leaf = max(1, min(_LARGEST_LEAF, len(losses) // _OBSERVATIONS_A_LEAF))
        fitted = ExtraTreesRegressor(_TREES, min_samples_leaf=leaf, random_state=_SEED).fit(rows, losses)
        self._trees = [estimator.tree_ for estimator in fitted.estimators_]

    def predict(self, rows: Any) -> Any:
        single = np.asarray(rows, dtype=np.float32)
        return np.mean([tree.predict(single)[:, 0] for tree in self._trees], axis=0)


class Table:
    """Configurations encoded, each parameter's columns known, and which of them has it."""

    def __init__(self, space: Space, configs: Sequence[Config]) -> None:
        self.space = space
        self.rows = Encoder(space).encode(configs)
        self.active = {name: np.array([name in config for config in configs], dtype=bool) for name in space.dimensions}
        self.columns = _columns(space)

    def swapped(self, name: str, own: Any, donors: Any) -> Any:
        """The rows ``own`` with the value of ``name`` that the rows ``donors`` have."""
        rows = self.rows[own].copy()
        rows[:, self.columns[name]] = self.rows[donors][:, self.columns[name]]
        for child in descendants(self.space, name):
            differs = np.flatnonzero(self.active[child][own] != self.active[child][donors])
            columns = np.array(self.columns[child])
            rows[differs[:, None], columns] = self.rows[donors[differs][:, None], columns]
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """``fit``: the share of the variance that is explained on held-out trials (R squared); below 0 it is worthless."""

    fit: float
    effects: Mapping[str, Effect]
    forest: Forest


def grown(space: Space, evidence: Evidence) -> Forest:
    """A forest that learned from all trials."""
    table, losses = _taught(space, evidence)
    return Forest(table.rows, losses)


def learn(space: Space, evidence: Evidence) -> Learned:
    """A few seconds for a thousand trials. There must be as many trials as folds."""
    from sklearn.model_selection import KFold

    table, losses = _taught(space, evidence)
    variance = float(losses.var()) or 1.0
    missed, drops = np.zeros(len(losses)), list[Mapping[str, float]]()
    for fold, (known, held) in enumerate(KFold(_FOLDS, shuffle=True, random_state=_SEED).split(losses)):
        forest = Forest(table.rows[known], losses[known])
        missed[held] = (losses[held] - forest.predict(table.rows[held])) ** 2
        drops.append({name: _drop(forest, table, losses, held, name, fold) for name in table.columns})
    return Learned(
        fit=1.0 - float(missed.mean()) / variance,
        effects={name: _effect([fold[name] / variance for fold in drops]) for name in table.columns},
        forest=Forest(table.rows, losses),
    )


def _taught(space: Space, evidence: Evidence) -> tuple[Table, Any]:
    """What was worth nothing counts as much as the worst that was worth something, as with searchers."""
    losses = np.array(standardized(np.array(evidence.losses, dtype=float)))
    worst = [losses.max()] * len(evidence.worthless)
    return Table(space, [*evidence.configs, *evidence.worthless]), np.append(losses, worst)


def _drop(forest: Forest, table: Table, losses: Any, held: Any, name: str, fold: int) -> float:
    """How much larger the squared error becomes, averaged over all held-out trials, also those without ``name``."""
    from sklearn.inspection import permutation_importance

    own = held[table.active[name][held]]
    if len(own) < 2:
        return 0.0
    found = permutation_importance(
        _MixedUp(forest, table, name, own),
        own[:, None],
        losses[own],
        scoring=_negative_squared_error,
        n_repeats=_REPEATS,
        random_state=_SEED + fold,
    )
    return float(found.importances_mean[0]) * len(own) / len(held)


class _MixedUp:
    """What scikit-learn mixes up is one column with the numbers of rows: whose value each row is to have."""

    def __init__(self, forest: Forest, table: Table, name: str, own: Any) -> None:
        self._forest, self._table, self._name, self._own = forest, table, name, own

    def fit(self, rows: Any, losses: Any) -> _MixedUp:
        """It is fitted already; scikit-learn asks for the method all the same."""
        del rows, losses
        return self

    def predict(self, donors: Any) -> Any:
        return self._forest.predict(self._table.swapped(self._name, self._own, donors[:, 0]))


def _negative_squared_error(mixed_up: _MixedUp, donors: Any, losses: Any) -> float:
    return -float(np.mean((mixed_up.predict(donors) - losses) ** 2))


def _effect(drops: Sequence[float]) -> Effect:
    return Effect(drop=float(np.mean(drops)), error=float(np.std(drops, ddof=1)) / len(drops) ** 0.5)


def _columns(space: Space) -> dict[str, list[int]]:
    """As the encoder lays them out."""
    columns: dict[str, list[int]] = {}
    begin = 0
    for name in space.dimensions:
        parameter = space.parameters[name]
        width = len(parameter.values) if is_choice(parameter) else 1
        columns[name] = list(range(begin, begin + width))
        begin += width
    return columns


def descendants(space: Space, name: str) -> list[str]:
    found = {name}
    for child in space.order:
        if found.intersection(space.conditions.get(child, ())):
            found.add(child)
    return [child for child in space.dimensions if child in found and child != name]
