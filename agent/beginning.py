"""Puts in place what an attempt's program begins with: its folder, its checkpoint, and what a spawner is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from clustertune.agent.environment import attempt_environment
from clustertune.agent.nursery import Place
from clustertune.agent.orders import order_for
from clustertune.agent.redaction import Redactor
from clustertune.agent.report_stream import ReportStream
from clustertune.agent.saving import checkpoint_path
from clustertune.agent.surroundings import Surroundings
from clustertune.agent.untrusted import write_text
from clustertune.model.checkpoint import CheckpointRef
from clustertune.model.codec import to_plain
from clustertune.model.messages import Reports, Start
from clustertune.model.trial import split_attempt_id

_DISK_RETRY_S = 1.0


class Beginning:
    """Of one attempt. ``key`` proves to the agent that a report comes from it."""

    def __init__(self, start: Start, around: Surroundings, redactor: Redactor, stream: ReportStream, key: str) -> None:
        self._start, self._run, self._around, self._key = start, start.run, around, key
        self._redactor, self._stream = redactor, stream
        self._folder = around.folder.attempt(start.attempt)
        self._noticed: set[str] = set()

    async def settle_in(self, is_wanted: Callable[[], bool]) -> None:
        """Returns early where it is not wanted any more.

        A disk that is full is no fault of the program's: the attempt waits for room, and says so.
        """
        told = False
        while is_wanted():
            try:
                self._around.folders.make(self._folder)
                write_text(self._folder / "config.json", json.dumps(to_plain(self._start.config)))
                break
            except OSError as error:
                if not told:
                    text = f"waits to begin, for its folder cannot be written: {error.strerror} ({self._folder})"
                    self._notice_at_once(text)
                    told = True
            await asyncio.sleep(_DISK_RETRY_S)

    async def bring_checkpoint(self, checkpoint: CheckpointRef) -> None:
        """Raises NoCheckpoint."""
        experiment = split_attempt_id(self._start.attempt)[0]
        path = checkpoint_path(self._folder)
        await self._around.fetcher.bring(experiment, checkpoint, path, self._notice_at_once)

    def _notice_at_once(self, text: str) -> None:
        """Also before it has started, when other notices wait; each text once."""
        text = self._redactor.text(text)
        if text not in self._noticed:
            self._noticed.add(text)
            self._around.outbox.append(partial(Reports, attempt=self._start.attempt, reports=(), notices=(text,)))
            self._around.wake()

    def order(self, place: Place) -> dict[str, Any]:
        """What the spawner is told. Raises CannotStart."""
        own = attempt_environment(
            self._start,
            folder=self._folder,
            temporary=self._around.folder.temporary(self._start.attempt),
            socket=self._around.server.path,
            key=self._key,
            machine_has_gpus=self._around.machine_has_gpus,
        )
        if place.first:
            self._stream.notice(f"every trial of {self._run.call} imports it anew, which takes time: {place.fresh}")
        return order_for(self._start, place, own, self._around.folder.sdk)
