"""Finds reports in text: lines of output that patterns match, and lines of JSON. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clustertune.agent.near_miss import NearMisses
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


@dataclass(frozen=True)
class Batch:
    """What many lines gave, in their order."""

    reports: list[Level] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def add(self, found: Found) -> None:
        self.notices.extend(found.notices)
        if found.report is not None:
            self.reports.append(found.report)


_NOTHING = Found()


class PatternReader:
    """Matches each line of output; a report is complete when the objective's metric was found.

    ``also``: with these metrics, those of them that have a pattern.
    """

    def __init__(
        self,
        patterns: Sequence[MetricPattern],
        objective: str,
        resource: str,
        *,
        after: int = 0,
        also: Sequence[str] = (),
    ) -> None:
        """Levels that no line names are counted from ``after``.

        Raises ValueError for a pattern that is not a regular expression with a group.
        """
        self._searches = tuple(_compile(pattern) for pattern in patterns)
        self._names = tuple(pattern.name for pattern in patterns)
        self._needed = [objective, *(name for name in also if name in self._names)]
        self._names_level = resource != objective and resource in self._names
        self._objective_regex = next((pattern.regex for pattern in patterns if pattern.name == objective), "")
        self._misses: NearMisses | None = NearMisses()
        self._objective, self._resource = objective, resource
        self._latest: dict[str, float] = {}
        self._level: int | None = None
        self._level_unknown = False
        self._count = after

    def line(self, text: str) -> Found:
        """Metrics found since the last report go along with the next one."""
        if self._misses is not None:
            self._misses.see(text)
        matches = [(search(text), group) for search, group in self._searches]
        return self._take_all([None if match is None else match.group(group) for match, group in matches])

    def _take_all(self, texts: Sequence[str | None]) -> Found:
        """What each pattern matched in one line, or did not."""
        notices, found = [], False
        for name, text in zip(self._names, texts, strict=True):
            if text is None:
                continue
            if name == self._objective:
                self._misses = None
            problem = self._take(name, text)
            if problem:
                notices.append(problem)
            elif name in self._needed:
                found = True
        if found and all(name in self._latest for name in self._needed):
            return self._report(notices)
        return Found(notices=tuple(notices)) if notices else _NOTHING

    def lines(self, texts: Sequence[str]) -> Batch:
        """The same as each ``line`` after the other, several times as fast where many of them match."""
        batch, first = Batch(), 0
        while self._misses is not None and self._misses.looks and first < len(texts):
            batch.add(self.line(texts[first]))
            first += 1
        rest = texts[first:] if first else texts
        if self._misses is not None:
            self._misses.count(len(rest))
        if self._names == (self._objective,):
            self._take_values(rest, batch)
        elif rest:
            self._take_rows(self._rows(rest), batch)
        if batch.reports:
            self._misses = None
        return batch

    def _take_values(self, texts: Iterable[str], batch: Batch) -> None:
        """Where the objective's is the only pattern."""
        name, reports = self._objective, batch.reports
        ((search, group),) = self._searches
        for match in filter(None, map(search, texts)):
            try:
                value = float(match[group])
            except (TypeError, ValueError):
                batch.add(self._take_all((match[group],)))
                continue
            if self._count >= LARGEST_LEVEL:
                batch.add(self._take_all((match[group],)))
                continue
            self._count += 1
            reports.append((self._count, {name: value}))

    def _rows(self, texts: Sequence[str]) -> Iterator[tuple[str | None, ...]]:
        columns = (
            [None if match is None else match[group] for match in map(search, texts)]
            for search, group in self._searches
        )
        return zip(*columns, strict=True)

    def _take_rows(self, rows: Iterable[tuple[str | None, ...]], batch: Batch) -> None:
        nothing = (None,) * len(self._names)
        for row in rows:
            if row == nothing:
                continue
            report = None if None in row or self._latest else self._plain_report(row)  # type: ignore[arg-type]
            if report is None:
                batch.add(self._take_all(row))
            else:
                batch.reports.append(report)

    def _plain_report(self, texts: Sequence[str]) -> Level | None:
        """Where every pattern matched, and numbers; None for what needs a closer look, and nothing is changed then."""
        try:
            metrics = dict(zip(self._names, map(float, texts), strict=True))
        except ValueError:
            return None
        level = metrics.pop(self._resource) if self._names_level else self._count + 1
        # Not at the largest: as floats, levels beyond it look like it.
        if self._objective not in metrics or not 1 <= level < LARGEST_LEVEL or level != int(level):
            return None
        self._count, self._level, self._level_unknown = int(level), None, False
        return self._count, metrics

    def why_nothing(self) -> str:
        """Where the objective's pattern never matched: what it met instead; else empty."""
        return self._misses.tell(self._objective_regex) if self._misses is not None and self._objective_regex else ""

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


def _compile(pattern: MetricPattern) -> tuple[Callable[[str], re.Match[str] | None], str | int]:
    try:
        compiled = re.compile(pattern.regex)
    except re.error as error:
        raise ValueError(f"the pattern of {pattern.name} is not a regular expression: {error}") from error
    if "value" in compiled.groupindex:
        return compiled.search, "value"
    if compiled.groups != 1:
        found = f"{pattern.regex!r} has {compiled.groups}"
        raise ValueError(f"the pattern of {pattern.name} must have one group, or one called value; {found}")
    return compiled.search, 1


class JsonLineReader:
    """Reads appended text: each line an object whose numbers are metrics. A last line without its end waits."""

    def __init__(self, resource: str, *, after: int = 0) -> None:
        """Levels that no line names are counted from ``after``."""
        self._resource = resource
        self._rest = b""
        self._count = after

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
