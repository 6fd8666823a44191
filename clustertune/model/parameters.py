"""The kinds of hyperparameter: which values each may take, and how a unit coordinate becomes one.

Every kind has ``count`` (how many values, None where they are not countable), ``at`` and ``unit`` (from and to a
coordinate in [0, 1)), ``read`` (a user's value, checked) and ``grid``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby, repeat
from typing import Union

from clustertune.model.trial import Value

LARGEST_INT = 2**53
"""Beyond this, integers are no longer exact for those who read JSON numbers as floats."""

_LAST_UNIT = math.nextafter(1.0, 0.0)


class InvalidParameter(ValueError):
    """Bounds or values that make no parameter. ``field`` is the one to change."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Float:
    """A real number from ``low`` to ``high``, both included; with ``step``, only low, low + step, …, high."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        for field in ("low", "high"):
            if not math.isfinite(getattr(self, field)):
                raise InvalidParameter(field, f"found {shown(getattr(self, field))}; a bound must be finite")
        _check_bounds(self.low, self.high, self.log, self.step)

    @property
    def count(self) -> int | None:
        return None if self.step is None else _steps(self.low, self.high, self.step) + 1

    def at(self, unit: float) -> float:
        if self.step is not None:
            return self._grid_value(_cell(unit, _steps(self.low, self.high, self.step) + 1))
        if self.log:
            # In two halves, because high / low may be more than a float holds; exactly low at 0.
            half = math.exp(unit * (math.log(self.high) - math.log(self.low)) / 2)
            return min(max(self.low * half * half, self.low), self.high)
        return min(max(self.low * (1 - unit) + self.high * unit, self.low), self.high)

    def unit(self, value: Value) -> float:
        number = float(value)
        if self.step is not None:
            steps = _steps(self.low, self.high, self.step)
            return (round((number - self.low) / self.step) + 0.5) / (steps + 1)
        if self.log:
            return _within((math.log(number) - math.log(self.low)) / (math.log(self.high) - math.log(self.low)))
        # Halves, because high - low may be more than a float holds.
        return _within((number / 2 - self.low / 2) / (self.high / 2 - self.low / 2))

    def read(self, value: object) -> float:
        """The value as a float, on the grid exactly. Raises ValueError."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not -math.inf < value < math.inf:
            raise ValueError(f"must be a number from {self.low:g} to {self.high:g}, found {shown(value)}")
        if not self.low <= value <= self.high:
            raise ValueError(f"must lie from {self.low:g} to {self.high:g}, found {shown(value)}")
        number = float(value)
        if self.step is None:
            return number
        nearest = self._grid_value(round((number - self.low) / self.step))
        if not math.isclose(nearest, number, rel_tol=1e-12, abs_tol=self.step * 1e-9):
            raise ValueError(f"must be {self.low:g} plus a multiple of {self.step:g}, found {shown(value)}")
        return nearest

    def grid(self, points: int) -> Iterator[float]:
        """Every value where there is a step, else ``points`` values from low to high, evenly spaced."""
        if self.step is not None:
            yield from (self._grid_value(index) for index in range(_steps(self.low, self.high, self.step) + 1))
        else:
            # Bounds close together have fewer numbers between them than points.
            yield from (value for value, _ in groupby(map(self._spread, range(points), repeat(points - 1))))

    def _spread(self, index: int, last: int) -> float:
        return self.high if index == last else self.at(index / last)

    def _grid_value(self, index: int) -> float:
        # In decimal, because 3 * 0.1 is 0.30000000000000004 in binary.
        return float(_decimal(self.low) + index * _decimal(self.step or 0))


@dataclass(frozen=True, slots=True)
class Int:
    """An integer from ``low`` to ``high``, both included; with ``step``, only low, low + step, …, high."""

    low: int
    high: int
    log: bool = False
    step: int | None = None

    def __post_init__(self) -> None:
        for field in ("low", "high"):
            if abs(getattr(self, field)) > LARGEST_INT:
                limit = "an integer must lie within ±2**53 (9007199254740992)"
                raise InvalidParameter(field, f"found {shown(getattr(self, field))}; {limit}")
        _check_bounds(self.low, self.high, self.log, self.step)

    @property
    def count(self) -> int:
        return (self.high - self.low) // (self.step or 1) + 1

    def at(self, unit: float) -> int:
        if not self.log:
            return self.low + _cell(unit, self.count) * (self.step or 1)
        # Each integer has the cell from half below to half above, so that the ends are as likely as their share.
        bottom, top = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(math.floor(math.exp(bottom * (1 - unit) + top * unit) + 0.5), self.low), self.high)

    def unit(self, value: Value) -> float:
        if not self.log:
            return _within(((int(value) - self.low) // (self.step or 1) + 0.5) / self.count)
        bottom, top = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return _within((math.log(float(value)) - bottom) / (top - bottom))

    def read(self, value: object) -> int:
        """The value, checked. Raises ValueError."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(f"must be an integer from {self.low} to {self.high}, found {shown(value)}")  # noqa: TRY004
        if not self.low <= value <= self.high:
            raise ValueError(f"must lie from {self.low} to {self.high}, found {shown(value)}")
        if (value - self.low) % (self.step or 1):
            raise ValueError(f"must be {self.low} plus a multiple of {self.step}, found {shown(value)}")
        return value

    def grid(self, points: int) -> Iterator[int]:
        """Every value where there is a step or no more than ``points`` of them, else ``points`` from low to high."""
        if self.step is not None or self.count <= points:
            yield from range(self.low, self.high + 1, self.step or 1)
        else:
            yield from sorted({self._spread(index / (points - 1)) for index in range(points)})

    def _spread(self, share: float) -> int:
        if self.log:
            value = math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share)
        else:
            value = self.low * (1 - share) + self.high * share
        return min(max(round(value), self.low), self.high)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of ``values``, which have no order."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        _check_values(self.values)

    @property
    def count(self) -> int:
        return len(self.values)

    def at(self, unit: float) -> Value:
        return self.values[_cell(unit, len(self.values))]

    def unit(self, value: Value) -> float:
        return (_position(self.values, value) + 0.5) / len(self.values)

    def read(self, value: object) -> Value:
        """The value as it was declared. Raises ValueError."""
        try:
            return self.values[_position(self.values, value)]
        except ValueError as error:
            known = ", ".join(map(str, self.values[:12])) + (", …" if len(self.values) > 12 else "")
            raise ValueError(f"must be one of {known}; found {shown(value)}") from error

    def grid(self, points: int) -> Iterator[Value]:
        """Every value, as declared, however many ``points`` are asked for."""
        del points
        yield from self.values


@dataclass(frozen=True, slots=True)
class Ordinal(Choice):
    """One of ``values``, which are in order: neighbours are alike."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every configuration."""

    value: Value

    def __post_init__(self) -> None:
        _check_scalar("value", self.value)

    @property
    def count(self) -> int:
        return 1

    def at(self, unit: float) -> Value:
        del unit
        return self.value

    def unit(self, value: Value) -> float:
        del value
        return 0.5

    def read(self, value: object) -> Value:
        """The one value. Raises ValueError."""
        if not same_value(self.value, value):
            raise ValueError(f"must be {self.value!r}, found {shown(value)}")
        return self.value

    def grid(self, points: int) -> Iterator[Value]:
        """The one value."""
        del points
        yield self.value


Parameter = Union[Float, Int, Choice, Ordinal, Constant]  # noqa: UP007 - read at run time on Python 3.10


def same_value(left: object, right: object) -> bool:
    """Whether two values are one: 1 and 1.0 are, 1 and true are not."""
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def shown(value: object) -> str:
    """A value in a message: itself where it is short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _check_bounds(low: float, high: float, log: bool, step: float | None) -> None:
    if low >= high:
        remedy = "low must be less than high; for a fixed value write {type: constant, value: …}"
        raise InvalidParameter("low", f"low is {low:g} and high is {high:g}; {remedy}")
    if log and low <= 0:
        raise InvalidParameter("low", f"found {low:g}; a log scale needs low > 0")
    if step is None:
        return
    if log:
        raise InvalidParameter("step", "log and step cannot be combined; leave one of them out")
    if not (math.isfinite(step) and step > 0):
        raise InvalidParameter("step", f"found {step:g}; a step must be more than 0")
    _check_fit(low, high, step)


def _check_fit(low: float, high: float, step: float) -> None:
    # In binary first: so many steps would be beyond decimal arithmetic, too.
    if high / step - low / step > LARGEST_INT:
        raise InvalidParameter(
            "step", f"{step:g} makes more than 2**53 values from {low:g} to {high:g}; take a larger one"
        )
    steps, rest = divmod(_decimal(high) - _decimal(low), _decimal(step))
    if not steps:
        raise InvalidParameter("step", f"{step:g} is more than high - low; take a smaller one")
    if rest:
        last = float(_decimal(low) + steps * _decimal(step))
        raise InvalidParameter(
            "step", f"{step:g} does not lead from {low:g} to {high:g}; the last value would be {last:g}"
        )


def _check_values(values: tuple[Value, ...]) -> None:
    if not values:
        raise InvalidParameter("values", "the list is empty; name at least one value")
    seen = set()
    for value in values:
        _check_scalar("values", value)
        if (isinstance(value, bool), value) in seen:
            raise InvalidParameter("values", f"{value!r} occurs twice")
        seen.add((isinstance(value, bool), value))


def _check_scalar(field: str, value: object) -> None:
    if not isinstance(value, (bool, int, float, str)):
        found = "null" if value is None else shown(value)
        raise InvalidParameter(field, f"found {found}; a value is text, a number, true or false")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidParameter(field, f"found {shown(value)}; a number must be finite")
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        raise InvalidParameter(
            field, f"found {shown(value)}; an integer must lie within ±2**53; larger ones can be text"
        )


def _position(values: tuple[Value, ...], value: object) -> int:
    for index, known in enumerate(values):
        if same_value(known, value):
            return index
    raise ValueError(f"{value!r} is not among the values")


def _steps(low: float, high: float, step: float) -> int:
    return int((_decimal(high) - _decimal(low)) / _decimal(step))


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def _cell(unit: float, count: int) -> int:
    return min(int(unit * count), count - 1)


def _within(unit: float) -> float:
    return min(max(unit, 0.0), _LAST_UNIT)
