"""One attempt's life on this machine: started, heard, ended, and told about once it is wholly over."""

from __future__ import annotations

import asyncio
import signal
import traceback
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from clustertune.agent.beginning import Beginning
from clustertune.agent.cgroup import Cgroup
from clustertune.agent.ears import Ears
from clustertune.agent.enclosure import Enclosure
from clustertune.agent.ending import Asked, Conclusion, Seen, conclude
from clustertune.agent.fetching import NoCheckpoint
from clustertune.agent.log_file import TAIL_BYTES, LogFile
from clustertune.agent.nursery import Place
from clustertune.agent.redaction import Redactor
from clustertune.agent.report_stream import ReportStream
from clustertune.agent.saving import Saving, checkpoint_path
from clustertune.agent.spawner_link import CannotStart, Child, Exit, SpawnerLost
from clustertune.agent.surroundings import Surroundings
from clustertune.model.messages import Ended, Start, Started
from clustertune.model.trial import Ending, EndReason

_PATIENCE_S = 1.0
"""How long to wait for sockets that something beyond our reach still holds open."""

T = TypeVar("T")


class Attempt:
    """Runs one Start. Everything it learns goes to the outbox; ``run`` returns the number of its Ended."""

    def __init__(self, start: Start, around: Surroundings) -> None:
        self._start, self._run, self._around = start, start.run, around
        self._loop = asyncio.get_running_loop()
        self._redactor = Redactor(start.run.secrets.values())
        self._folder = around.folder.attempt(start.attempt)
        self.log = LogFile(around.folder.log(start.attempt), fresh=True)
        self._stream = ReportStream(start.attempt, around.outbox, self._redactor, around.wake)
        self._asked: Asked | None = None
        self._child: Child | None = None
        self._enclosure = Enclosure(Cgroup(), 0)
        self._trial = start.attempt.rpartition(":")[0]
        self._alone = self._trial if self._trial in around.nursery.suspects else ""
        self._ending = self._brought = False
        self._placing: asyncio.Future[Any] | None = None  # what it waits for before it begins
        self._saving = Saving(
            start, self._folder, around.shelf, around.outbox, self._stream.flush, self._stream.notice
        )  # reports go before the checkpoint that was saved after them
        self.ears = Ears(
            start, self._folder, self.log, self._redactor, self._stream, self._saving, around.outbox, around.wake
        )
        self._beginning = Beginning(start, around, self._redactor, self._stream, self.ears.key)
        self._timers: list[asyncio.TimerHandle] = []
        self.over = False

    def stop(self, asked: Asked) -> None:
        """SIGTERM now and SIGKILL after the grace; the first to ask is the reason.

        To pause, a program that can is first asked to save and exit; a stop that comes meanwhile ends it at once.
        """
        if self.over or (self._child is not None and self._child.exited.done()):
            return
        if self._asked is None:
            self._asked = asked
            self._begin_to_end()
        elif self._asked is Asked.PAUSE and asked is Asked.STOP:
            self._asked = asked
            self.end_now()
        self.ears.decisions.end((Asked.PAUSE if self._asked is Asked.PAUSE else Asked.STOP).value)

    def _begin_to_end(self) -> None:
        if self._placing is not None:
            self._placing.cancel()
        if self._child is None:
            return
        if self._asked is Asked.PAUSE and self.can_save:
            self._saving.want_exit()
            self._timers.append(self._loop.call_later(self._run.checkpoints.save_s, self.end_now))
        else:
            self.end_now()

    def end_now(self) -> None:
        """What was asked of it does not wait any longer for the program to save."""
        if self._child is not None and not self._ending:
            self._end_child(self._child)

    @property
    def can_save(self) -> bool:
        return self._saving.can_save

    def save(self) -> None:
        """Asks for a checkpoint; the program goes on."""
        if self._asked is None:
            self._saving.want()

    def go(self, target: int | None) -> None:
        """The report at the target was decided upon."""
        self.ears.decisions.go(target)

    def _end_child(self, child: Child) -> None:
        self._ending = True
        child.signal(signal.SIGTERM)
        self._timers.append(self._loop.call_later(self._run.grace_s, child.signal, signal.SIGKILL))

    async def run(self) -> int:
        """Never raises but for cancellation: whatever goes wrong is how the attempt ended."""
        try:
            conclusion, exit_ = await self._live()
        except Exception as error:  # noqa: BLE001 - the task's boundary: our own fault becomes this attempt's ending
            conclusion = Conclusion(EndReason.LOST, f"the agent failed: {error!r}", traceback.format_exc())
            exit_ = Exit()
        elapsed_s = self._loop.time() - self.ears.began_s
        await self._finish_saving(conclusion)
        return self._tell_end(conclusion, exit_, elapsed_s)

    async def _finish_saving(self, conclusion: Conclusion) -> None:
        try:
            await self._saving.finish(max(1, self.ears.last_level), wanted=conclusion.reason is EndReason.PAUSED)
        except Exception as error:  # noqa: BLE001 - the task's boundary: the end must be told all the same
            self._stream.notice(f"what was saved last is lost: {error!r}")

    async def _live(self) -> tuple[Conclusion, Exit]:
        if self._run.trial_time_s is not None:
            self._timers.append(self._loop.call_later(self._run.trial_time_s, self.stop, Asked.TIME))
        exit_: Exit | None = None
        try:
            exit_ = await self._run_child()
        except CannotStart as error:
            return Conclusion(EndReason.UNSTARTABLE, error.error, error.traceback), Exit()
        except SpawnerLost as error:
            # It may have been this very trial that ended it, before anyone heard that the trial had begun.
            self._suspect()
            unseen = Seen(Exit(lost=str(error)), alone=bool(self._alone))
            return conclude(unseen, self._asked, self._run.trial_time_s), Exit()
        except NoCheckpoint as error:
            return Conclusion(EndReason.NO_CHECKPOINT, str(error)), Exit()
        finally:
            for timer in self._timers:
                timer.cancel()
            await self._around.server.drain(self._start.attempt, _PATIENCE_S)
            await self.ears.drain(whole=self._asked is None and exit_ is not None and exit_.code == 0)
        if exit_ is None and self._asked is Asked.TIME:
            return Conclusion(EndReason.TIMEOUT, self._why_not_begun()), Exit()
        exit_ = exit_ or Exit()
        if exit_.survivors:
            self._stream.notice(f"{exit_.survivors} processes of this trial could not be killed")
        return self._explain(conclude(self._see(exit_), self._asked, self._run.trial_time_s)), exit_

    def _see(self, exit_: Exit) -> Seen:
        saves = self._asked is Asked.PAUSE and self._child is not None and not self._ending
        if saves:
            self._saving.look(closely=True)
        return Seen(
            exit_, self.ears.said, self._tail(), self._enclosure.complaint(), alone=bool(self._alone),
            saves=saves, saved=self._saving.saved_to_exit,
        )  # fmt: skip

    def _explain(self, conclusion: Conclusion) -> Conclusion:
        """Where the program ended well and no line was a report: what there was instead."""
        why = self.ears.why_nothing()
        if conclusion.reason is not EndReason.RETURNED or not why:
            return conclusion
        error = f"ended without a line that the pattern of {self._run.objective!r} matches: {why}"
        return replace(conclusion, error=error)

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
        self._saving.begin(child.signal_leader)
        if self._asked is not None:
            self._end_child(child)
        self._enclosure.begin(child.pid, partial(child.signal, signal.SIGKILL))
        exit_ = await child.exited
        if exit_.lost:
            self._suspect()
        return replace(exit_, survivors=await self._enclosure.clear() or exit_.survivors)

    def _suspect(self) -> None:
        """What started it ended under it: the next time it is to be alone there."""
        self._around.nursery.suspects.add(self._trial)

    def _why_not_begun(self) -> str:
        what = f"{self._run.call} was still being imported" if self._brought else "its checkpoint was still on its way"
        return f"{what} when trial_time ({self._run.trial_time_s:g} s) was over"

    async def _begin(self) -> Child:
        self.ears.read_patterns()
        await self._beginning.settle_in(lambda: self._asked is None)
        self._around.server.register(self._start.attempt, self.ears)
        await self._bring_checkpoint()
        placing = self._around.nursery.place(self._run, self._start.cpus, self._alone)
        place: Place = await self._unless_asked(placing)
        try:
            return await self._begin_at(place)
        finally:
            place.spawner.release()

    async def _unless_asked(self, waiting: Coroutine[Any, Any, T]) -> T:
        """Raises CancelledError where the attempt is to end before it began."""
        self._placing = asyncio.ensure_future(waiting)
        if self._asked is not None:
            self._placing.cancel()
        found: T = await self._placing
        self._placing = None
        return found

    async def _bring_checkpoint(self) -> None:
        """Raises NoCheckpoint."""
        if self._start.checkpoint is not None:
            await self._unless_asked(self._beginning.bring_checkpoint(self._start.checkpoint))
        self._brought = True

    async def _begin_at(self, place: Place) -> Child:
        order = self._beginning.order(place)
        cgroup = self._around.nursery.cgroups.open(self._run.memory_bytes)
        self._enclosure = Enclosure(cgroup, self._run.memory_bytes)
        order["cgroups"] = cgroup.entrances
        outputs = self.ears.open(place.spawner.take_printed())
        child = await place.spawner.start(order, *outputs)
        files = place.spawner.files if place.spawner.is_warm_parent else None
        self._around.describer.begin(self._start.attempt, self._run, place.interpreter, place.environment, files)
        return child

    def look_for_checkpoints(self) -> None:
        self._saving.look()

    def _tail(self) -> str:
        """At most TAIL_BYTES, also where what replaces bytes that are not UTF-8 is longer than they are."""
        text = self.log.tail.decode(errors="replace")
        return text.encode()[-TAIL_BYTES:].decode(errors="ignore")

    def _tell_end(self, conclusion: Conclusion, exit_: Exit, elapsed_s: float) -> int:
        self.over = True
        if self._start.checkpoint is not None:
            self._around.shelf.throw_away(checkpoint_path(self._folder))
        self._enclosure.remove()
        notices = self._stream.close()
        ending = Ending(
            reason=conclusion.reason,
            exit_code=exit_.code,
            signal=exit_.signal,
            error=self._redactor.text(conclusion.error),
            traceback=self._redactor.text(conclusion.traceback),
            log_bytes=self.log.size,
            log_tail=self._tail(),
            elapsed_s=round(elapsed_s, 6),
            notices=notices,
        )
        number = self._around.outbox.append(partial(Ended, attempt=self._start.attempt, ending=ending))
        self._around.wake()
        return number

    def remove_folder(self) -> None:
        """To be called once the coordinator has the Ended."""
        self._around.folders.remove(self._folder)
