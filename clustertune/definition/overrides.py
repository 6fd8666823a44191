"""``--set path=value``: single values put over those of the file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from clustertune.definition.document import OVERRIDDEN, Document, FieldPath, bounded
from clustertune.model.errors import DefinitionMistake, Problem

_SHORTHANDS = {("scheduler",): "type", ("searcher",): "type"}
"""Where a bare word stands for a mapping with this one field."""


class _Misplaced(Exception):
    """The path leads nowhere; the message says why."""


def apply_overrides(document: Document, overrides: Sequence[tuple[str, str]]) -> Document:
    """The document with each ``(path, value)`` put in; values are read as YAML. Problems are added to the document."""
    if not overrides:
        return document
    document = replace(document, tree=copy.deepcopy(document.tree))
    problems: list[Problem] = []
    lines = dict(document.lines)
    for written, text in overrides:
        path = _locate(document.tree, written)
        made = {path[:end] for end in range(1, len(path)) if not _is_there(document.tree, path[:end])}
        problems += _apply(document.tree, path, written, text)
        lines = {place: line for place, line in lines.items() if place[: len(path)] != path}
        lines |= dict.fromkeys({*made, path}, OVERRIDDEN)
    return replace(document, lines=lines).with_problems(problems)


def _apply(tree: dict[str, Any], path: FieldPath, written: str, text: str) -> list[Problem]:
    from clustertune.definition.yaml_reader import parse_value

    try:
        _put(tree, path, parse_value(text))
    except _Misplaced as error:
        return [Problem(bounded(str(error)), written)]
    except DefinitionMistake as mistake:
        return [Problem(problem.message, written) for problem in mistake.problems]
    return []


def _put(tree: dict[str, Any], path: FieldPath, value: Any) -> None:
    if not all(part != "" for part in path):
        raise _Misplaced("a path is names between dots, as in space.lr.low")
    container: Any = tree
    for depth, part in enumerate(path[:-1]):
        container = _step(container, part, path[: depth + 1])
    _assign(container, path[-1], path, value)


def _step(container: Any, part: str | int, path: FieldPath) -> Any:
    """The mapping or list at ``part``; an empty mapping is made where nothing is."""
    held = _held(container, part, path)
    if held is None:
        held = {}
        _assign(container, part, path, held)
    elif isinstance(held, str) and path in _SHORTHANDS:
        held = {_SHORTHANDS[path]: held}
        _assign(container, part, path, held)
    return held


def _held(container: Any, part: str | int, path: FieldPath) -> Any:
    if isinstance(container, dict):
        return container.get(part)
    if isinstance(container, list):
        return container[_index(container, part, path)] if part != len(container) else None
    raise _nothing_inside(container, path)


def _assign(container: Any, part: str | int, path: FieldPath, value: Any) -> None:
    if isinstance(container, dict):
        container[part] = value
    elif isinstance(container, list):
        if part == len(container):
            container.append(value)
        else:
            container[_index(container, part, path)] = value
    else:
        raise _nothing_inside(container, path)


def _index(container: list[Any], part: str | int, path: FieldPath) -> int:
    if isinstance(part, int) and part < len(container):
        return part
    where = ".".join(map(str, path[:-1]))
    raise _Misplaced(f"{where} is a list of {len(container)}; write a number from 0 to {len(container)} for {part!r}")


def _nothing_inside(container: Any, path: FieldPath) -> _Misplaced:
    return _Misplaced(f"{'.'.join(map(str, path[:-1]))} is {container!r}, and has no fields")


def _locate(tree: Any, written: str) -> FieldPath:
    """The parts of a path; a name that has dots in it is one part where it is there already."""
    parts, path, here = written.split("."), [], tree
    while parts:
        sizes = range(len(parts), 1, -1) if isinstance(here, dict) else ()
        size = next((size for size in sizes if ".".join(parts[:size]) in here), 1)
        part, parts = ".".join(parts[:size]), parts[size:]
        path.append(int(part) if isinstance(here, list) and part.isascii() and part.isdigit() else part)
        here = _peek(here, path[-1])
    return tuple(path)


def _peek(container: Any, part: str | int) -> Any:
    if isinstance(container, list):
        return container[part] if isinstance(part, int) and part < len(container) else None
    return container.get(part) if isinstance(container, dict) else None


def _is_there(tree: Any, path: FieldPath) -> bool:
    for part in path:
        tree = _peek(tree, part)
    return tree is not None
