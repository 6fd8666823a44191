"""What a program says of itself, within bounds: only what is new goes on, for all of it is kept for ever."""

from __future__ import annotations

from collections.abc import Mapping

_MAX_NAMES = 100
_MAX_NAME_CHARS = 100
_MAX_TEXT_CHARS = 1000
_MAX_CHANGES = 1000
_LONG_NAME = f"describe(): a name has at most {_MAX_NAME_CHARS} characters, and what has more is left out"
_LONG_TEXT = f"describe(): a text is cut after {_MAX_TEXT_CHARS} characters"
_MANY_NAMES = f"describe(): {_MAX_NAMES} names are kept, and further ones left out"
_MANY_CHANGES = (
    f"describe(): after {_MAX_CHANGES} texts further ones are left out; what changes all the time is for report()"
)


class Facts:
    """Of one attempt."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._changes = 0

    def take(self, told: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """What is new of it, and notices about what is left out."""
        fresh, notices = dict[str, str](), dict[str, None]()
        for name, text in told.items():
            if len(text) > _MAX_TEXT_CHARS:
                notices[_LONG_TEXT] = None
            kept = text[:_MAX_TEXT_CHARS]
            if self._known.get(name) == kept:
                continue
            if why := self._why_not(name):
                notices[why] = None
                continue
            self._known[name] = fresh[name] = kept
            self._changes += 1
        return fresh, list(notices)

    def _why_not(self, name: str) -> str:
        if len(name) > _MAX_NAME_CHARS:
            return _LONG_NAME
        if name not in self._known and len(self._known) >= _MAX_NAMES:
            return _MANY_NAMES
        return _MANY_CHANGES if self._changes >= _MAX_CHANGES else ""
