"""Which reports at the target wait for the scheduler's decision, and what they are answered."""

from __future__ import annotations

from collections.abc import Callable

Answer = Callable[[dict[str, object]], None]


class Decisions:
    """One attempt's. Answers as soon as the decision is known, also where that was before the report came."""

    def __init__(self, target: int | None) -> None:
        self._target = target
        self._end = ""
        self._waiting: list[tuple[int, Answer]] = []

    def wait(self, level: int, answer: Answer) -> None:
        """A report at ``level`` waits."""
        self._waiting.append((level, answer))
        self._answer()

    def go(self, target: int | None) -> None:
        """Targets only rise: an earlier one comes late."""
        if target is None or (self._target is not None and target > self._target):
            self._target = target
            self._answer()

    def end(self, reason: str) -> None:
        """The attempt is to end: ``paused`` or ``stopped``."""
        self._end = reason
        self._answer()

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for level, answer in waiting:
            if self._end:
                answer({"end": self._end})
            elif self._target is None or self._target > level:
                answer({"go": self._target})
            else:
                self._waiting.append((level, answer))
