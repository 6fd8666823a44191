"""Where in the space the good values lie: ranges to cut, values to drop, and ends to go beyond. Never on a hunch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal

import numpy as np

from clustertune.model.parameters import Choice, Constant, Float, Int, Ordinal, Parameter, same_value
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.insight.evidence import Evidence
from clustertune.search.insight.importance import Forest, Table, descendants

_POINTS = 24
"""How many values of a range are compared."""

_GOOD_SHARE, _FEWEST_GOOD = 0.2, 8
"""The best trials, whose other values each value is tried with; whatever these have themselves is never cut."""

_KEPT_SHARE, _FEWEST_KEPT = 0.05, 3

_AS_GOOD = 0.3
"""Values whose loss lies this far up from the best value's to the worst one's are as good, given what is not known."""

_BAD = 0.6
"""A choice beyond this share of the way is dropped."""

_CLEARLY_WORSE = 0.3
"""In standard deviations of all losses."""

_WORTH_CUTTING = 0.2
_AT_AN_END = 0.15
_RISE, _LAST_CELLS = 0.02, 2
"""At an end the expected loss has risen by no more of its span, and one of the best trials lies in the last cells."""

_BY_CHANCE = 0.1
"""As seldom would all the best trials lie as far from the end, were those between them and the end as likely to be of
them. On squares with their least value 0 or 0.01 from the end of a range of 1, 100 trials said 24 times in 24 that it
lies there, and at 0.08 never; where noise is larger than the rise, or other parameters are, they cannot tell."""

_WELL_TRIED = 5
_DIGITS = 2

_HALF = 0.499
"""Of the way to the next value that was compared, and never quite at the cell of that."""

End = Literal["", "low", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do with one parameter. ``parameter`` is the narrowed one, None where it stays as it is.

    ``beyond``: the best values lie near this end of the range. ``best``: where the forest expects least.
    """

    parameter: Parameter | None = None
    beyond: End = ""
    best: Value | None = None


class Ground:
    """What is known: the forest, the trials, and which are the best of them."""

    def __init__(self, space: Space, known: Evidence, forest: Forest) -> None:
        self.space, self.forest = space, forest
        self.tried = [*known.configs, *known.worthless]
        order = sorted(range(len(known.losses)), key=lambda index: known.losses[index])
        best_first = [known.configs[index] for index in order]
        self.good = best_first[: max(_FEWEST_GOOD, math.ceil(_GOOD_SHARE * len(order)))]
        self.kept = best_first[: max(_FEWEST_KEPT, math.ceil(_KEPT_SHARE * len(order)))]

    def advice(self, name: str) -> Advice:
        """Where the good values of ``name`` lie. Costs milliseconds."""
        parameter = self.space.parameters[name]
        if isinstance(parameter, Constant) or sum(name in config for config in self.good) < _FEWEST_KEPT:
            return Advice()
        if type(parameter) is Choice:
            return self._choice(name, parameter)
        return self._range(name, parameter)

    def _expected(self, name: str, values: Sequence[Value]) -> Any:
        """The forest's mean loss with each value in the good configurations that have the parameter (Friedman 2001)."""
        having = [config for config in self.good if name in config]
        return self.forest.predict(self._rows(name, values, having)).reshape(len(values), len(having)).mean(axis=1)

    def _rows(self, name: str, values: Sequence[Value], having: Sequence[Config]) -> Any:
        """Each of the values in each of the configurations."""
        if descendants(self.space, name):
            return Table(self.space, [self._changed(config, name, value) for value in values for config in having]).rows
        # Encoding is what costs: without children only the value's own columns differ.
        table, written = Table(self.space, having), Table(self.space, [{**having[0], name: value} for value in values])
        rows, columns = np.tile(table.rows, (len(values), 1)), table.columns[name]
        rows[:, columns] = np.repeat(written.rows[:, columns], len(having), axis=0)
        return rows

    def _changed(self, config: Config, name: str, value: Value) -> Config:
        """Without the children that such a configuration does not have."""
        changed: Config = {}
        for key in self.space.order:
            if key in config and self.space.is_active(key, changed):
                changed[key] = value if key == name else config[key]
        return changed

    def _choice(self, name: str, parameter: Choice) -> Advice:
        counts = [_count(self.tried, name, value) for value in parameter.values]
        tried = [value for value, count in zip(parameter.values, counts, strict=True) if count >= _WELL_TRIED]
        if len(tried) < 2:
            return Advice()
        # A value that has children is judged with those that trials had, not with none.
        expected = [float(np.mean(self._with(name, value))) for value in tried]
        best, worst = min(expected), max(expected)
        limit = best + max(_BAD * (worst - best), _CLEARLY_WORSE)
        dropped = [
            value
            for value, loss in zip(tried, expected, strict=True)
            if loss > limit and not _count(self.kept, name, value)
        ]
        left = tuple(value for value in parameter.values if not any(same_value(value, gone) for gone in dropped))
        return Advice(parameter=_fewer(left, parameter) if dropped else None, best=tried[int(np.argmin(expected))])

    def _with(self, name: str, value: Value) -> Any:
        """What the forest expects of the better half of the trials that have the value."""
        having = [config for config in self.tried if name in config and same_value(config[name], value)]
        expected = np.sort(self.forest.predict(Table(self.space, having).rows))
        return expected[: max(1, len(expected) // 2)]

    def _range(self, name: str, parameter: Parameter) -> Advice:
        values, places = _spread(parameter)
        expected = self._expected(name, values)
        best, worst = float(expected.min()), float(expected.max())
        if not worst > best:
            return Advice()
        middle = places[int(np.argmin(expected))]
        kept = [parameter.unit(config[name]) for config in self.kept if name in config]
        good = [place for place, loss in zip(places, expected, strict=True) if loss <= best + _AS_GOOD * (worst - best)]
        half = _HALF / len(places)
        low, high = max(0.0, min([*good, *kept]) - half), min(1.0, max([*good, *kept]) + half)
        found = Advice(beyond=self._beyond(name, parameter, places, expected), best=parameter.at(middle))
        if high - low > 1.0 - _WORTH_CUTTING:
            return found
        return replace(found, parameter=_cut(parameter, low, high))

    def _beyond(self, name: str, parameter: Parameter, places: Sequence[float], expected: Any) -> End:
        """An end towards which the expected loss falls all the way, and where the best trials' values lie."""
        units = [parameter.unit(config[name]) for config in self.kept if name in config]
        if isinstance(parameter, Ordinal) or not units:
            return ""
        risen = (expected - expected.min()) / (expected.max() - expected.min())
        least, last = places[int(np.argmin(expected))], _LAST_CELLS / len(places)
        typical, tried = float(np.median(units)), [parameter.unit(c[name]) for c in self.tried if name in c]
        if max(least, typical) < _AT_AN_END and risen[0] <= _RISE and min(units) < last:
            return "low" if _reaches_zero(units, tried) else ""
        if min(least, typical) > 1.0 - _AT_AN_END and risen[-1] <= _RISE and max(units) > 1.0 - last:
            return "high" if _reaches_zero([1.0 - unit for unit in units], [1.0 - unit for unit in tried]) else ""
        return ""


def _reaches_zero(best: Sequence[float], tried: Sequence[float]) -> bool:
    """Whether chance may have kept the best from lying among those nearer to 0 than they all do."""
    nearer, among = sum(unit < min(best) for unit in tried), sum(unit <= max(best) for unit in tried)
    return (1.0 - len(best) / among) ** nearer >= _BY_CHANCE


def narrowed(space: Space, found: Mapping[str, Parameter]) -> Space:
    """The space with some parameters replaced; a child that can never be active any more is left out.

    Values that a constraint names stay as they are where it would otherwise make no sense any more.
    """
    parameters = {name: found.get(name, parameter) for name, parameter in space.parameters.items()}
    conditions: dict[str, dict[str, tuple[Value, ...]]] = {}
    for name in space.order:
        condition = {
            parent: tuple(value for value in values if parent in parameters and _takes(parameters[parent], value))
            for parent, values in space.conditions.get(name, {}).items()
        }
        if not all(condition.values()):
            del parameters[name]
        elif condition:
            conditions[name] = condition
    try:
        return Space(parameters, conditions, [constraint.text for constraint in space.constraints])
    except ValueError:
        ranges = {name: parameter for name, parameter in found.items() if isinstance(parameter, Float | Int)}
        return narrowed(space, ranges) if ranges != found else space


def _takes(parameter: Parameter, value: Value) -> bool:
    try:
        parameter.read(value)
    except ValueError:
        return False
    return True


def _spread(parameter: Parameter) -> tuple[list[Value], list[float]]:
    """Values from end to end, each once, and their places in the unit interval."""
    count = parameter.count
    points = _POINTS if count is None else min(_POINTS, count)
    values = list(dict.fromkeys(parameter.at((index + 0.5) / points) for index in range(points)))
    return values, [parameter.unit(value) for value in values]


def _cut(parameter: Parameter, low: float, high: float) -> Parameter | None:
    """From one place of the unit interval to another, outwards to what is quickly read. None where nothing is left."""
    bottom, top = parameter.at(low), parameter.at(min(high, math.nextafter(1.0, 0.0)))
    if isinstance(parameter, Ordinal):
        first, last = (next(i for i, v in enumerate(parameter.values) if same_value(v, end)) for end in (bottom, top))
        return _fewer(parameter.values[first : last + 1], parameter)
    if isinstance(parameter, Float):
        lower, upper = float(bottom), float(top)
        if parameter.step is None:
            lower = max(parameter.low, _rounded(lower, upper - lower, ROUND_FLOOR, log=parameter.log))
            upper = min(parameter.high, _rounded(upper, upper - lower, ROUND_CEILING, log=parameter.log))
        return replace(parameter, low=lower, high=upper) if lower < upper else Constant(lower)
    if isinstance(parameter, Int):
        return replace(parameter, low=int(bottom), high=int(top)) if bottom != top else Constant(int(bottom))
    return None


def _rounded(value: float, width: float, direction: str, *, log: bool) -> float:
    """Two digits that matter: of the number itself on a log scale, else of the range."""
    scale = abs(value) if log else width
    if not scale:
        return value
    unit = Decimal(1).scaleb(math.floor(math.log10(scale)) - _DIGITS + 1)
    return float(Decimal(repr(value)).quantize(unit, rounding=direction)) if unit else value


def _fewer(values: tuple[Value, ...], parameter: Choice) -> Parameter:
    return Constant(values[0]) if len(values) == 1 else replace(parameter, values=values)


def _count(configs: Sequence[Config], name: str, value: Value) -> int:
    return sum(name in config and same_value(config[name], value) for config in configs)
