"""Values, configurations and other people's text, as one reads them on a screen."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping

from clustertune.model.trial import Value

SIGNIFICANT = 4
LONGEST_SETTING = 40


def number(value: float | None) -> str:
    """Four significant digits, without trailing zeros; a dash for None."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if not -5 < exponent < 7:
        mantissa, _, power = f"{value:.{SIGNIFICANT - 1}e}".partition("e")
        return f"{_without_zeros(mantissa)}e{int(power)}"
    return _without_zeros(f"{value:.{max(0, SIGNIFICANT - 1 - exponent)}f}")


def setting(value: Value) -> str:
    """One hyperparameter's value, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value)
    return shortened(one_line(str(value)), LONGEST_SETTING)


def settings(config: Mapping[str, Value]) -> list[str]:
    return [f"{one_line(name)} {setting(value)}" for name, value in config.items()]


def duration(seconds: float) -> str:
    """Compact: 0.4s, 12s, 3m 05s, 2h 07m, 3d 4h."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clean(text: str) -> str:
    """Other people's text, harmless: what would move a cursor or turn the writing round is spelt out.

    Line ends stay; a tab becomes four spaces.
    """
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(_harmless(character) for character in text)


def one_line(text: str) -> str:
    return clean(text).replace("\n", "\\n")


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(0, length - 1)] + "…"


def _harmless(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _HARMFUL:
        return character
    return character.encode("unicode_escape").decode("ascii")


_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories: controls, formats (among them those that reverse the direction), surrogates, unassigned."""


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
