"""Curves as dots: Braille characters hold two by four of them each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Which bit of a Braille character is the dot in each of its four rows and two columns (Unicode, block 2800)."""


def draw(
    curves: Sequence[Sequence[float | None]], low: float, high: float, across: int, height: int
) -> list[list[tuple[int, int]]]:
    """Braille bits and the index of the last curve drawn, by line and column. None in a curve leaves a gap.

    ``across`` and ``height`` are in characters, of two by four dots each; a curve fills the whole width.
    """
    cells = [[(0, 0)] * across for _ in range(height)]
    for owner, curve in enumerate(curves):
        before: int | None = None
        for x in range(across * 2):
            value = curve[x * len(curve) // (across * 2)] if curve else None
            if value is None:
                continue
            y = row_of(value, low, high, height * 4)
            for dot in range(min(y, y if before is None else before), max(y, y if before is None else before) + 1):
                bits, _ = cells[dot // 4][x // 2]
                cells[dot // 4][x // 2] = bits | _DOTS[dot % 4][x % 2], owner
            before = y
    return cells


def row_of(value: float, low: float, high: float, rows: int) -> int:
    """Which of so many rows a value lies in, the highest first."""
    return min(max(int((high - value) / (high - low) * rows), 0), rows - 1)


def character(bits: int) -> str:
    """A space where there is no dot."""
    return chr(0x2800 + bits) if bits else " "
