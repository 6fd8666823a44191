"""Configurations as vectors that a regressor can learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from clustertune.model.parameters import Choice, Parameter, same_value
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


_CHOSEN = 0.5**0.5
"""Two different choices are as far apart as the ends of the unit interval."""
