"""The agent: takes what the coordinator asks and hands it to the parts that do it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from enum import IntEnum
from functools import partial

from clustertune.agent.attempt import Attempt, Surroundings
from clustertune.agent.ending import Asked
from clustertune.agent.enrolment import Enrolment
from clustertune.agent.folder import Folder
from clustertune.agent.inventory import take_inventory
from clustertune.agent.leftovers import Records
from clustertune.agent.link import Link, Orphaned
from clustertune.agent.log_file import LogFile, whole_characters
from clustertune.agent.nursery import Nursery
from clustertune.agent.outbox import Outbox
from clustertune.agent.report_server import ReportServer
from clustertune.model.errors import Fenced
from clustertune.model.messages import (
    MAX_LOG_CHUNK_BYTES,
    PROTOCOL,
    Ack,
    Ended,
    Forget,
    Hello,
    Leave,
    LogChunk,
    LogRequest,
    Message,
    Start,
    Stop,
)
from clustertune.model.trial import Ending, EndReason
from clustertune.model.version import VERSION

_METRICS_POLL_S = 0.1
_IDLE_POLL_S = 0.5
_TIDY_S = 15.0
_UNSENT_HIGH_BYTES = 24 * 1024 * 1024
"""About 200,000 reports. Beyond, trials' reports are not read: they wait in their sockets, then in the trials."""

_UNSENT_LOW_BYTES = _UNSENT_HIGH_BYTES // 2
_LAST_WORDS_S = 2.0

_log = logging.getLogger(__name__)


class ExitCode(IntEnum):
    """Why the agent ended."""

    LEFT = 0
    MISTAKE = 2
    REFUSED = 3
    ORPHANED = 4


class Agent:
    """One epoch of one instance."""

    def __init__(self, enrolment: Enrolment, folder: Folder, records: Records) -> None:
        """Goes on with what an agent of the same epoch left unsent. Raises OSError where the folder cannot be used."""
        self._enrolment, self._folder = enrolment, folder
        self._inventory = take_inventory(enrolment.slots)
        self._interrupted = folder.interrupted(enrolment.epoch)
        folder.forget_other_epochs(enrolment.epoch)
        self._outbox = Outbox(folder.outbox(enrolment.epoch))
        self._server = ReportServer(folder.socket(), asyncio.get_running_loop())
        self._nursery = Nursery(folder.root, folder.sdk, records)
        self._link = Link(
            enrolment.socket,
            orphan_after_s=enrolment.orphan_after_s,
            outbox=self._outbox,
            hello=self._hello,
            on_welcome=self._tell_interrupted,
            on_message=self._on_message,
            on_progress=self._on_progress,
        )
        self._around = Surroundings(
            folder, self._outbox, self._nursery, self._server, self._on_outbox, bool(self._inventory.gpus)
        )
        self._running: dict[str, tuple[Attempt, asyncio.Task[None]]] = {}
        self._known = set(self._interrupted)
        self._logs: dict[str, LogFile] = {}  # of those that run, and of those that left something out
        self._ended: deque[tuple[int, Attempt]] = deque()  # with the number of their Ended, until it is acknowledged
        self._paused = False
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Ends all trials, tells so, and lets ``run`` return."""
        self._leaving.set()

    async def run(self) -> ExitCode:
        """Until the coordinator or a signal says to leave, refuses this agent, or is gone for too long."""
        link = asyncio.ensure_future(self._link.run())
        chores = asyncio.ensure_future(self._do_chores())
        leaving = asyncio.ensure_future(self._leaving.wait())
        try:
            await asyncio.wait([link, chores, leaving], return_when=asyncio.FIRST_COMPLETED)
            await self._end_trials()
            if not link.done():
                await self._say_last_words()
        finally:
            for task in (link, chores, leaving):
                task.cancel()
            results = await asyncio.gather(link, chores, return_exceptions=True)
            await self._close()
        return _exit_code(results)

    async def _end_trials(self) -> None:
        for attempt, _ in self._running.values():
            attempt.stop(Asked.STOP)
        tasks = [task for _, task in self._running.values()]
        if tasks:
            await asyncio.wait(tasks)

    async def _say_last_words(self) -> None:
        """Gives the coordinator a little time to acknowledge how the trials ended."""
        deadline = asyncio.get_running_loop().time() + _LAST_WORDS_S
        while self._link.up and not self._outbox.settled and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

    async def _close(self) -> None:
        await self._nursery.close()
        self._server.close()
        self._outbox.close()
        self._folder.remove_attempts()

    async def _do_chores(self) -> None:
        tidied_s = 0.0
        while True:
            await asyncio.sleep(_METRICS_POLL_S if self._running else _IDLE_POLL_S)
            if not self._paused:
                for attempt, _ in list(self._running.values()):
                    attempt.read_metrics_file()
            if (now_s := asyncio.get_running_loop().time()) > tidied_s + _TIDY_S:
                tidied_s = now_s
                self._nursery.close_idle()

    def _hello(self) -> Hello:
        return Hello(
            protocol=PROTOCOL,
            version=VERSION,
            instance=self._enrolment.instance,
            epoch=self._enrolment.epoch,
            token=self._enrolment.token,
            inventory=self._inventory,
            attempts=tuple(self._running),
        )

    def _tell_interrupted(self) -> None:
        """What an earlier agent of this epoch was running when it died; its numbers are known from the welcome on."""
        for attempt in self._interrupted:
            ending = Ending(EndReason.LOST, error="the agent that ran it was killed")
            self._outbox.append(partial(Ended, attempt=attempt, ending=ending))
        self._interrupted = []

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Ack):
            self._acknowledge(message.through)
        elif isinstance(message, Start):
            self._start(message)
        elif isinstance(message, Stop):
            self._stop(message)
        elif isinstance(message, LogRequest):
            self._link.send_chunk(self._log_chunk(message))
        elif isinstance(message, Forget):
            self._forget(message.attempts)
        elif isinstance(message, Leave):
            _log.info("leaving: %s", message.message)
            self.leave()

    def _acknowledge(self, through: int) -> None:
        self._outbox.acknowledge(through)
        while self._ended and self._ended[0][0] <= through:
            self._ended.popleft()[1].remove_folder()

    def _start(self, start: Start) -> None:
        if start.attempt in self._known or self._leaving.is_set():
            return
        self._known.add(start.attempt)
        attempt = Attempt(start, self._around)
        self._logs[start.attempt] = attempt.log
        self._running[start.attempt] = attempt, asyncio.ensure_future(self._live(start.attempt, attempt))
        if self._paused:
            attempt.pause_reading()

    async def _live(self, name: str, attempt: Attempt) -> None:
        number = await attempt.run()
        self._ended.append((number, attempt))
        del self._running[name]
        if not attempt.log.left_out_bytes:
            self._logs.pop(name, None)

    def _stop(self, stop: Stop) -> None:
        if stop.attempt in self._running:
            asked = Asked.PAUSE if stop.reason == Asked.PAUSE.value else Asked.STOP
            self._running[stop.attempt][0].stop(asked)

    def _log_chunk(self, request: LogRequest) -> LogChunk:
        name = request.attempt
        log = self._logs.get(name) or LogFile(self._folder.log(name))
        running = name in self._running
        try:
            offset, data = log.read(request.offset, max(1, min(request.limit, MAX_LOG_CHUNK_BYTES)))
        except OSError as error:
            text = f"[clustertune: the log cannot be read: {error.strerror}]\n"
            return LogChunk(request.request, log.size, log.size, log.size, text, True)
        data = whole_characters(data, more=running or offset + len(data) < log.size)
        after = offset + len(data)
        end = not running and after >= log.size
        return LogChunk(request.request, offset, after, log.size, data.decode(errors="replace"), end)

    def _forget(self, attempts: tuple[str, ...]) -> None:
        for name in attempts:
            if name not in self._running:
                self._known.discard(name)
                log = self._logs.pop(name, None) or LogFile(self._folder.log(name))
                log.remove()

    def _on_outbox(self) -> None:
        """There is more to send; beyond a bound, trials have to wait."""
        self._link.wake()
        if not self._paused and self._outbox.unsent_bytes > _UNSENT_HIGH_BYTES:
            self._paused = True
            _log.warning("%d bytes of reports are not sent yet: trials wait", self._outbox.unsent_bytes)
            self._server.pause()
            for attempt, _ in self._running.values():
                attempt.pause_reading()

    def _on_progress(self) -> None:
        if self._paused and self._outbox.unsent_bytes < _UNSENT_LOW_BYTES:
            self._paused = False
            self._server.resume()
            for attempt, _ in self._running.values():
                attempt.resume_reading()


def _exit_code(results: Iterable[object]) -> ExitCode:
    """Raises what neither part should ever have ended of: our bug."""
    for result in results:
        if isinstance(result, Fenced):
            _log.error("%s", result)
            return ExitCode.REFUSED
        if isinstance(result, Orphaned):
            _log.error("%s", result)
            return ExitCode.ORPHANED
        if isinstance(result, Exception):
            raise result
    return ExitCode.LEFT
