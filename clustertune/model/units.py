"""Sizes, durations and money, as people write and read them."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_SIZES = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "ki": 2**10, "kib": 2**10,
    "m": 10**6, "mb": 10**6, "mi": 2**20, "mib": 2**20,
    "g": 10**9, "gb": 10**9, "gi": 2**30, "gib": 2**30,
    "t": 10**12, "tb": 10**12, "ti": 2**40, "tib": 2**40,
    "p": 10**15, "pb": 10**15, "pi": 2**50, "pib": 2**50,
}  # fmt: skip

_SECONDS = {
    "ms": Decimal("0.001"), "millisecond": Decimal("0.001"), "milliseconds": Decimal("0.001"),
    "": Decimal(1), "s": Decimal(1), "sec": Decimal(1), "secs": Decimal(1), "second": Decimal(1), "seconds": Decimal(1),
    "m": Decimal(60), "min": Decimal(60), "mins": Decimal(60), "minute": Decimal(60), "minutes": Decimal(60),
    "h": Decimal(3600), "hr": Decimal(3600), "hrs": Decimal(3600), "hour": Decimal(3600), "hours": Decimal(3600),
    "d": Decimal(86400), "day": Decimal(86400), "days": Decimal(86400),
    "w": Decimal(604800), "week": Decimal(604800), "weeks": Decimal(604800),
}  # fmt: skip

_LARGEST = 10**18
"""Nobody means more bytes, seconds or dollars than this."""

# A decimal exponent is bounded, so that no text makes a number of a billion digits.
_NUMBER = r"[0-9]{1,30}(?:\.[0-9]{0,30})?(?:e[+-]?[0-9]{1,2})?|\.[0-9]{1,30}"
_SIZE = re.compile(rf"({_NUMBER})\s*([a-z]*)", re.IGNORECASE)
_DURATION_PART = re.compile(rf"\s*({_NUMBER})\s*([a-z]*)\s*", re.IGNORECASE)
_MONEY = re.compile(rf"(?:\$|usd)?\s*({_NUMBER})\s*(?:\$|usd)?", re.IGNORECASE)


def parse_bytes(written: object) -> int:
    """Bytes: ``8GiB``, ``500MB``, ``1.5 TiB``; a plain number is bytes. Raises ValueError."""
    number = _plain_number(written)
    if number is None and isinstance(written, str) and (match := _SIZE.fullmatch(written.strip())):
        factor = _SIZES.get(match[2].lower())
        number = None if factor is None else Decimal(match[1]) * factor
    if number is None or number > _LARGEST:
        raise ValueError(
            f"{_quoted(written)} is not a size; write for example 500MB, 8GiB, 1.5TiB, or a number of bytes"
        )
    return int(number)


def parse_duration(written: object) -> float:
    """Seconds: ``90``, ``5m``, ``1h30m``, ``2 days``, ``500ms``; a plain number is seconds. Raises ValueError."""
    number = _plain_number(written)
    if number is None and isinstance(written, str):
        number = _sum_of_parts(written)
    if number is None or number > _LARGEST:
        raise ValueError(f"{_quoted(written)} is not a duration; write for example 90s, 5m, 1h30m, 2d")
    return float(number)


def parse_money(written: object) -> float:
    """US dollars: ``20 USD``, ``$20``, ``0.5``. Raises ValueError."""
    number = _plain_number(written)
    if number is None and isinstance(written, str) and (match := _MONEY.fullmatch(written.strip())):
        number = Decimal(match[1])
    if number is None or number > _LARGEST:
        raise ValueError(f"{_quoted(written)} is not an amount of US dollars; write for example 20 USD, $20, 0.5")
    return float(number)


def format_bytes(size: float) -> str:
    """``8.0 GiB``, ``512 B``: binary units, one decimal."""
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        # What would be printed as 1024.0 belongs to the larger unit already.
        if abs(amount) < 1023.95:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"


def format_duration(seconds: float) -> str:
    """``1h 2m``, ``3m 20s``, ``4.2s``, ``350ms``: the two largest units, rounded down."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 1:
        return f"{int(seconds * 1000)}ms" if seconds > 0 else "0s"
    if seconds < 10:
        return f"{int(seconds * 10) / 10:g}s"
    return _two_units(int(seconds))


def format_money(usd: float) -> str:
    """``$1.50``; amounts below a cent show four decimals."""
    return f"${usd:,.4f}" if 0 < abs(usd) < 0.01 else f"${usd:,.2f}"


def _two_units(seconds: int) -> str:
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, seconds = divmod(seconds, length)
        parts.append((amount, unit))
    first = next(index for index, (amount, _) in enumerate(parts) if amount)
    return " ".join(f"{amount}{unit}" for amount, unit in parts[first : first + 2] if amount)


def _plain_number(written: object) -> Decimal | None:
    """A number that is one already; refuses what no amount can be."""
    if isinstance(written, bool) or not isinstance(written, (int, float)):
        return None
    # A chained comparison, because it holds for NaN and for integers beyond any float, too.
    if not 0 <= written <= _LARGEST:
        return None
    return Decimal(repr(written))


def _sum_of_parts(text: str) -> Decimal | None:
    total, position = Decimal(0), 0
    while match := _DURATION_PART.match(text, position):
        length = _SECONDS.get(match[2].lower())
        # A number without a unit is only clear when it stands alone: what is the 30 of 1h30?
        if length is None or (not match[2] and match.span() != (0, len(text))):
            return None
        total, position = total + Decimal(match[1]) * length, match.end()
    return total if position and position == len(text) else None


def _quoted(written: object) -> str:
    text = repr(written)
    return text if len(text) <= 60 else text[:57] + "…"
