"""When the result files of which experiment are written: soon after a change, and before anybody hears of an end."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable

from clustertune.coordinator.places import Places
from clustertune.coordinator.results import ResultFiles, Written
from clustertune.model.clock import Clock
from clustertune.model.errors import JournalFull
from clustertune.model.trial import ExperimentState

EVERY_S = 0.5
"""How long after a change the files follow, at the soonest."""

SHARE = 20
"""Writing one experiment's files takes at most one part in so many of the time."""

AGAIN_S = 5.0
"""When to try again after the disk refused."""

log = logging.getLogger(__name__)


class ResultWriter:
    """``view`` takes what is to be written, in the event loop; ``committed`` waits until the journal has it all."""

    def __init__(
        self,
        *,
        places: Places,
        clock: Clock,
        view: Callable[[str], Written],
        committed: Callable[[], Awaitable[None]],
    ) -> None:
        self._places, self._clock = places, clock
        self._view, self._committed = view, committed
        self._due: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._files: dict[str, ResultFiles] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def touch(self, name: str) -> None:
        """The experiment changed."""
        if name not in self._due:
            self._due[name] = max(self._clock.monotonic_s() + EVERY_S, self._not_before.get(name, 0.0))

    def has_written(self, name: str, state: ExperimentState) -> bool:
        """Whether an earlier coordinator has left the files of an experiment that has ended complete."""
        folder = self._places.experiment(name)
        try:
            found = json.loads((folder / "results.json").read_text())
        except (OSError, ValueError):
            return False
        told = found.get("state") if isinstance(found, dict) else None
        return told == state.value and (folder / "trials.csv").exists()

    async def run(self) -> None:
        """Writes what is due, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S / 2)
            now = self._clock.monotonic_s()
            for name in [name for name, due in self._due.items() if due <= now]:
                await self.settle(name)

    async def settle(self, name: str) -> None:
        """Returns when the files say what is true now, or the disk refused."""
        async with self._locks[name]:
            if self._due.pop(name, None) is None:
                return
            began = self._clock.monotonic_s()
            try:
                await self._committed()
                await asyncio.to_thread(self._of(name).write, self._view(name))
            except (OSError, sqlite3.OperationalError, JournalFull) as error:
                log.warning("the results of %s cannot be written now: %s", name, error)
                self._due[name] = began + AGAIN_S
            now = self._clock.monotonic_s()
            self._not_before[name] = now + (now - began) * SHARE

    async def settle_all(self) -> None:
        for name in list(self._due):
            await self.settle(name)

    def _of(self, name: str) -> ResultFiles:
        if name not in self._files:
            self._files[name] = ResultFiles(self._places.experiment(name), self._places.journal)
        return self._files[name]
