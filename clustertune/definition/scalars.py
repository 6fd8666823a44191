"""What a plain word of YAML means: the core schema of YAML 1.2, without the surprises of 1.1.

``yes``, ``no``, ``on``, ``off`` and ``1:30`` are text, ``1e-4`` is a number.
"""

from __future__ import annotations

import re

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")

_LONGEST_NUMBER = 400

Scalar = bool | int | float | str | None


def read_plain_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar. Raises ValueError for a number that YAML 1.1 and 1.2 read differently."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    # Longer digits than any number needs stay text: Python refuses to convert thousands of them.
    if len(text) > _LONGEST_NUMBER:
        return text
    return _read_number(text)


def _read_number(text: str) -> Scalar:
    if _LEADING_ZERO.fullmatch(text):
        plain = text.lstrip("+-").lstrip("0") or "0"
        remedy = f'write {plain}, 0o{plain} or "{text}"'
        raise ValueError(f"{text} is octal to some readers and decimal to others; {remedy}")
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text, 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return float("nan") if _NAN.fullmatch(text) else text
