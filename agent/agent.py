"""The agent: takes what the coordinator asks and hands it to the parts that do it."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from clustertune.agent.attempt_folders import AttemptFolders
from clustertune.agent.ending import Asked
from clustertune.agent.enrolment import Enrolment
from clustertune.agent.fetching import Fetcher
from clustertune.agent.folder import Folder
from clustertune.agent.inventory import take_inventory
from clustertune.agent.leftovers import Records
from clustertune.agent.link import Link, Orphaned
from clustertune.agent.logs import Logs
from clustertune.agent.nursery import Nursery
from clustertune.agent.outbox import Outbox
from clustertune.agent.own_log import start_anew
from clustertune.agent.provenance import Describer
from clustertune.agent.reach import Reach
from clustertune.agent.report_server import ReportServer
from clustertune.agent.saving import announce, saving_paths
from clustertune.agent.shelf import Kept, Shelf
from clustertune.agent.surroundings import Surroundings
from clustertune.agent.transfer import Uploads
from clustertune.agent.wire import Wire
from clustertune.model.errors import Fenced
from clustertune.model.messages import (
    PROTOCOL,
    Ack,
    Discard,
    Ended,
    Forget,
    Go,
    Held,
    Hello,
    Leave,
    LogRequest,
    Message,
    Numbered,
    Save,
    Start,
    Stop,
    Store,
)
from clustertune.model.trial import Ending, EndReason, split_attempt_id
from clustertune.model.version import VERSION

if TYPE_CHECKING:
    from clustertune.agent.attempt import Attempt

_METRICS_POLL_S = 0.1
_IDLE_POLL_S = 0.5
_KEEP_GOING_S = 1.0
_TIDY_S = 15.0
_UNSENT_HIGH_BYTES = 24 * 1024 * 1024
"""About 200,000 reports. Beyond, trials' reports are not read: they wait in their sockets, then in the trials."""

_UNSENT_LOW_BYTES = _UNSENT_HIGH_BYTES // 2
_LAST_WORDS_S = 2.0
_SAVE_S = 10.0
_LAST_UPLOADS_S = 10.0
"""Where the machine is taken away: some give half a minute between their notice and the end."""

_log = logging.getLogger(__name__)


class ExitCode(IntEnum):
    """Why the agent ended."""

    LEFT = 0
    MISTAKE = 2
    REFUSED = 3
    ORPHANED = 4


class Agent:
    """One epoch of one instance."""

    def __init__(self, enrolment: Enrolment, folder: Folder, records: Records, reach: Reach) -> None:
        """Goes on with what an agent of the same epoch left unsent. Raises OSError where the folder cannot be used."""
        self._enrolment, self._folder = enrolment, folder
        self._inventory = take_inventory(enrolment.slots)
        self._welcomed = asyncio.Event()
        self._interrupted = folder.interrupted(enrolment.epoch)
        self._shelf = Shelf(folder.checkpoints, enrolment.epoch)
        paths = [(name, saving_paths(folder.attempt(name))[0]) for name in self._interrupted]
        self._left_saved = self._shelf.settle(paths)
        folder.forget_other_epochs(enrolment.epoch)
        self._folders = AttemptFolders(folder.emptied, self._shelf.throw_away)
        self._outbox = Outbox(folder.outbox(enrolment.epoch))
        self._server = ReportServer(folder.socket(), asyncio.get_running_loop())
        self._nursery = Nursery(folder.root, folder.sdk, records)
        self._link = Link(
            reach,
            orphan_after_s=enrolment.orphan_after_s,
            ping_s=enrolment.ping_s,
            outbox=self._outbox,
            hello=self._hello,
            on_welcome=self._on_welcome,
            on_message=self._on_message,
            on_progress=self._on_progress,
        )
        wire = Wire(enrolment, reach)
        self._uploads = Uploads(wire, self._shelf, self._outbox, self._on_outbox)
        self._fetcher = Fetcher(wire, self._shelf)
        self._describer = Describer(self._inventory, self._tell)
        self._around = Surroundings(
            folder=folder,
            folders=self._folders,
            outbox=self._outbox,
            nursery=self._nursery,
            server=self._server,
            shelf=self._shelf,
            fetcher=self._fetcher,
            describer=self._describer,
            wake=self._on_outbox,
            machine_has_gpus=bool(self._inventory.gpus),
        )
        self._running: dict[str, tuple[Attempt, asyncio.Task[None]]] = {}
        self._begun: dict[tuple[str, int], int] = {}
        """Of each trial the highest attempt that was begun here: a start may come again, however late."""
        for name in self._interrupted:
            self._begin(name)
        self._logs = Logs(folder)
        self._ended: deque[tuple[int, Attempt]] = deque()  # with the number of their Ended, until it is acknowledged
        self._paused = False
        self._leaving = asyncio.Event()
        self._saves = False

    def leave(self, *, saving: bool = False) -> None:
        """Ends all trials, tells so, and lets ``run`` return. ``saving``: those that can are first asked to save."""
        self._saves = self._saves or saving
        self._leaving.set()

    async def run(self) -> ExitCode:
        """Until the coordinator or a signal says to leave, refuses this agent, or is gone for too long."""
        link = asyncio.ensure_future(self._link.run())
        chores = asyncio.ensure_future(self._do_chores())
        leaving = asyncio.ensure_future(self._leaving.wait())
        interrupted = asyncio.ensure_future(self._tell_interrupted())
        try:
            await asyncio.wait([link, chores, leaving], return_when=asyncio.FIRST_COMPLETED)
            await self._end_trials()
            if not link.done():
                await self._say_last_words()
        finally:
            for task in (link, chores, leaving, interrupted):
                task.cancel()
            results = await asyncio.gather(link, chores, return_exceptions=True)
            await self._close()
        return _exit_code(results)

    async def _end_trials(self) -> None:
        for attempt, _ in self._running.values():
            attempt.stop(Asked.PAUSE if self._saves and attempt.can_save else Asked.STOP)
        tasks = [task for _, task in self._running.values()]
        if tasks and self._saves:
            await asyncio.wait(tasks, timeout=_SAVE_S)
        for attempt, _ in self._running.values():
            attempt.end_now()
        if tasks:
            await asyncio.wait(tasks)

    async def _say_last_words(self) -> None:
        """Gives the coordinator a little time to acknowledge how the trials ended, and to take what they saved."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + _LAST_WORDS_S
        uploads_until_s = deadline_s + (_LAST_UPLOADS_S if self._saves else 0.0)
        while self._link.up and loop.time() < (uploads_until_s if self._uploads.busy else deadline_s):
            if self._outbox.settled and not (self._saves and self._shelf.awaited):
                break
            await asyncio.sleep(0.01)

    async def _close(self) -> None:
        await self._nursery.close()
        self._server.close()
        self._uploads.close()
        self._fetcher.close()
        self._describer.close()
        self._shelf.close()
        self._outbox.close()
        self._folder.remove_attempts()
        self._folders.close()

    async def _do_chores(self) -> None:
        tidied_s = kept_going_s = 0.0
        while True:
            await asyncio.sleep(_METRICS_POLL_S if self._running else _IDLE_POLL_S)
            for attempt, _ in list(self._running.values()):
                attempt.look_for_checkpoints()
                if not self._paused:
                    attempt.ears.read_metrics_file()
            now_s = asyncio.get_running_loop().time()
            if now_s > kept_going_s + _KEEP_GOING_S:
                kept_going_s = now_s
                self._nursery.keep_going()
            if now_s > tidied_s + _TIDY_S:
                tidied_s = now_s
                self._nursery.close_idle()
                if sys.stderr is not None:
                    start_anew(sys.stderr.fileno())

    def _hello(self) -> Hello:
        # What the first trial needs is loaded while the answer is on its way: agents start the sooner.
        asyncio.get_running_loop().call_soon(import_module, "clustertune.agent.attempt")
        return Hello(
            protocol=PROTOCOL,
            version=VERSION,
            instance=self._enrolment.instance,
            epoch=self._enrolment.epoch,
            token=self._enrolment.token,
            inventory=self._inventory,
            attempts=tuple(self._running),
        )

    async def _tell_interrupted(self) -> None:
        """What an earlier agent of this epoch was running when it died; its numbers are known from the welcome on."""
        await self._welcomed.wait()
        for attempt in self._interrupted:
            for kept in self._left_saved:
                if kept.attempt == attempt:
                    await self._announce(kept)
            ending = Ending(EndReason.LOST, error="the agent that ran it was killed")
            self._outbox.append(partial(Ended, attempt=attempt, ending=ending))
            self._on_outbox()

    def _on_welcome(self) -> None:
        if held := self._shelf.held():
            self._outbox.append(partial(Held, digests=held))
        self._welcomed.set()

    async def _announce(self, kept: Kept) -> None:
        await announce(kept, self._shelf, self._outbox, self._on_outbox, _log.warning, wanted=True)

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Ack):
            self._acknowledge(message.through)
        elif isinstance(message, Start):
            self._start(message)
        elif isinstance(message, Stop):
            self._stop(message)
        elif isinstance(message, (Go, Save)):
            self._steer(message)
        elif isinstance(message, Store):
            self._uploads.store(message.attempt, message.digest)
        elif isinstance(message, Discard):
            self._uploads.discard(message.attempt, message.digests)
            self._shelf.discard(message.attempt, message.digests)
        elif isinstance(message, LogRequest):
            self._link.send_chunk(self._logs.chunk(message, running=message.attempt in self._running))
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
        if self._leaving.is_set() or not self._begin(start.attempt):
            return
        for name in start.run.secrets:
            os.environ.pop(name, None)  # trials of other experiments, which do not name it, shall not inherit it
        from clustertune.agent.attempt import Attempt

        attempt = Attempt(start, self._around)
        self._logs.open(start.attempt, attempt.log)
        self._running[start.attempt] = attempt, asyncio.ensure_future(self._live(start.attempt, attempt))
        if self._paused:
            attempt.ears.pause_reading()

    async def _live(self, name: str, attempt: Attempt) -> None:
        number = await attempt.run()
        self._ended.append((number, attempt))
        del self._running[name]
        self._logs.close(name)

    def _begin(self, attempt: str) -> bool:
        """False for one that was begun before, or after which another was."""
        experiment, trial, number = split_attempt_id(attempt)
        if number <= self._begun.get((experiment, trial), 0):
            return False
        self._begun[experiment, trial] = number
        return True

    def _stop(self, stop: Stop) -> None:
        if stop.attempt in self._running:
            asked = Asked.PAUSE if stop.reason == Asked.PAUSE.value else Asked.STOP
            self._running[stop.attempt][0].stop(asked)

    def _steer(self, message: Go | Save) -> None:
        if message.attempt not in self._running:
            return
        attempt = self._running[message.attempt][0]
        if isinstance(message, Go):
            attempt.go(message.target)
        else:
            attempt.save()

    def _forget(self, attempts: tuple[str, ...]) -> None:
        for name in attempts:
            if name not in self._running:
                self._logs.remove(name)

    def _tell(self, build: Callable[[int], Numbered]) -> None:
        self._outbox.append(build)
        self._on_outbox()

    def _on_outbox(self) -> None:
        """There is more to send; beyond a bound, trials have to wait."""
        self._link.wake()
        if not self._paused and self._outbox.unsent_bytes > _UNSENT_HIGH_BYTES:
            self._paused = True
            _log.warning("%d bytes of reports are not sent yet: trials wait", self._outbox.unsent_bytes)
            self._server.pause()
            for attempt, _ in self._running.values():
                attempt.ears.pause_reading()

    def _on_progress(self) -> None:
        if self._paused and self._outbox.unsent_bytes < _UNSENT_LOW_BYTES:
            self._paused = False
            self._server.resume()
            for attempt, _ in self._running.values():
                attempt.ears.resume_reading()


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
