"""One attempt's life on this machine: started, heard, ended, and told about once it is wholly over."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from clustertune.agent.ending import Asked, Conclusion, Seen, conclude
from clustertune.agent.environment import attempt_environment
from clustertune.agent.folder import Folder
from clustertune.agent.log_file import TAIL_BYTES, LogFile
from clustertune.agent.metric_text import Found, JsonLineReader, Level, PatternReader
from clustertune.agent.nursery import Nursery, Place
from clustertune.agent.orders import order_for
from clustertune.agent.outbox import Outbox
from clustertune.agent.output import Output
from clustertune.agent.redaction import Redactor
from clustertune.agent.report_server import ReportServer
from clustertune.agent.report_stream import ReportStream
from clustertune.agent.spawner_link import CannotStart, Child, Exit, SpawnerLost
from clustertune.model.codec import to_plain
from clustertune.model.messages import Ended, Reports, Start, Started
from clustertune.model.trial import Ending, EndReason, Report

_PATIENCE_S = 1.0
"""How long to wait for pipes and sockets that something beyond our reach still holds open."""

_METRICS_READ_BYTES = 1024 * 1024
_DISK_RETRY_S = 1.0


@dataclass(frozen=True)
class Surroundings:
    """What all attempts of an agent share. ``wake`` is called when the outbox has something to send."""

    folder: Folder
    outbox: Outbox
    nursery: Nursery
    server: ReportServer
    wake: Callable[[], None]
    machine_has_gpus: bool


class Attempt:
    """Runs one Start. Everything it learns goes to the outbox; ``run`` returns the number of its Ended."""

    def __init__(self, start: Start, around: Surroundings) -> None:
        self.key = secrets.token_hex(16)
        self._start, self._run, self._around = start, start.run, around
        self._loop = asyncio.get_running_loop()
        self._redactor = Redactor(start.run.secrets.values())
        self._folder = around.folder.attempt(start.attempt)
        self.log = LogFile(around.folder.log(start.attempt), fresh=True)
        self._stream = ReportStream(start.attempt, around.outbox, self._redactor, around.wake)
        self._metrics = JsonLineReader(start.run.resource)
        self._metrics_offset = 0
        self._patterns: PatternReader | None = None
        self._output: Output | None = None
        self._outcome: dict[str, str] = {}
        self._asked: Asked | None = None
        self._child: Child | None = None
        self._placing: asyncio.Future[Place] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._began_s = self._loop.time()
        self.over = False

    def stop(self, asked: Asked) -> None:
        """SIGTERM now and SIGKILL after the grace; the first to ask is the reason."""
        if self._asked is not None or self.over or (self._child is not None and self._child.exited.done()):
            return
        self._asked = asked
        if self._placing is not None:
            self._placing.cancel()
        if self._child is not None:
            self._end_child(self._child)

    def _end_child(self, child: Child) -> None:
        child.signal(signal.SIGTERM)
        self._timers.append(self._loop.call_later(self._run.grace_s, child.signal, signal.SIGKILL))

    async def run(self) -> int:
        """Never raises but for cancellation: whatever goes wrong is how the attempt ended."""
        try:
            conclusion, exit_ = await self._live()
        except Exception as error:  # noqa: BLE001 - the task's boundary: our own fault becomes this attempt's ending
            conclusion = Conclusion(EndReason.LOST, f"the agent failed: {error!r}", traceback.format_exc())
            exit_ = Exit()
        return self._tell_end(conclusion, exit_)

    async def _live(self) -> tuple[Conclusion, Exit]:
        if self._run.trial_time_s is not None:
            self._timers.append(self._loop.call_later(self._run.trial_time_s, self.stop, Asked.TIME))
        try:
            exit_ = await self._run_child()
        except CannotStart as error:
            return Conclusion(EndReason.UNSTARTABLE, error.error, error.traceback), Exit()
        except SpawnerLost as error:
            return Conclusion(EndReason.LOST, str(error)), Exit()
        finally:
            for timer in self._timers:
                timer.cancel()
            await self._drain()
        if exit_ is None and self._asked is Asked.TIME:
            return Conclusion(EndReason.TIMEOUT, self._why_not_begun()), Exit()
        exit_ = exit_ or Exit()
        if exit_.survivors:
            self._stream.notice(f"{exit_.survivors} processes of this trial could not be killed")
        return conclude(Seen(exit_, self._outcome, self._tail()), self._asked, self._run.trial_time_s), exit_

    async def _run_child(self) -> Exit | None:
        """Until its process and all that it left are gone; None where it was to end before it began."""
        try:
            child = self._child = await self._begin()
        except asyncio.CancelledError:
            if self._asked is None:
                raise
            return None
        self._around.outbox.append(partial(Started, attempt=self._start.attempt, pid=child.pid))
        self._around.wake()
        self._stream.open()
        if self._asked is not None:
            self._end_child(child)
        return await child.exited

    def _why_not_begun(self) -> str:
        return f"{self._run.call} was still being imported when trial_time ({self._run.trial_time_s:g} s) was over"

    async def _begin(self) -> Child:
        self._read_patterns()
        await self._settle_in()
        self._placing = asyncio.ensure_future(self._around.nursery.place(self._run, self._start.cpus))
        if self._asked is not None:
            self._placing.cancel()
        place = await self._placing
        self._placing = None
        try:
            return await self._begin_at(place)
        finally:
            place.spawner.release()

    async def _begin_at(self, place: Place) -> Child:
        order = self._order(place)
        read_end, write_end = os.pipe()
        self._output = Output(read_end, self._loop, self.log, self._redactor, self._on_line if self._patterns else None)
        self._output.add(place.spawner.take_printed())
        self._began_s = self._loop.time()
        return await place.spawner.start(order, write_end)

    def _read_patterns(self) -> None:
        """Raises CannotStart."""
        if self._run.metrics:
            try:
                self._patterns = PatternReader(self._run.metrics, self._run.objective, self._run.resource)
            except ValueError as error:
                raise CannotStart(str(error)) from error

    async def _settle_in(self) -> None:
        """A disk that is full is no fault of the program's: the attempt waits for room, and says so."""
        told = False
        while self._asked is None:
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                (self._folder / "config.json").write_text(json.dumps(to_plain(self._start.config)))
                break
            except OSError as error:
                if not told:
                    text = f"waits to begin, for its folder cannot be written: {error.strerror} ({self._folder})"
                    notices = (self._redactor.text(text),)
                    message = partial(Reports, attempt=self._start.attempt, reports=(), notices=notices)
                    self._around.outbox.append(message)
                    self._around.wake()
                    told = True
            await asyncio.sleep(_DISK_RETRY_S)
        self._around.server.register(self._start.attempt, self)

    def _order(self, place: Place) -> dict[str, Any]:
        """What the spawner is told. Raises CannotStart."""
        own = attempt_environment(
            self._start,
            folder=self._folder,
            socket=self._around.server.path,
            key=self.key,
            machine_has_gpus=self._around.machine_has_gpus,
        )
        if place.first:
            self._stream.notice(f"every trial of {self._run.call} imports it anew, which takes time: {place.fresh}")
        return order_for(self._start, place, own, self._around.folder.sdk)

    def on_reports(self, levels: list[Level], size_bytes: int) -> None:
        elapsed_s = round(max(0.0, self._loop.time() - self._began_s), 6)
        self._stream.add([Report(level, metrics, elapsed_s) for level, metrics in levels], size_bytes)

    def on_notice(self, text: str) -> None:
        self._stream.notice(text)

    def on_outcome(self, outcome: dict[str, str]) -> None:
        self._outcome = outcome

    def _on_line(self, text: str) -> None:
        if self._patterns is not None:
            self._on_found([self._patterns.line(text)], len(text))

    def _on_found(self, found: Iterable[Found], size_bytes: int) -> None:
        levels = []
        for one in found:
            for notice in one.notices:
                self._stream.notice(notice)
            if one.report is not None:
                levels.append(one.report)
        if levels:
            self.on_reports(levels, size_bytes)

    def pause_reading(self) -> None:
        if self._output is not None and self._patterns is not None:
            self._output.pause()

    def resume_reading(self) -> None:
        if self._output is not None:
            self._output.resume()

    def read_metrics_file(self, *, last: bool = False) -> None:
        """Takes what was appended since the last time, at most one mebibyte of it unless it is the ``last``."""
        try:
            with open(self._folder / "metrics.jsonl", "rb") as file:
                file.seek(self._metrics_offset)
                while data := file.read(_METRICS_READ_BYTES):
                    self._metrics_offset += len(data)
                    self._on_found(self._metrics.feed(data), len(data))
                    self._check_metrics_line()
                    if not last:
                        break
        except OSError:
            return  # it is not there yet, and for most trials never will be
        if last:
            self._on_found(self._metrics.feed(b"", last=True), 0)

    def _check_metrics_line(self) -> None:
        if self._metrics.waiting_bytes > _METRICS_READ_BYTES:
            self._metrics = JsonLineReader(self._run.resource)
            self._stream.notice("a line of more than 1 MiB in CLUSTERTUNE_METRICS is left out")

    async def _drain(self) -> None:
        """Everything that the processes said before they ended, from wherever it still is."""
        await self._around.server.drain(self._start.attempt, _PATIENCE_S)
        if self._output is not None:
            await self._output.drain(_PATIENCE_S)
        self.read_metrics_file(last=True)
        self.log.close()
        if self.log.problem:
            self._stream.notice(self.log.problem)

    def _tail(self) -> str:
        """At most TAIL_BYTES, also where what replaces bytes that are not UTF-8 is longer than they are."""
        text = self.log.tail.decode(errors="replace")
        return text.encode()[-TAIL_BYTES:].decode(errors="ignore")

    def _tell_end(self, conclusion: Conclusion, exit_: Exit) -> int:
        self.over = True
        notices = self._stream.close()
        ending = Ending(
            reason=conclusion.reason,
            exit_code=exit_.code,
            signal=exit_.signal,
            error=self._redactor.text(conclusion.error),
            traceback=self._redactor.text(conclusion.traceback),
            log_bytes=self.log.size,
            log_tail=self._tail(),
            elapsed_s=round(self._loop.time() - self._began_s, 6),
            notices=notices,
        )
        number = self._around.outbox.append(partial(Ended, attempt=self._start.attempt, ending=ending))
        self._around.wake()
        return number

    def remove_folder(self) -> None:
        """To be called once the coordinator has the Ended."""
        with suppress(OSError):
            shutil.rmtree(self._folder)
