"""Whether what goes to machines is much, and which folders make it so."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from clustertune.model.errors import Mistake
from clustertune.model.workdir import MAX_BYTES, MAX_FILES

MANY_FILES = 20_000
MANY_BYTES = 200_000_000
_SHOWN = 3
_MOST = 0.8
"""A folder with so much of what its own holds is the one to name."""
_SPECIAL = re.compile(r"([\\*?\[])")


@dataclass(slots=True)
class Weight:
    """Files and bytes, by folder. ``limit_files`` and ``limit_bytes`` are what machines are sent at most."""

    limit_files: int = MAX_FILES
    limit_bytes: int = MAX_BYTES
    files: int = 0
    size_bytes: int = 0
    _below: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    _folders: set[str] = field(default_factory=set)

    def add(self, path: str, size_bytes: int) -> None:
        """Raises Mistake as soon as there are too many files; too many bytes are counted to their end."""
        self.files += 1
        self.size_bytes += size_bytes
        self._count(path, size_bytes)
        folder = path
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            self._folders.add(folder)
            self._count(folder, size_bytes)
        if self.files > self.limit_files:
            raise Mistake(self._too_much("more than "))

    def check(self) -> None:
        """Raises Mistake where it is too much."""
        if self.size_bytes > self.limit_bytes:
            raise Mistake(self._too_much())

    def warning(self) -> str:
        """Empty where it is not much."""
        if self.files <= MANY_FILES and self.size_bytes <= MANY_BYTES:
            return ""
        return f"{self._all()} go to the machines; {self._remedy()}"

    def _count(self, path: str, size_bytes: int) -> None:
        held = self._below[path]
        held[0] += 1
        held[1] += size_bytes

    def _too_much(self, more: str = "") -> str:
        most = f"{self.limit_bytes / 1e9:g} GB and {self.limit_files:,} files"
        return f"{more}{self._all()} would go to the machines, and at most {most} can; {self._remedy()}"

    def _all(self) -> str:
        return f"{_files(self.files)} with {_mb(self.size_bytes)}"

    def _remedy(self) -> str:
        shown = self._heaviest()
        named = ", ".join(f"{path} ({_files(self._below[path][0])}, {_mb(self._below[path][1])})" for path in shown)
        lines = "".join(f"\n  {_line(path, is_folder=path in self._folders)}" for path in shown)
        return f"the most is in {named}. What trials do not need, leave out by lines in .gitignore, such as{lines}"

    def _heaviest(self) -> list[str]:
        """By bytes where those are many, else by files; none inside another."""
        by = 1 if self.size_bytes > MANY_BYTES or self.files <= MANY_FILES else 0
        inside: dict[str, list[str]] = defaultdict(list)
        for path in self._below:
            inside[path.rpartition("/")[0]].append(path)
        chosen = sorted(inside[""], key=lambda path: -self._below[path][by])[:_SHOWN]
        return [self._descended(path, by, inside) for path in chosen]

    def _descended(self, path: str, by: int, inside: dict[str, list[str]]) -> str:
        while folders := [each for each in inside[path] if each in self._folders]:
            heaviest = max(folders, key=lambda each: self._below[each][by])
            if self._below[heaviest][by] < _MOST * self._below[path][by]:
                break
            path = heaviest
        return path


def _line(path: str, *, is_folder: bool) -> str:
    """The path as an ignore file has it."""
    escaped = _SPECIAL.sub(r"\\\1", path)
    if escaped.endswith(" "):
        escaped = escaped[:-1] + "\\ "
    return f"/{escaped}{'/' if is_folder else ''}"


def _files(count: int) -> str:
    return f"{count:,} file{'' if count == 1 else 's'}"


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"
