"""How many configurations there are, given which parameters are there under which conditions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from math import prod

from clustertune.model.parameters import Parameter
from clustertune.model.trial import Value

_MOST_STEPS = 10_000
"""Conditions more entangled than this leave the number unknown, rather than take longer than tens of milliseconds."""

_Key = tuple[bool, Value]
"""A value, and whether it is true or false: as keys of a dict 1 and true are one."""

_Situation = tuple[tuple[str, _Key | None], ...]
"""Parameters with a value of those that they may have; None where no condition names it."""

_Conditions = Mapping[str, Mapping[str, Collection[_Key]]]


def count(parameters: Mapping[str, Parameter], conditions: Mapping[str, Mapping[str, Collection[Value]]]) -> int | None:
    """None where there is no end to them, or finding out would take long.

    Counted parameter by parameter: how many ways lead to each situation that still matters. A situation is the values
    of those parents that a later parameter asks about; values that no condition tells apart are counted together.
    """
    asked: _Conditions = {
        name: {parent: {(isinstance(value, bool), value) for value in values} for parent, values in condition.items()}
        for name, condition in conditions.items()
    }
    order = list(_children_near_parents(asked))
    counts = {name: parameter.count for name, parameter in parameters.items()}
    if None in counts.values():
        return None
    number = _ways(order, {name: counts[name] or 0 for name in order}, asked)
    return None if number is None else number * prod(counts[name] or 0 for name in counts.keys() - set(order))


def _ways(order: list[str], counts: Mapping[str, int], asked: _Conditions) -> int | None:
    last_use = {parent: index for index, name in enumerate(order) for parent in asked.get(name, ())}
    alike = _alike(counts, asked)
    ways: dict[_Situation, int] = {(): 1}
    steps = 0
    for index, name in enumerate(order):
        steps += len(ways) * len(alike[name])
        if steps > _MOST_STEPS:
            return None
        reached: dict[_Situation, int] = {}
        for known, number in ways.items():
            for value, times in alike[name] if _is_active(asked.get(name, {}), known) else [(None, 1)]:
                kept = tuple(item for item in (*known, (name, value)) if last_use.get(item[0], -1) > index)
                reached[kept] = reached.get(kept, 0) + number * times
        ways = reached
    return sum(ways.values())


def _children_near_parents(asked: _Conditions) -> Iterator[str]:
    """All that have a condition or are named in one: each after its parents, and those no sooner than needed."""
    placed: set[str] = set()
    for child in asked:
        waiting = [child]
        while waiting:
            missing = next((parent for parent in asked.get(waiting[-1], ()) if parent not in placed), None)
            if missing is not None:
                waiting.append(missing)
            elif (name := waiting.pop()) not in placed:
                placed.add(name)
                yield name


def _alike(counts: Mapping[str, int], asked: _Conditions) -> dict[str, list[tuple[_Key | None, int]]]:
    """For each parameter one of each sort of values, with their number: a sort makes the same children active."""
    children: dict[str, dict[_Key, tuple[str, ...]]] = {name: {} for name in counts}
    for child, condition in asked.items():
        for parent, values in condition.items():
            for value in values:
                children[parent][value] = (*children[parent].get(value, ()), child)
    return {name: _sorts(counts[name], children[name]) for name in counts}


def _sorts(number: int, children: Mapping[_Key, tuple[str, ...]]) -> list[tuple[_Key | None, int]]:
    sorts: dict[tuple[str, ...], list[_Key]] = {}
    for value, active in children.items():
        sorts.setdefault(active, []).append(value)
    others: list[tuple[_Key | None, int]] = [(None, number - len(children))] if number > len(children) else []
    return [*((values[0], len(values)) for values in sorts.values()), *others]


def _is_active(condition: Mapping[str, Collection[_Key]], known: _Situation) -> bool:
    given = dict(known)
    return all(given.get(parent) in values for parent, values in condition.items())
