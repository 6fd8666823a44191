"""What schedulers share that look at every report and never pause."""

from __future__ import annotations

from collections.abc import Mapping

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Next, StartNew

GRACE: Mapping[str, object] = {
    "doc": "The level before which no trial is stopped; by default the least resource (`resource: {min: …}`).",
    "minimum": 1,
    "examples": [5],
}
"""What is said of this option of all of them."""


class EveryLevel:
    """Knows how far each trial has come; the next level that counts is the one after, until the maximum.

    No trial is stopped below ``grace``, by default ``min_resource``, nor at the maximum, where nothing is won by it.
    """

    def __init__(self, *, min_resource: int, max_resource: int | None, grace: int | None) -> None:
        self._max = max_resource
        self._grace = min_resource if grace is None else grace
        self._reached: dict[int, int] = {}

    def next(self) -> Next:
        """Always a new trial: nothing is ever paused."""
        return StartNew()

    def target(self, trial: int) -> int | None:
        """Every level is wanted, in whatever steps the program reports."""
        following = self._reached.get(trial, 0) + 1
        return None if self._max is not None and following > self._max else following

    def on_end(self, trial: int, state: TrialState) -> None:
        """What others are compared with stays."""
        del state
        self._reached.pop(trial, None)

    def _reach(self, trial: int, resource: int) -> bool:
        """Whether it may be stopped there."""
        self._reached[trial] = resource
        return resource >= self._grace and (self._max is None or resource < self._max)
