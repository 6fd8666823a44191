"""Configurations as vectors that a regressor can learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from clustertune.model.parameters import Choice, Int, Parameter, same_value
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value


def is_choice(parameter: Parameter) -> TypeGuard[Choice]:
    """Whether its values have no order."""
    return type(parameter) is Choice


class Encoder:
    """Numbers and ordered values by their place in the unit interval, choices as one column for each value.

    Columns of an inactive parameter hold its middle, or no choice at all: all configurations without it are alike in
    it, and none is like one that has it by an accident of scale.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._columns: list[tuple[str, tuple[Value, ...]]] = []
        for name in space.dimensions:
            parameter = space.parameters[name]
            self._columns.append((name, parameter.values if is_choice(parameter) else ()))
        self.width = sum(len(values) or 1 for _, values in self._columns)

    def encode(self, configs: Sequence[Config]) -> Any:
        """An array of shape (len(configs), width)."""
        return np.array([self._row(config) for config in configs], dtype=float).reshape(len(configs), self.width)

    def encode_points(self, points: Any) -> Any:
        """The same for the configurations that points of the unit cube lead to, (n, d), without making them."""
        names = enumerate(self._space.dimensions)
        places = {name: _snapped(self._space.parameters[name], points[:, n]) for n, name in names}
        active = self._active(places, len(points))
        columns = []
        for name, values in self._columns:
            if values:
                cells = np.floor(places[name] * len(values)).astype(int)
                chosen = (cells[:, None] == np.arange(len(values))) & active[name][:, None]
                columns.append(np.where(chosen, _CHOSEN, 0.0))
            else:
                columns.append(np.where(active[name], places[name], 0.5)[:, None])
        return np.hstack([np.empty((len(points), 0)), *columns])

    def _active(self, places: Mapping[str, Any], count: int) -> Mapping[str, Any]:
        """For each parameter where it is active; parents come first."""
        active: dict[str, Any] = {}
        for name in self._space.order:
            active[name] = np.ones(count, dtype=bool)
            for parent, values in self._space.conditions.get(name, {}).items():
                active[name] &= active[parent] & self._is_one_of(parent, values, places, count)
        return active

    def _is_one_of(self, parent: str, values: Sequence[Value], places: Mapping[str, Any], count: int) -> Any:
        parameter = self._space.parameters[parent]
        if parent not in places:
            return np.full(count, any(same_value(parameter.at(0.0), value) for value in values))
        return np.isclose(places[parent][:, None], [parameter.unit(value) for value in values], 0.0, 1e-9).any(axis=1)

    def _row(self, config: Config) -> list[float]:
        row: list[float] = []
        for name, values in self._columns:
            if not values:
                row.append(self._space.parameters[name].unit(config[name]) if name in config else 0.5)
            elif name in config:
                row.extend(_CHOSEN if same_value(config[name], value) else 0.0 for value in values)
            else:
                row.extend([0.0] * len(values))
        return row


def _snapped(parameter: Parameter, units: Any) -> Any:
    """``parameter.unit(parameter.at(unit))`` for each."""
    if parameter.count is None:
        return units
    if isinstance(parameter, Int) and parameter.log:
        bottom, top = np.log(parameter.low - 0.5), np.log(parameter.high + 0.5)
        values = np.floor(np.exp(bottom * (1 - units) + top * units) + 0.5)
        return (np.log(np.clip(values, parameter.low, parameter.high)) - bottom) / (top - bottom)
    return (np.minimum(np.floor(units * parameter.count), parameter.count - 1) + 0.5) / parameter.count


_CHOSEN = 0.5**0.5
"""Two different choices are as far apart as the ends of the unit interval."""
