"""What a verb is given on its standard input, bounded before it is believed."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from clustertune.agent.root import Hindered

MOST_BYTES = 1024 * 1024


def read_object(given: BinaryIO, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Raises Hindered, which never quotes what was given: there may be secrets in it."""
    try:
        plain = json.loads(read_all(given, most_bytes))
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        raise Hindered("standard input must hold one JSON object, and nothing else")
    return plain


def read_all(given: BinaryIO, most_bytes: int = MOST_BYTES) -> bytes:
    """Raises Hindered."""
    data = given.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise Hindered(f"standard input holds more than {most_bytes} bytes, which nobody means")
    return data


def text(plain: dict[str, Any], name: str, default: str | None = None) -> str:
    """Raises Hindered."""
    found = plain.get(name, default)
    if not isinstance(found, str) or "\0" in found:
        raise Hindered(f"{name} must be text without null bytes, found {type(found).__name__}")
    return found


def texts(plain: dict[str, Any], name: str) -> list[str]:
    """Raises Hindered."""
    found = plain.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, str) and "\0" not in each for each in found):
        raise Hindered(f"{name} must be a list of texts without null bytes")
    return found


def variables(plain: dict[str, Any], name: str) -> dict[str, str]:
    """Raises Hindered, which names no value."""
    found = plain.get(name, {})
    if not isinstance(found, dict):
        raise Hindered(f"{name} must be names with their values")
    for key, value in found.items():
        if not key or "=" in key or not isinstance(value, str) or "\0" in key + value:
            raise Hindered(f"{name}: no environment can hold {key[:100]!r} with that value")
    return found
