"""Whether what an algorithm proposes is a configuration of the space, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustertune.model.parameters import Float, shown
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.blame import shown_anyhow

_PLAIN = frozenset({bool, int, float, str})
_EXACTLY: tuple[tuple[type, Any], ...] = ((int, int.__int__), (float, float.__float__), (str, str.__str__))
_MOST_TOLD = 3


class Unfit(ValueError):
    """Says why it is none."""


def fitting(config: object, space: Space) -> Config:
    """``config`` itself, where it is whole, allowed and plain; else its plain twin. Raises Unfit.

    NumPy's scalars, and whatever else has ``item()``, become the Python value that they are equal to.
    """
    if type(config) is dict and _fits(config, space):
        return config
    try:
        return _made_fitting(config, space)
    except Unfit:
        raise
    except Exception as error:  # foreign objects may raise anything wherever they are touched
        raise Unfit(f"it cannot be read: {type(error).__name__}") from error


def whole_number(value: object) -> int:
    """Raises Unfit."""
    found = plain(value)
    if type(found) is not int:
        raise Unfit(f"a whole number is wanted, found {shown(found)}")
    return found


def plain(value: object) -> Value:
    """The value without a library's type around it. Raises Unfit where it would not be the same any more."""
    if type(value) in _PLAIN:
        return value  # type: ignore[return-value] # it is one of them
    for kind, exactly in _EXACTLY:
        if isinstance(value, kind):
            found: Value = exactly(value)
            return found
    try:
        item: Any = value.item()  # type: ignore[attr-defined]
        if type(item) in _PLAIN and bool(item == value):
            return item  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001, S110 - torch, too, has tensors of several items that raise what they like
        pass
    raise Unfit(f"{shown_anyhow(value)} of type {type(value).__name__} is no number, text, true or false")


def _fits(config: Mapping[str, Any], space: Space) -> bool:
    """In as few steps as it takes: this is asked of every trial."""
    parameters = space.parameters
    try:
        for name, value in config.items():
            parameter = parameters[name]
            if type(parameter) is Float and parameter.step is None:
                if type(value) is not float or not parameter.low <= value <= parameter.high:
                    return False
            elif type(parameter.read(value)) is not type(value):
                return False
    except (KeyError, TypeError, ValueError):
        return False
    if space.conditions:
        whole = all(space.is_active(name, config) == (name in config) for name in parameters)
    else:
        whole = len(config) == len(parameters)
    return whole and (not space.constraints or space.allows(config))


def _made_fitting(config: object, space: Space) -> Config:
    if not isinstance(config, Mapping):
        raise Unfit("a configuration is wanted, which maps names to values")
    found: dict[str, Value] = {}
    for name, value in config.items():
        if not isinstance(name, str):
            raise Unfit(f"{shown_anyhow(name)} is no parameter's name")
        try:
            found[name] = plain(value)
        except Unfit as error:
            raise Unfit(f"{name}: {error}") from error
    problems = space.check(found) or [
        f"{name}: is missing" for name in space.order if name not in found and space.is_active(name, found)
    ]
    if problems:
        raise Unfit("; ".join(problems[:_MOST_TOLD]))
    return {name: space.parameters[name].read(found[name]) for name in space.names if name in found}
