"""YAML text to plain values that know which line they stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clustertune.model.errors import DefinitionMistake, Problem

FieldPath = tuple[str | int, ...]
"""Where a value stands, as ``("initial", 0, "lr")``; people read it as ``initial.0.lr``."""

LARGEST_FILE_BYTES = 1024 * 1024

_LONGEST_MESSAGE = 500

OVERRIDDEN = -1
"""Stands for the line of a value that was given on the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A mapping read from ``file``, the line of each of its values, and what was already wrong with it."""

    tree: dict[str, Any]
    lines: Mapping[FieldPath, int] = field(default_factory=dict)
    file: str | None = None
    problems: Sequence[Problem] = ()
    unread: frozenset[FieldPath] = frozenset()
    """Where a value could not be read; nothing more is said about what stands in for it."""

    def problem(self, path: FieldPath, message: str) -> Problem:
        """A problem at ``path``, or at the nearest value around it that has a line."""
        line = next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), 0)
        file = None if line == OVERRIDDEN else self.file
        return Problem(bounded(message), join_path(path), file, max(line, 0))

    def with_problems(self, problems: Sequence[Problem]) -> Document:
        unread = {join_path(path) for path in self.unread}
        return replace(self, problems=(*self.problems, *(new for new in problems if new.path not in unread)))


def bounded(message: str) -> str:
    """A message that a value of any length is quoted in, cut in its middle where it would fill the screen."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:320]} … {message[-160:]}"


def join_path(path: FieldPath) -> str:
    return ".".join(map(str, path))


def read_document(source: Path | str) -> Document:
    """The document at a path, or in a text (recognized by its line breaks). Raises DefinitionMistake."""
    # Parsing costs 15 ms of import, which a program that only holds definitions need not pay.
    from clustertune.definition.yaml_reader import parse

    if isinstance(source, str) and "\n" in source:
        return parse(source, "<text>")
    return parse(_decode(_read_bytes(Path(source)), str(source)), str(source))


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise _unreadable(path, "is a directory; name the YAML file in it")
        with path.open("rb") as file:
            # One byte more tells a file that is too large, even one that has no end.
            content = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise _unreadable(path, "there is no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _unreadable(path, f"cannot be read: {reason}") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise _unreadable(path, "is larger than 1 MiB, the most that a definition may have; is it the right file?")
    return content


def _decode(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise DefinitionMistake([Problem(message, "", file, line)]) from error


def _unreadable(path: Path, message: str) -> DefinitionMistake:
    return DefinitionMistake([Problem(message, "", str(path))])
