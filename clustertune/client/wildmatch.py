"""A pattern of git's as a regular expression, letter by letter as git's own wildmatch.c reads it.

Libraries that do this differ from git where sets have ranges, classes or escapes, and where ``**`` is not alone in its
folder. Letters are bytes: those beyond ASCII are lone surrogates.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field

_WILD = re.compile(r"[*?\[\\]")
_LETTERS = [chr(byte) if byte < 128 else chr(0xDC00 + byte) for byte in range(1, 256)]
_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, [*range(1, 32), 127])),
    "digit": string.digits,
    "graph": "".join(map(chr, range(33, 127))),
    "lower": string.ascii_lowercase,
    "print": "".join(map(chr, range(32, 127))),
    "punct": string.punctuation,
    "space": string.whitespace,
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}


class MatchesNothing(ValueError):
    """A pattern that git takes for broken."""


def regex_of(pattern: str) -> str:
    """What matches whole paths. Raises MatchesNothing."""
    reading, parts = _Reading(pattern), []
    while (letter := reading.next()) is not None:
        if letter == "*":
            parts.append(_stars(reading))
        elif letter == "?":
            parts.append("[^/]")
        elif letter == "[":
            parts.append(_set(reading))
        else:
            parts.append(re.escape(reading.needed() if letter == "\\" else letter))
    return "".join(parts) + r"\Z"


@dataclass(slots=True)
class _Reading:
    text: str
    at: int = 0

    def next(self) -> str | None:
        letter = self.peek()
        self.at += letter is not None
        return letter

    def needed(self) -> str:
        if (letter := self.next()) is None:
            raise MatchesNothing(f"{self.text!r} breaks off")
        return letter

    def peek(self, ahead: int = 0) -> str | None:
        at = self.at + ahead
        return self.text[at] if at < len(self.text) else None


def _stars(reading: _Reading) -> str:
    """After the first: several that are alone in their folder match folders, too.

    Git compares what comes before the first wildcard by itself, and takes what is left for the beginning.
    """
    first = reading.at - 1
    while reading.peek() == "*":
        reading.next()
    begins = not _WILD.search(reading.text, 0, first) or reading.text[first - 1] == "/"
    if reading.at - first == 1 or not begins:
        return "[^/]*"
    if reading.peek() is None:
        return ".*"
    if reading.peek() == "/":
        reading.next()
        return "(?:.*/)?"
    return "[^/]*"


@dataclass(slots=True)
class _Set:
    letters: set[str] = field(default_factory=set)
    previous: str | None = None

    def add(self, letter: str) -> None:
        self.letters.add(letter)
        self.previous = letter

    def add_all(self, letters: str | list[str]) -> None:
        self.letters.update(letters)
        self.previous = None


def _set(reading: _Reading) -> str:
    """After its bracket. It never matches a slash."""
    negated = reading.peek() in ("!", "^")
    if negated:
        reading.next()
    found, letter = _Set(), reading.needed()
    while True:
        if letter == "\\":
            found.add(reading.needed())
        elif letter == "-" and found.previous is not None and reading.peek() not in (None, "]"):
            last = reading.needed()
            last = reading.needed() if last == "\\" else last
            found.add_all([each for each in _LETTERS if found.previous <= each <= last])
        elif letter == "[" and reading.peek() == ":":
            _class(reading, found)
        else:
            found.add(letter)
        if (letter := reading.needed()) == "]":
            break
    letters = "".join(map(re.escape, sorted(found.letters - {"/"})))
    if negated:
        return f"[^/{letters}]"
    return f"[{letters}]" if letters else "(?!)"


def _class(reading: _Reading, found: _Set) -> None:
    end = reading.text.find("]", reading.at + 1)
    if end < 0:
        raise MatchesNothing(f"{reading.text!r} breaks off")
    if end == reading.at + 1 or reading.text[end - 1] != ":":
        found.add("[")  # no class after all, but a bracket in a set
        return
    name = reading.text[reading.at + 1 : end - 1]
    if name not in _CLASSES:
        raise MatchesNothing(f"{name!r} is no class of letters")
    found.add_all(_CLASSES[name])
    reading.at = end + 1
