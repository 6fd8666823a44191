"""Websocket frames as they are on the wire: read whole, passed on unchanged, understood where they are text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

_TEXT = 0x81  # final, and of text: neither end of ours splits messages


@dataclass(frozen=True, slots=True)
class Frame:
    """``raw`` is what goes over the wire; ``message`` what it says, empty for what is no message of ours."""

    raw: bytes
    message: dict[str, Any]


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[Frame]:
    """The request or answer that begins a websocket, then every frame. Ends with the stream."""
    try:
        yield Frame(await reader.readuntil(b"\r\n\r\n"), {})
        while True:
            yield await _frame(reader)
    except (asyncio.IncompleteReadError, ConnectionError):
        return


async def _frame(reader: asyncio.StreamReader) -> Frame:
    head = await reader.readexactly(2)
    size = head[1] & 0x7F
    more = await reader.readexactly({126: 2, 127: 8}.get(size, 0))
    size = int.from_bytes(more, "big") if more else size
    mask = await reader.readexactly(4) if head[1] & 0x80 else b""
    body = await reader.readexactly(size)
    return Frame(head + more + mask + body, _said(_unmasked(body, mask)) if head[0] == _TEXT else {})


def _unmasked(body: bytes, mask: bytes) -> bytes:
    if not mask:
        return body
    key = (mask * (len(body) // 4 + 1))[: len(body)]
    return (int.from_bytes(body, "big") ^ int.from_bytes(key, "big")).to_bytes(len(body), "big")


def _said(text: bytes) -> dict[str, Any]:
    found = json.loads(text)
    return found if isinstance(found, dict) else {}
