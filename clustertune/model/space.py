"""The search space: its parameters, the conditions under which each is there at all, and constraints among them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from clustertune.model.constraints import Constraint, InvalidConstraint, by_last_name, constraint_problems
from clustertune.model.errors import suggestion
from clustertune.model.parameters import (
    LARGEST_INT,
    Choice,
    Constant,
    Float,
    Int,
    InvalidParameter,
    Ordinal,
    Parameter,
    same_value,
)
from clustertune.model.trial import Config, Value

__all__ = [
    "Choice", "Condition", "Constant", "Constraint", "Float", "Int", "InvalidConstraint", "InvalidParameter",
    "InvalidSpace", "Ordinal", "Parameter", "Space", "condition_problems", "constraint_problems",
]  # fmt: skip

Condition = Mapping[str, tuple[Value, ...]]
"""The parents that must be active, and the values of each that make the parameter active."""


_MOST_SITUATIONS = 100_000
"""Conditions more entangled than this leave the size of the space unknown, rather than take long to count."""

_MOST_COUNTED = 100_000
"""So many configurations are gone through one by one to count those that the constraints allow."""

_MOST_IN_VAIN = 1_000_000
"""A grid ends after so many values in a row that the constraints do not allow: seconds."""


class InvalidSpace(ValueError):
    """Conditions that make no space. ``parameter`` has the condition to change."""

    def __init__(self, parameter: str, message: str) -> None:
        self.parameter = parameter
        super().__init__(message)


class _Absent:
    """Stands in a grid for the value of an inactive parameter."""


class Space:
    """Which configurations there are.

    A parameter with a condition is active only where all the named parents are active and have one of the named
    values; an inactive parameter is left out of the configuration. Constraints are kept by ``grid`` and ``size``, and
    by whoever asks ``allows``; a point of the unit cube may lead to a configuration that breaks them. Immutable. Raises
    InvalidSpace, InvalidConstraint.
    """

    __slots__ = (
        "_decided",
        "_filled",
        "conditions",
        "constraints",
        "dimensions",
        "finite",
        "names",
        "order",
        "parameters",
        "size",
    )

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        conditions: Mapping[str, Condition] | None = None,
        constraints: Sequence[str] = (),
    ) -> None:
        for name, message in condition_problems(parameters, conditions or {}):
            raise InvalidSpace(name, f"{name}: {message}")
        conditions = {
            name: {parent: tuple(map(parameters[parent].read, values)) for parent, values in condition.items()}
            for name, condition in (conditions or {}).items()
            if condition
        }
        self.parameters: Mapping[str, Parameter] = MappingProxyType(dict(parameters))
        self.conditions: Mapping[str, Condition] = MappingProxyType(conditions)
        self.names: tuple[str, ...] = tuple(parameters)
        self.dimensions: tuple[str, ...] = tuple(name for name in parameters if parameters[name].count != 1)
        """The parameters that vary: one coordinate each, in declared order."""
        self.order: tuple[str, ...] = _parents_first(parameters, conditions)
        """All names; a parent stands before what depends on it."""
        self._filled = tuple((name, parameters[name], name in conditions) for name in self.order)
        self.constraints: tuple[Constraint, ...] = tuple(Constraint(text, parameters) for text in constraints)
        self._decided = by_last_name(self.constraints, self.order)
        self.finite: bool = all(parameter.count is not None for parameter in parameters.values())
        """Whether there is an end to the configurations, counted or not."""
        size = _count(self, self.order)
        self.size: int | None = self._count_allowed(size) if constraints else size
        """How many distinct configurations there are; None where there is no end to them or they were not counted."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Space):
            return NotImplemented
        mine, theirs = (list(space.parameters.items()) for space in (self, other))
        return (
            mine == theirs
            and self.conditions == other.conditions
            and [constraint.text for constraint in self.constraints] == [theirs.text for theirs in other.constraints]
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        constraints = [constraint.text for constraint in self.constraints]
        return f"Space({dict(self.parameters)!r}, {dict(self.conditions)!r}, {constraints!r})"

    def is_active(self, name: str, config: Mapping[str, Value]) -> bool:
        """Whether ``name`` is active, given the values of the active parameters that it depends on."""
        return all(
            parent in config and any(same_value(config[parent], value) for value in values)
            for parent, values in self.conditions.get(name, {}).items()
        )

    def allows(self, config: Mapping[str, Value]) -> bool:
        """Whether no constraint is broken. Costs about a microsecond for each."""
        return not self.constraints or all(constraint.holds(config) is not False for constraint in self.constraints)

    def from_unit(self, point: Sequence[float]) -> Config:
        """The configuration at a point of [0, 1)^d: one coordinate for each of ``dimensions``. Raises ValueError."""
        return self.fill({}, point)

    def fill(self, given: Mapping[str, object], point: Sequence[float]) -> Config:
        """``given``, with what is missing taken from ``point``. Raises ValueError for a given value out of range."""
        if len(point) != len(self.dimensions):
            raise ValueError(f"a point of this space has {len(self.dimensions)} coordinates, found {len(point)}")
        units = dict(zip(self.dimensions, point))  # noqa: B905 - lengths were compared; strict= costs twice the time
        found: Config = {}
        for name, parameter, conditional in self._filled:
            if not conditional or self.is_active(name, found):
                found[name] = parameter.read(given[name]) if name in given else parameter.at(units.get(name, 0.0))
        return self._as_declared(found)

    def to_unit(self, config: Mapping[str, Value]) -> list[float]:
        """The point that leads back to ``config``; 0.5 where a parameter is inactive."""
        return [self.parameters[name].unit(config[name]) if name in config else 0.5 for name in self.dimensions]

    def check(self, config: Mapping[str, object]) -> list[str]:
        """What is wrong with a configuration that a user wrote; empty when nothing is.

        Active parameters may be missing: the searcher fills them in. A parent may not be, where its child is given.
        """
        unknown = (name for name in config if name not in self.parameters)
        known = (name for name in self.order if name in config)
        read: Config = {}
        found = [f"{name}: {problem}" for name in (*unknown, *known) if (problem := self._problem(name, config, read))]
        return found or [self._broken(broken, read) for broken in self.constraints if broken.holds(read) is False]

    def grid(self, points_per_float: int) -> Iterator[Config]:
        """Every configuration that is allowed, in a fixed order, each once, made as it is asked for.

        The last parameter varies fastest. Floats without a step, and integers without one that have more values than
        that, are thinned to ``points_per_float`` (at least 2) values from low to high. It ends early where a million
        values in a row lead to nothing that the constraints allow.
        """
        if points_per_float < 2:
            raise ValueError(f"a grid needs at least 2 points for each float, found {points_per_float}")
        if not self.order:
            yield {}
            return
        vain = 0
        found: Config = {}
        # A stack of our own: recursion would limit how many parameters there may be.
        levels = [self._level(0, found, points_per_float)]
        while levels:
            name = self.order[len(levels) - 1]
            found.pop(name, None)
            value = next(levels[-1], None)
            if value is None:
                levels.pop()
                continue
            if not isinstance(value, _Absent):
                found[name] = value
            if any(constraint.holds(found) is False for constraint in self._decided[len(levels) - 1]):
                vain += 1
                if vain > _MOST_IN_VAIN:
                    return
            elif len(levels) == len(self.order):
                vain = 0
                yield self._as_declared(dict(found))
            else:
                levels.append(self._level(len(levels), found, points_per_float))

    def _level(self, depth: int, found: Config, points: int) -> Iterator[Value | _Absent]:
        name = self.order[depth]
        return iter(self.parameters[name].grid(points) if self.is_active(name, found) else (_Absent(),))

    def _as_declared(self, found: Config) -> Config:
        return found if self.order == self.names else {name: found[name] for name in self.names if name in found}

    def _count_allowed(self, size: int | None) -> int | None:
        if size is None or size > _MOST_COUNTED:
            return None
        return sum(1 for _ in self.grid(LARGEST_INT))

    def _broken(self, constraint: Constraint, config: Config) -> str:
        given = {name: config[name] for name in constraint.names if name in config}
        name = next(iter(given), constraint.names[0] if constraint.names else "")
        values = ", ".join(f"{name} is {value}" for name, value in given.items())
        return f"{name}: breaks the constraint {constraint.text!r}: {values}"

    def _problem(self, name: str, config: Mapping[str, object], read: Config) -> str | None:
        if name not in self.parameters:
            return f"no such parameter{suggestion(name, self.names)}"
        for parent, values in self.conditions.get(name, {}).items():
            if parent not in config:
                return f"is given, but {parent}, on which it depends, is not"
            if parent not in read or not any(same_value(read[parent], value) for value in values):
                return f"is only there when {parent} is {' or '.join(map(str, values))}; leave it out"
        try:
            read[name] = self.parameters[name].read(config[name])
        except ValueError as error:
            return str(error)
        return None


def condition_problems(
    parameters: Mapping[str, Parameter], conditions: Mapping[str, Condition], also: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Every (parameter, message) that is wrong with the conditions; ``also`` are further names to hint at."""
    problems = [
        (name, message)
        for name, condition in conditions.items()
        for parent, values in condition.items()
        if (message := _parent_problem(parameters, name, parent, values, also))
    ]
    return problems or _cycle_problems(parameters, conditions)


def _parent_problem(
    parameters: Mapping[str, Parameter], name: str, parent: str, values: tuple[Value, ...], also: Collection[str]
) -> str | None:
    if name not in parameters:
        return "has a condition and is no parameter"
    if parent not in parameters:
        return f"depends on {parent!r}, which is no parameter{suggestion(parent, (*parameters, *also))}"
    if parent == name:
        return "depends on itself"
    if parameters[parent].count is None:
        return f"depends on {parent}, a float without a step, which hardly ever has a certain value; give it a step"
    if not values:
        return f"names no value of {parent}"
    return next((problem for value in values if (problem := _value_problem(parent, parameters[parent], value))), None)


def _value_problem(parent: str, parameter: Parameter, value: Value) -> str | None:
    try:
        parameter.read(value)
    except ValueError as error:
        return f"can never be active: {parent} {error}"
    return None


def _cycle_problems(parameters: Mapping[str, Parameter], conditions: Mapping[str, Condition]) -> list[tuple[str, str]]:
    caught = set(parameters) - set(_parents_first(parameters, conditions))
    for name in parameters:
        if name in caught and (circle := _circle(name, conditions)):
            return [(name, f"its condition goes in a circle: {' → '.join(circle)}")]
    return []


def _circle(start: str, conditions: Mapping[str, Condition]) -> list[str]:
    """The way from ``start`` back to itself through its parents; empty when there is none."""
    trails, seen = [[start]], set()
    while trails:
        trail = trails.pop()
        for parent in conditions.get(trail[-1], ()):
            if parent == start:
                return [*trail, start]
            if parent not in seen:
                seen.add(parent)
                trails.append([*trail, parent])
    return []


def _parents_first(parameters: Mapping[str, Parameter], conditions: Mapping[str, Condition]) -> tuple[str, ...]:
    """A parent before what depends on it, else as declared; parameters in or behind a circle are left out."""
    order: dict[str, None] = {}
    waiting = list(parameters)
    while waiting:
        later = []
        for name in waiting:
            if all(parent in order for parent in conditions.get(name, ())):
                order[name] = None
            else:
                later.append(name)
        if len(later) == len(waiting):
            break
        waiting = later
    return tuple(order)


_Situation = tuple[tuple[str, type, Value | None], ...]
"""Parameters with their values. The type tells false from 0, which as keys of a dict are one."""


def _count(space: Space, order: tuple[str, ...]) -> int | None:
    """Configurations, counted parameter by parameter: how many ways lead to each situation that still matters.

    A situation is the values of those parents that a later parameter asks about; values of a parent that no condition
    tells apart are counted together.
    """
    last_use = {parent: index for index, name in enumerate(order) for parent in space.conditions.get(name, ())}
    ways: dict[_Situation, int] = {(): 1}
    for index, name in enumerate(order):
        reached: dict[_Situation, int] = {}
        for known, count in ways.items():
            values = _told_apart(space, name) if _active_where(space, name, known) else [(None, 1)]
            for value, times in values:
                if times is None:
                    return None
                kept = tuple(item for item in (*known, (name, type(value), value)) if last_use.get(item[0], -1) > index)
                reached[kept] = reached.get(kept, 0) + count * times
        if len(reached) > _MOST_SITUATIONS:
            return None
        ways = reached
    return sum(ways.values())


def _active_where(space: Space, name: str, known: _Situation) -> bool:
    return space.is_active(name, {parent: value for parent, _, value in known if value is not None})


def _told_apart(space: Space, name: str) -> list[tuple[Value | None, int | None]]:
    """The values of a parameter that conditions name, once each, and all the others together as None."""
    named: list[Value] = []
    for condition in space.conditions.values():
        for value in condition.get(name, ()):
            if not any(same_value(value, other) for other in named):
                named.append(value)
    count = space.parameters[name].count
    others = count if count is None else count - len(named)
    return [*((value, 1) for value in named), *([(None, others)] if others != 0 else [])]
