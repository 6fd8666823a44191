"""Takes secrets' values out of text before it is written, sent or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clustertune.agent.sound_text import sound, sound_bytes

_SHOWN = b"[secret]"


class Redactor:
    """Replaces every occurrence of the given values; of overlapping ones the longest that begins first."""

    def __init__(self, values: Iterable[str]) -> None:
        lines = {line.strip() for value in values for line in (value, *value.splitlines())}
        self._values = tuple(sorted((sound_bytes(line) for line in lines if line), key=len, reverse=True))
        self._pattern = re.compile(b"|".join(map(re.escape, self._values))) if self._values else None

    def text(self, text: str) -> str:
        """``text`` without the values, and fit to be encoded."""
        if self._pattern is None:
            return sound(text)
        return self._pattern.sub(_SHOWN, sound_bytes(text)).decode(errors="replace")

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """What of a stream can be let go, redacted, and what must wait: it may be the beginning of a value."""
        if self._pattern is None:
            return data, b""
        done, position = [], 0
        hold = self._hold_from(data, 0)
        while (match := self._pattern.search(data, position)) is not None and match.start() < hold:
            done += [data[position : match.start()], _SHOWN]
            position = match.end()
            if position > hold:
                hold = self._hold_from(data, position)
        return b"".join([*done, data[position:hold]]), data[hold:]

    def all(self, data: bytes) -> bytes:
        """The end of a stream, redacted."""
        return data if self._pattern is None else self._pattern.sub(_SHOWN, data)

    def _hold_from(self, data: bytes, earliest: int) -> int:
        """The first position from which the rest of ``data`` is a proper beginning of some value."""
        longest = len(self._values[0])
        for position in range(max(earliest, len(data) - longest + 1), len(data)):
            rest = data[position:]
            if any(value.startswith(rest) and value != rest for value in self._values):
                return position
        return len(data)
