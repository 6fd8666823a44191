"""What the patterns of one ignore file say of a path, asked as git asks.

Git asks of each file and folder by itself, on the way down, and the last pattern that matches decides. A pattern for
``build`` does not speak of ``build/x``: nobody comes there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clustertune.client.wildmatch import MatchesNothing, regex_of

_WILD = re.compile(r"[*?\[\\]")
_Told = tuple[int, bool] | None
"""The number of a pattern, and whether it leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    number: int
    leaves_out: bool
    folders_only: bool
    regex: str


class IgnorePatterns:
    """The patterns of one file. Paths are relative to that file's folder."""

    def __init__(self, data: bytes) -> None:
        self._names: dict[tuple[str, bool], _Told] = {}
        by_name: list[_Pattern] = []
        by_path: list[_Pattern] = []
        leading: set[str] = set()
        for number, line in enumerate(_letters(data.removeprefix(b"\xef\xbb\xbf")).split("\n")):
            written = _without_trailing_spaces(line.removesuffix("\r"))
            if (pattern := _read(number, written)) is None:
                continue
            anchored = "/" in written.removesuffix("/")
            (by_path if anchored else by_name).append(pattern)
            if anchored and not pattern.leaves_out:
                leading.update(_leading_folders(written))
        self._leading = frozenset(leading)
        self._by_name = {folder: _Alternatives(by_name, folder) for folder in (False, True)}
        self._by_path = {folder: _Alternatives(by_path, folder) for folder in (False, True)}

    def leaves_out(self, path: str, name: str, *, is_folder: bool) -> bool | None:
        """None: these patterns say nothing of it."""
        if not path.isascii():
            path, name = _letters(os.fsencode(path)), _letters(os.fsencode(name))
        key = (name, is_folder)
        if key not in self._names:
            self._names[key] = self._by_name[is_folder].last(name)
        told = [told for told in (self._names[key], self._by_path[is_folder].last(path)) if told is not None]
        return max(told)[1] if told else None

    def leads_to(self, folder: str) -> bool:
        """Whether it must be entered to reach what a pattern names and takes back in."""
        return _letters(os.fsencode(folder)) in self._leading


class _Alternatives:
    """Many patterns as one regular expression, the last of them first: the first that matches decides."""

    def __init__(self, patterns: Sequence[_Pattern], is_folder: bool) -> None:
        chosen = [pattern for pattern in reversed(patterns) if is_folder or not pattern.folders_only]
        self._told = [(pattern.number, pattern.leaves_out) for pattern in chosen]
        self._regex = re.compile("|".join(f"({pattern.regex})" for pattern in chosen), re.DOTALL) if chosen else None

    def last(self, text: str) -> _Told:
        found = self._regex.match(text) if self._regex is not None else None
        return self._told[(found.lastindex or 0) - 1] if found else None


def _read(number: int, written: str) -> _Pattern | None:
    """None for what is no pattern, or one that matches nothing."""
    if written.startswith("#"):
        return None
    text = written.removeprefix("!").removesuffix("/")
    try:
        regex = regex_of(text.removeprefix("/") if "/" in text else text)
    except MatchesNothing:
        return None
    leaves_out, folders_only = not written.startswith("!"), written.endswith("/")
    return _Pattern(number=number, leaves_out=leaves_out, folders_only=folders_only, regex=regex)


def _leading_folders(written: str) -> Iterable[str]:
    parts = written.removeprefix("!").strip("/").split("/")[:-1]
    for count, part in enumerate(parts, 1):
        if _WILD.search(part):
            return
        yield "/".join(parts[:count])


def _letters(data: bytes) -> str:
    """A letter for each byte: that is how git matches."""
    return data.decode("ascii", "surrogateescape")


def _without_trailing_spaces(line: str) -> str:
    """A space after a backslash is meant."""
    stripped = line.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 and len(stripped) < len(line) else stripped
