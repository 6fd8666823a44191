"""Dataclasses to plain JSON values and back, checked by their annotations."""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

MOST_LEVELS = 64

_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class FieldError(ValueError):
    """A value that does not fit its field; the message names both."""


def to_plain(value: Any) -> Any:
    """JSON-able form of a dataclass, recursively; non-finite floats become strings."""
    kind: Any = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else str(value)
    if kind is tuple or kind is list:
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {name: to_plain(getattr(value, name)) for name in _names(kind)}
    raise TypeError(f"{kind.__name__} does not travel")


def from_plain(cls: Any, plain: object) -> Any:
    """An instance of the dataclass ``cls``; unknown keys are ignored. Raises FieldError."""
    return _reader(cls)(plain)


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


@cache
def _reader(annotation: Any) -> Callable[[object], Any]:
    if annotation is object:
        return _as_it_is
    if isinstance(annotation, NewType):
        return _reader(annotation.__supertype__)
    origin = get_origin(annotation)
    if origin is Union or origin is types.UnionType:
        return _union_reader(get_args(annotation))
    if origin is Literal:
        return _one_of({value: value for value in get_args(annotation)})
    if origin is tuple or origin is list:
        return _sequence_reader(origin, _reader(get_args(annotation)[0]))
    if origin in (dict, Mapping):
        return _mapping_reader(_reader(get_args(annotation)[1]))
    if isinstance(annotation, type):
        if is_dataclass(annotation):
            return _dataclass_reader(annotation)
        if issubclass(annotation, Enum):
            return _one_of({member.value: member for member in annotation})
        if annotation in _SCALARS:
            return _SCALARS[annotation]
    raise TypeError(f"{annotation} does not travel")


def _dataclass_reader(cls: type[Any]) -> Callable[[object], Any]:
    hints = get_type_hints(cls)
    readers = tuple((field.name, _reader(hints[field.name])) for field in fields(cls))
    required = frozenset(
        field.name for field in fields(cls) if field.default is MISSING and field.default_factory is MISSING
    )

    def read(plain: object) -> Any:
        if not isinstance(plain, dict):
            raise FieldError(f"expected an object, found {_found(plain)}")
        found: dict[str, Any] = {}
        for name, reader in readers:
            if name in plain:
                try:
                    found[name] = reader(plain[name])
                except FieldError as error:
                    raise FieldError(f"{name}: {error}") from error
            elif name in required:
                raise FieldError(f"{name} is missing")
        return cls(**found)

    return read


def _union_reader(members: tuple[Any, ...]) -> Callable[[object], Any]:
    optional = type(None) in members
    readers = tuple(_reader(member) for member in members if member is not type(None))

    def read(plain: object) -> Any:
        if plain is None and optional:
            return None
        last: FieldError | None = None
        for reader in readers:
            try:
                return reader(plain)
            except FieldError as error:
                last = error
        raise last or FieldError(f"unexpected {_found(plain)}")

    return read


def _sequence_reader(kind: type[Any], item: Callable[[object], Any]) -> Callable[[object], Any]:
    def read(plain: object) -> Any:
        if not isinstance(plain, list):
            raise FieldError(f"expected a list, found {_found(plain)}")
        return kind(map(item, plain))

    return read


def _mapping_reader(item: Callable[[object], Any]) -> Callable[[object], Any]:
    def read(plain: object) -> Any:
        if not isinstance(plain, dict):
            raise FieldError(f"expected an object, found {_found(plain)}")
        return {_read_str(key): item(value) for key, value in plain.items()}

    return read


def _one_of(members: Mapping[Any, Any]) -> Callable[[object], Any]:
    def read(plain: object) -> Any:
        if not isinstance(plain, str) or plain not in members:
            raise FieldError(f"expected one of {', '.join(map(str, members))}, found {_found(plain)}")
        return members[plain]

    return read


def _as_it_is(plain: object) -> object:
    """Whatever JSON holds, but for what is nested without end: whoever walks through it would fall."""
    level, depth = [plain], 0
    while level := [item for each in level if isinstance(each, (dict, list)) for item in _inside(each)]:
        depth += 1
        if depth > MOST_LEVELS:
            raise FieldError(f"nested more than {MOST_LEVELS} levels deep")
    return plain


def _inside(plain: dict[str, object] | list[object]) -> Iterable[object]:
    return plain.values() if isinstance(plain, dict) else plain


def _read_str(plain: object) -> str:
    if isinstance(plain, str):
        return plain if plain.isascii() else _encodable(plain)
    raise FieldError(f"expected text, found {_found(plain)}")


def _encodable(text: str) -> str:
    """JSON can name half a character (a lone surrogate), which no file and no terminal takes."""
    return text.encode("utf-8", "replace").decode()


def _read_bool(plain: object) -> bool:
    if isinstance(plain, bool):
        return plain
    raise FieldError(f"expected true or false, found {_found(plain)}")


def _read_int(plain: object) -> int:
    if isinstance(plain, int) and not isinstance(plain, bool):
        return plain
    raise FieldError(f"expected an integer, found {_found(plain)}")


def _read_float(plain: object) -> float:
    if type(plain) is float:
        return plain
    if isinstance(plain, int) and not isinstance(plain, bool):
        try:
            return float(plain)
        except OverflowError as error:
            raise FieldError("a number beyond what a float holds") from error
    if isinstance(plain, str) and plain in _NON_FINITE:
        return _NON_FINITE[plain]
    raise FieldError(f"expected a number, found {_found(plain)}")


_SCALARS: dict[type[Any], Callable[[object], Any]] = {
    str: _read_str, bool: _read_bool, int: _read_int, float: _read_float,
}  # fmt: skip


def _found(plain: object) -> str:
    if plain is None:
        return "nothing"
    text = repr(plain)
    return text if len(text) <= 60 else text[:57] + "…"
