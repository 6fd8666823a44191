"""What a configuration of another search space is in this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustertune.model.parameters import Constant, Float, Int, Parameter, same_value
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.searchers.spread import spread_point

OUT_OF_RANGE, NO_SUCH_VALUE, ANOTHER_KIND = "out of range", "not among its values", "of another kind"

_POINTS = 64
"""So many ways to fill in what is missing are tried, before the constraints are held to allow none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """``config`` has what carries over, each value one that this space has; parameters may be missing.

    ``lost`` says of each parameter whose value this space does not have why not: such a configuration tells a model
    something, and is not the one that was tried.
    """

    config: Config
    lost: Mapping[str, str]


def translate(config: Mapping[str, Value], space: Space) -> Translated:
    """By the parameters' names.

    Numbers carry over between floats and integers, to the nearest value that a step allows; beyond the bounds they
    become the bound, and are lost. Of choices only their own values carry over. A constant is what it is here. What is
    inactive here, given the values of its parents, is left out.
    """
    found: Config = {}
    lost: dict[str, str] = {}
    for name in space.order:
        parameter = space.parameters[name]
        if name not in config or isinstance(parameter, Constant) or _is_inactive(space, name, found):
            continue
        value, problem = _carried(parameter, config[name])
        if value is not None:
            found[name] = value
        if problem:
            lost[name] = problem
    return Translated(config={name: found[name] for name in space.names if name in found}, lost=lost)


def completed(config: Mapping[str, Value], space: Space, *, seed: int, number: int) -> Config | None:
    """What ``translate`` gave as a whole configuration of ``space``; None where the constraints allow none.

    What is missing is filled in quasi-randomly: a function of ``seed`` and ``number``.
    """
    for attempt in range(_POINTS):
        point = spread_point(seed, number * _POINTS + attempt, len(space.dimensions))
        found = space.fill(config, point)
        if space.allows(found):
            return found
    return None


def _is_inactive(space: Space, name: str, found: Config) -> bool:
    """Where a parent has no value yet, it may still be active."""
    return any(
        parent in found and not any(same_value(found[parent], value) for value in values)
        for parent, values in space.conditions.get(name, {}).items()
    )


def _carried(parameter: Parameter, value: Value) -> tuple[Value | None, str]:
    """The nearest value here, None for none, and what is lost by it."""
    try:
        return parameter.read(value), ""
    except ValueError:
        if not isinstance(parameter, Float | Int):
            return None, NO_SUCH_VALUE
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, ANOTHER_KIND
    within = min(max(value, parameter.low), parameter.high)
    return _nearest(parameter, within), "" if within == value else OUT_OF_RANGE


def _nearest(parameter: Float | Int, value: float) -> Value:
    if isinstance(parameter, Int):
        step = parameter.step or 1
        return parameter.low + step * round((value - parameter.low) / step)
    return float(value) if parameter.step is None else parameter.at(parameter.unit(value))
