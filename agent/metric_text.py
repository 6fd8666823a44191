"""Finds reports in text: lines of output that patterns match, and lines of JSON. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustertune.agent.sound_text import sound
from clustertune.model.messages import MetricPattern
from clustertune.model.trial import LARGEST_LEVEL

Level = tuple[int, dict[str, float]]
"""A resource level and the metrics reported at it."""

ALLOWED_LEVELS = "a positive integer up to 2**53"
_NO_HIGHER = f"a level is {ALLOWED_LEVELS}"
_MAX_NAME_CHARS = 200
_MAX_METRICS = 1000


@dataclass(frozen=True)
class Found:
    """What one line gave: a report or none, and what was wrong with it."""

    report: Level | None = None
    notices: tuple[str, ...] = ()


_NOTHING = Found()


class PatternReader:
    """Matches each line of output; a report is complete when the objective's metric was found."""

    def __init__(self, patterns: Sequence[MetricPattern], objective: str, resource: str) -> None:
        """Raises ValueError for a pattern that is not a regular expression with a group."""
        self._patterns = tuple((pattern.name, _compile(pattern)) for pattern in patterns)
        self._objective, self._resource = objective, resource
        self._latest: dict[str, float] = {}
        self._level: int | None = None
        self._level_unknown = False
        self._count = 0

    def line(self, text: str) -> Found:
        """Metrics found since the last report go along with the next one."""
        notices, complete = [], False
        for name, (pattern, group) in self._patterns:
            match = pattern.search(text)
            if match is None or (found := match.group(group)) is None:
                continue
            problem = self._take(name, found)
            if problem:
                notices.append(problem)
            elif name == self._objective:
                complete = True
        if complete:
            return self._report(notices)
        return Found(notices=tuple(notices)) if notices else _NOTHING

    def _take(self, name: str, text: str) -> str:
        """What is wrong with a match; empty where it was taken."""
        if name == self._resource and name != self._objective:
            self._level = _level_in(text)
            self._level_unknown = self._level is None
            if self._level is None:
                return f"the pattern of {name} matched {_shown(text)}, which is not {ALLOWED_LEVELS}: left out"
            return ""
        number = _as_number(text)
        if number is None:
            return f"the pattern of {name} matched {_shown(text)}, which is not a number"
        self._latest[name] = number
        return ""

    def _report(self, notices: list[str]) -> Found:
        level = as_level(self._count + 1 if self._level is None else self._level)
        metrics, self._latest, self._level = self._latest, {}, None
        if self._level_unknown:
            # At an invented level it could be taken for the best, and stand in the way of the report that is.
            self._level_unknown = False
            return Found(notices=tuple(notices))
        if level is None:
            return Found(notices=(*notices, f"a report after level {self._count} is left out: {_NO_HIGHER}"))
        self._count = level
        return Found((level, metrics), tuple(notices))


def _compile(pattern: MetricPattern) -> tuple[re.Pattern[str], str | int]:
    try:
        compiled = re.compile(pattern.regex)
    except re.error as error:
        raise ValueError(f"the pattern of {pattern.name} is not a regular expression: {error}") from error
    if "value" in compiled.groupindex:
        return compiled, "value"
    if compiled.groups != 1:
        found = f"{pattern.regex!r} has {compiled.groups}"
        raise ValueError(f"the pattern of {pattern.name} must have one group, or one called value; {found}")
    return compiled, 1


class JsonLineReader:
    """Reads appended text: each line an object whose numbers are metrics. A last line without its end waits."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self._rest = b""
        self._count = 0

    def feed(self, data: bytes, *, last: bool = False) -> list[Found]:
        """What the complete lines give; with ``last``, the incomplete one too."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if last:
            lines, self._rest = [*lines, self._rest], b""
        return [self._line(line) for line in lines if line.strip()]

    @property
    def waiting_bytes(self) -> int:
        return len(self._rest)

    def _line(self, line: bytes) -> Found:
        shown = _shown(line.decode(errors="replace"))
        try:
            plain = json.loads(line)
        except (ValueError, RecursionError):
            return Found(notices=(f"a line in CLUSTERTUNE_METRICS is not JSON: {shown}",))
        if not isinstance(plain, dict):
            return Found(notices=(f"a line in CLUSTERTUNE_METRICS is not an object: {shown}",))
        level = self._level(plain)
        if level is None:
            return Found(notices=(f"a line in CLUSTERTUNE_METRICS has a level that is not {ALLOWED_LEVELS}: {shown}",))
        metrics, notices = within_bounds(numbers_in(plain))
        if not metrics:
            return Found(notices=(*notices, f"a line in CLUSTERTUNE_METRICS has no metric in it: {shown}"))
        self._count = level
        return Found((level, metrics), notices)

    def _level(self, plain: dict[str, object]) -> int | None:
        """Takes the level out of the line."""
        for name in (self._resource, "step"):
            if name in plain:
                return as_level(plain.pop(name))
        return as_level(self._count + 1)


def numbers_in(plain: Mapping[str, object]) -> dict[str, float]:
    """What of a JSON object may be a metric."""
    return {name: number for name, value in plain.items() if (number := plain_number(value)) is not None}


def within_bounds(metrics: dict[str, float]) -> tuple[dict[str, float], tuple[str, ...]]:
    """The metrics of one report that may travel, and notices of what was left out.

    Names of at most 200 characters, at most 1,000 of them; lone surrogates in names are replaced.
    """
    if len(metrics) <= _MAX_METRICS and all(name.isascii() and len(name) <= _MAX_NAME_CHARS for name in metrics):
        return metrics, ()
    kept: dict[str, float] = {}
    notices = []
    for name, number in metrics.items():
        if len(name) > _MAX_NAME_CHARS:
            found = f"its name has {len(name)} characters, and at most {_MAX_NAME_CHARS} are allowed"
            notices.append(f"the metric {_shown(name)} is left out: {found}")
        elif len(kept) < _MAX_METRICS:
            kept[sound(name)] = number
    if len(metrics) > _MAX_METRICS:
        notices.append(f"a report has {len(metrics)} metrics, and at most {_MAX_METRICS} are kept: the first ones")
    return kept, tuple(notices)


def plain_number(value: object) -> float | None:
    """A JSON number as a float; None for anything else, true and false included."""
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return None


def as_level(value: object) -> int | None:
    """A positive integer up to 2**53, also where it is written as 3.0; else None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 1 <= value <= LARGEST_LEVEL else None


def _level_in(text: str) -> int | None:
    try:
        return as_level(int(text))  # floats beyond 2**53 would round to a level that is allowed
    except ValueError:
        return as_level(_as_number(text))


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
