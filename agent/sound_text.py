"""Makes of a program's text what can be encoded: lone surrogates would break every writer after us. Pure."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_UNKNOWN = "\ufffd"


def sound(text: str) -> str:
    """``text`` with U+FFFD in place of each lone surrogate."""
    return text if text.isascii() else _SURROGATE.sub(_UNKNOWN, text)


def sound_bytes(text: str) -> bytes:
    """``text`` as UTF-8; what Python made of bytes that are not UTF-8 becomes these bytes again."""
    return _NO_BYTE.sub(_UNKNOWN, text).encode(errors="surrogateescape")
