"""A line for people, put into words only when somebody reads it: most are never read."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from clustertune.model.snapshot import Event


class Line(NamedTuple):
    """What ``Event`` tells clients, before it has its text."""

    id: int
    time: float
    level: str
    kind: str
    words: str | Callable[[], str]
    trial: int | None

    @property
    def text(self) -> str:
        return self.words if isinstance(self.words, str) else self.words()

    def event(self) -> Event:
        return Event(id=self.id, time=self.time, level=self.level, kind=self.kind, text=self.text, trial=self.trial)
