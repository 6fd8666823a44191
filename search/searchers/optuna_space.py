"""Our search spaces in Optuna's terms: distributions, and configurations defined by running."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clustertune.model.parameters import Choice, Int, Ordinal, Parameter
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

_MOST_STEPS = 10_000
"""More values than that are a continuum: samplers go through steps one by one."""

_LAST_UNIT = math.nextafter(1.0, 0.0)

Params = dict[str, float | int]
"""What Optuna sees: places, and never the values themselves, which may be text, or true beside 1."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """One parameter. Numbers and ordered values lie on a scale, choices are categories."""

    parameter: Parameter

    @property
    def kind(self) -> str:
        parameter = self.parameter
        if isinstance(parameter, Choice) and not isinstance(parameter, Ordinal):
            return "category"
        if parameter.count is None or parameter.count > _MOST_STEPS:
            return "unit"
        return "log" if isinstance(parameter, Int) and parameter.log else "index"

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.kind == "unit":
            return FloatDistribution(0.0, 1.0)
        if isinstance(self.parameter, Int) and self.kind == "log":
            return IntDistribution(self.parameter.low, self.parameter.high, log=True)
        last = self._count - 1
        return CategoricalDistribution(range(last + 1)) if self.kind == "category" else IntDistribution(0, last)

    def suggest(self, trial: Trial, name: str) -> float | int:
        if self.kind == "unit":
            return trial.suggest_float(name, 0.0, 1.0)
        if isinstance(self.parameter, Int) and self.kind == "log":
            return trial.suggest_int(name, self.parameter.low, self.parameter.high, log=True)
        if self.kind == "category":
            return trial.suggest_categorical(name, range(self._count))
        return trial.suggest_int(name, 0, self._count - 1)

    def place(self, value: Value) -> float | int:
        if self.kind == "log":
            return int(value)
        unit = self.parameter.unit(value)
        return unit if self.kind == "unit" else min(int(unit * self._count), self._count - 1)

    def value(self, place: float) -> Value:
        if self.kind == "log":
            return int(place)
        unit = place if self.kind == "unit" else (place + 0.5) / self._count
        return self.parameter.at(min(unit, _LAST_UNIT))

    @property
    def _count(self) -> int:
        return self.parameter.count or 1


class OptunaSpace:
    """Translates; a parameter with one value only is not shown to Optuna."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._axes = {name: _Axis(space.parameters[name]) for name in space.dimensions}
        self._distributions = {name: axis.distribution() for name, axis in self._axes.items()}

    def params(self, config: Config) -> Params:
        """Where a configuration lies."""
        return {name: axis.place(config[name]) for name, axis in self._axes.items() if name in config}

    def distributions(self, params: Mapping[str, float]) -> dict[str, BaseDistribution]:
        """Those of the parameters that are there."""
        return {name: self._distributions[name] for name in params}

    def suggest(self, trial: Trial) -> Config:
        """A configuration defined by running: whoever depends on another is suggested after it, where it is active."""
        found: Config = {}
        for name in self._space.order:
            if not self._space.is_active(name, found):
                continue
            if name in self._axes:
                found[name] = self._axes[name].value(self._axes[name].suggest(trial, name))
            else:
                found[name] = self._space.parameters[name].at(0.0)
        return {name: found[name] for name in self._space.names if name in found}
