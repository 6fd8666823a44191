"""What to tell of a pattern that matched no line: how many there were, and the one most like it. Pure."""

from __future__ import annotations

import difflib
import re

_MOST_KEPT = 100
_MOST_LOOKED_AT = 10_000
"""So much output is enough to see what its lines are like; each further one would only cost."""

_MOST_CHARS = 120
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_NOT_LITERAL = re.compile(r"\\.|\[.*?\]|\(\?[^)]*\)|[().*+?|^$]")


class NearMisses:
    """Keeps one line of each kind; lines that differ in numbers only are of one kind."""

    def __init__(self) -> None:
        self._lines = 0
        self._kept: dict[str, str] = {}

    def see(self, line: str) -> None:
        self._lines += 1
        if self._lines <= _MOST_LOOKED_AT and len(self._kept) < _MOST_KEPT:
            shown = line[:_MOST_CHARS]
            self._kept.setdefault(_NUMBER.sub("#", shown), shown)

    @property
    def looks(self) -> bool:
        """Whether further lines may be kept; else it is enough to ``count`` them."""
        return self._lines < _MOST_LOOKED_AT and len(self._kept) < _MOST_KEPT

    def count(self, lines: int) -> None:
        self._lines += lines

    def tell(self, regex: str) -> str:
        """One line; without any output, that."""
        if not self._lines:
            return "it printed nothing"
        seen = f"{self._lines} line{'s' if self._lines > 1 else ''} seen, none matched {regex!r}"
        return f"{seen}; nearest was: {self._nearest(regex)!r}"

    def _nearest(self, regex: str) -> str:
        literal = _NOT_LITERAL.sub("", regex).lower()
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(literal)

        def likeness(line: str) -> tuple[bool, int]:
            matcher.set_seq1(line.lower())
            return _NUMBER.search(line) is not None, sum(block.size**2 for block in matcher.get_matching_blocks())

        return max(self._kept.values(), key=likeness)
