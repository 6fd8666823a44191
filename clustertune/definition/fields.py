"""The types of fields: what people may write in each, and what it becomes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from clustertune.model.parameters import LARGEST_INT
from clustertune.model.units import parse_bytes, parse_duration, parse_money

_TAKEN_SIGNALS = {"SIGKILL", "SIGSTOP", "SIGTERM", "SIGCHLD", "SIGCONT"}
_FLAGS = {"yes": True, "on": True, "no": False, "off": False}


class Section(BaseModel):
    """A mapping of named fields; unknown ones are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def found(value: object) -> str:
    """A value as it is shown in a message: its kind, and itself where it is short."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def read_text(value: object) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        raise ValueError(f"expected text, found {found(value)}; put it in quotes")  # noqa: TRY004 - pydantic wants it
    raise ValueError(f"expected text, found {found(value)}")


def read_words(value: object) -> object:
    text = read_text(value)
    if isinstance(text, str) and not text.strip():
        raise ValueError("is empty")
    return text


def read_integer(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_INT:
            raise ValueError(f"found {found(value)}; an integer must lie within ±2**53")
        return value
    raise ValueError(f"expected an integer, found {found(value)}")


def read_real(value: object) -> object:
    """A number that keeps its kind: 3 stays an integer."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number, found {found(value)}")  # noqa: TRY004 - pydantic wants it
    if not -1.7e308 <= value <= 1.7e308:
        raise ValueError(f"expected a finite number, found {found(value)}")
    return value


def read_trials(value: object) -> object:
    return None if value in (None, "unlimited") else read_integer(value)


def read_interval(value: object) -> object:
    """A duration, or never."""
    if value is None or value == "never":
        return None
    return _amount(parse_duration, positive=True)(value)


def read_signal(value: object) -> object:
    """The name of a signal that a program can catch, with or without SIG; empty for none."""
    name = str(read_text(value)).strip().upper()
    if not name:
        return ""
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__:
        raise ValueError(f"there is no signal {name}; write for example SIGUSR1")
    if name in _TAKEN_SIGNALS:
        raise ValueError(f"{name} has a meaning of its own; take SIGUSR1 or SIGUSR2")
    return name


def read_number(value: object) -> object:
    return float(read_real(value))  # type: ignore[arg-type]


def read_flag(value: object) -> object:
    """YAML 1.1's yes, no, on and off are meant as such where only true and false can stand."""
    if isinstance(value, str) and value.lower() in _FLAGS:
        return _FLAGS[value.lower()]
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false, found {found(value)}")


def read_scalar(value: object) -> object:
    """A value of a hyperparameter."""
    if value is None:
        raise ValueError('found nothing; a value is text, a number, true or false ("none" in quotes is text)')
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError(f"found {found(value)}; a value is text, a number, true or false")  # noqa: TRY004
    return value


def read_environment(value: object) -> object:
    """Environment variables are text; numbers and flags are taken as they are written."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else read_text(value)


def _amount(parse: Callable[[object], float], *, positive: bool) -> Callable[[object], float]:
    def read(value: object) -> float:
        amount = parse(value)
        if positive and amount <= 0:
            raise ValueError(f"must be more than 0, found {found(value)}")
        return amount

    return read


def _schema(kind: list[str], description: str, examples: list[Any]) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "title": description, "examples": examples})


_DURATION = _schema(["number", "string"], "duration", ["90s", "5m", "1h30m"])

Text = Annotated[str, BeforeValidator(read_text)]
Words = Annotated[str, BeforeValidator(read_words)]
"""Text that is not blank."""
Integer = Annotated[int, BeforeValidator(read_integer)]
Trials = Annotated[
    int | None,
    BeforeValidator(read_trials),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "unlimited"}, {"type": "null"}]}),
]
Number = Annotated[float, BeforeValidator(read_number)]
Flag = Annotated[bool, BeforeValidator(read_flag)]
Scalar = Annotated[
    Any, BeforeValidator(read_scalar), WithJsonSchema({"type": ["string", "number", "boolean"], "title": "value"})
]
EnvironmentValue = Annotated[
    str, BeforeValidator(read_environment), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
Size = Annotated[int, BeforeValidator(parse_bytes), _schema(["integer", "string"], "size", ["500MB", "8GiB"])]
Duration = Annotated[float, BeforeValidator(_amount(parse_duration, positive=False)), _DURATION]
PositiveDuration = Annotated[float, BeforeValidator(_amount(parse_duration, positive=True)), _DURATION]
Interval = Annotated[
    float | None,
    BeforeValidator(read_interval),
    WithJsonSchema(
        {"anyOf": [{"type": ["number", "string"], "title": "duration"}, {"const": "never"}, {"type": "null"}]}
    ),
]
"""A duration, or never."""
SignalName = Annotated[str, BeforeValidator(read_signal)]
PositiveMoney = Annotated[
    float,
    BeforeValidator(_amount(parse_money, positive=True)),
    _schema(["number", "string"], "US dollars", ["20 USD", 0.5]),
]
