"""Drives a tuner that answers when asked, in virtual time: slots, trials that report level by level, a limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, Protocol

from benchmarks.search.suite import Measurable
from clustertune.coordinator.simulation.task import Step, key_of
from clustertune.model.trial import Config

ROUNDING = 1 + 1e-9
"""What is due at the very end still counts, though the sum of many steps be a hair above it."""


class Tuner(Protocol):
    """A peer as the loop sees it. Its methods are called in the order of virtual time, one at a time."""

    def begin(self, number: int) -> Config | None:
        """The configuration of trial ``number``; None where there is no other to try."""
        ...

    def report(self, number: int, level: int, loss: float) -> bool:
        """Hears of a report, which may be NaN or infinite; whether the trial goes on."""
        ...

    def end(self, number: int) -> None:
        """The trial has reported all of its levels, each of which ``report`` let pass."""
        ...


@dataclass(slots=True)
class Course:
    """What came of a search. ``path`` has each improvement of the best report: seconds from the start, and loss.

    ``idle_s`` adds up how long slots had no trial.
    """

    path: list[tuple[float, float]] = field(default_factory=list)
    trials: int = 0
    reports: int = 0
    idle_s: float = 0.0

    def note(self, now_s: float, loss: float) -> None:
        self.reports += 1
        if math.isfinite(loss) and (not self.path or loss < self.path[-1][1]):
            self.path.append((now_s, loss))


def drive(tuner: Tuner, task: Measurable, *, slots: int, limit_s: float, seed: int) -> Course:
    """Until ``limit_s``: a slot that becomes free begins its next trial at the same moment."""
    return _Loop(tuner, task, slots, limit_s * ROUNDING, seed).run()


class _Loop:
    """The heap holds the next report of each slot's trial: when it is due, and which trial of which slot it is."""

    def __init__(self, tuner: Tuner, task: Measurable, slots: int, limit_s: float, seed: int) -> None:
        self._tuner, self._task, self._slots, self._limit_s, self._seed = tuner, task, slots, limit_s, seed
        self._course = Course()
        self._due: list[tuple[float, int, int, Iterator[Step], Step]] = []
        self._planned = 0

    def run(self) -> Course:
        for _ in range(self._slots):
            self._begin(0.0)
        while self._due and self._due[0][0] <= self._limit_s:
            now_s, _, number, curve, (level, _, metrics) = heappop(self._due)
            loss = metrics[self._task.metric]
            self._course.note(now_s, loss)
            if not self._tuner.report(number, level, loss):
                self._begin(now_s)
            elif not self._plan(now_s, number, curve):
                self._tuner.end(number)
                self._begin(now_s)
        return self._course

    def _begin(self, now_s: float) -> None:
        number = self._course.trials
        config = self._tuner.begin(number)
        if config is None:
            self._course.idle_s += self._limit_s - now_s
            return
        self._course.trials += 1
        self._plan(now_s, number, self._task.curve(config, key_of({}, self._seed, number)))

    def _plan(self, now_s: float, number: int, curve: Iterator[Step]) -> bool:
        """Whether there was a level left."""
        step = next(curve, None)
        if step is None:
            return False
        self._planned += 1
        heappush(self._due, (now_s + step[1], self._planned, number, curve, step))
        return True


class Clocked:
    """A task that knows how long it was being asked, so that what remains is the tuner's own time."""

    def __init__(self, task: Measurable, clock: Callable[[], float]) -> None:
        self.space, self.metric, self.max_resource = task.space, task.metric, task.max_resource
        self.spent_s = 0.0
        self._task, self._clock = task, clock

    def curve(self, config: Mapping[str, Any], seed: int) -> Iterator[Step]:
        curve = self._task.curve(dict(config), seed)
        while True:
            began = self._clock()
            step = next(curve, None)
            self.spent_s += self._clock() - began
            if step is None:
                return
            yield step
