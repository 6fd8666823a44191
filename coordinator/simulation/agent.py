"""A simulated agent: does what the core commands, takes the time that the task says, and tells what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.commands import AskForCheckpoint, LetGoOn, StartAttempt, StopAttempt, StoreCheckpoint
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.task import Crashed, Infeasible, Step, Task
from clustertune.coordinator.simulation.timeline import Timeline
from clustertune.model.checkpoint import SavedKind
from clustertune.model.trial import AttemptId, Ending, EndReason, Report

_REASONS = {"stopped": EndReason.STOPPED, "paused": EndReason.PAUSED}


@dataclass(slots=True, eq=False)
class _Running:
    """An attempt. ``plan`` is the one thing that will happen to it next; any other plan for it is void."""

    command: StartAttempt
    curve: Iterator[Step]
    began: float
    saved: float
    target: int | None
    level: int = 0
    plan: int = 0
    step: Step = (0, 0.0, {})
    waits: bool = False
    reason: EndReason | None = None
    error: str = ""


class Agent:
    """One epoch of one machine. ``tell`` hands an event to the core and carries out what comes of it."""

    def __init__(
        self,
        instance: str,
        epoch: int,
        *,
        machine: Machine,
        conditions: Conditions,
        task: Task,
        timeline: Timeline,
        tell: Callable[[e.Happening], None],
    ) -> None:
        self.instance, self.epoch = instance, epoch
        self.attempts: dict[AttemptId, _Running] = {}
        self._speed, self._conditions, self._task = machine.speed, conditions, task
        self._timeline, self._tell = timeline, tell
        self._gone = False

    def vanish(self) -> None:
        """Nothing that it was about to do happens."""
        for attempt in self.attempts.values():
            attempt.plan = 0
        self.attempts, self._gone = {}, True

    # What the core commands

    def start(self, command: StartAttempt) -> None:
        if command.attempt in self.attempts:
            return
        now = self._timeline.now
        curve = self._task.curve(command.config, command.seed)
        attempt = _Running(command, curve, now, now, command.target)
        self.attempts[command.attempt] = attempt
        attempt.plan = self._timeline.at(now + self._conditions.trial_start_s, self._begin, attempt)

    def stop(self, command: StopAttempt) -> None:
        attempt = self.attempts.get(command.attempt)
        if attempt is not None and attempt.reason is None:
            saving = command.reason == "paused" and attempt.level > 0
            self._end(attempt, _REASONS[command.reason], self._conditions.save_s if saving else self._conditions.stop_s)

    def let_go_on(self, command: LetGoOn) -> None:
        attempt = self.attempts.get(command.attempt)
        if attempt is None:
            return
        attempt.target = command.target
        if attempt.waits and attempt.reason is None:
            attempt.waits = False
            self._go_on(attempt)

    def save(self, command: AskForCheckpoint) -> None:
        """The program saves at once, and goes on."""
        attempt = self.attempts.get(command.attempt)
        if attempt is not None and attempt.level > 0:
            self._timeline.after(0.0, self._saved, attempt)

    def store(self, command: StoreCheckpoint) -> None:
        self._timeline.after(self._conditions.store_s, self._stored, command)

    # What happens

    def _begin(self, attempt: _Running) -> None:
        if attempt.plan != self._timeline.plan:
            return
        attempt.began = attempt.saved = self._timeline.now
        self._tell(e.AttemptRan(instance=self.instance, epoch=self.epoch, attempt=attempt.command.attempt))
        if attempt.reason is not None:
            return
        if (origin := attempt.command.checkpoint) is not None:
            attempt.level = origin.resource
            attempt.curve = (step for step in attempt.curve if step[0] > origin.resource)
        self._go_on(attempt)

    def _go_on(self, attempt: _Running) -> None:
        try:
            attempt.step = step = next(attempt.curve)
        except StopIteration:
            self._end(attempt, EndReason.RETURNED, 0.0)
        except Crashed as error:
            attempt.error = str(error) or "the simulated program failed"
            self._end(attempt, EndReason.RAISED, 0.0)
        except Infeasible as error:
            attempt.error = str(error)
            self._end(attempt, EndReason.INFEASIBLE, 0.0)
        else:
            attempt.plan = self._timeline.at(self._timeline.now + step[1] / self._speed, self._report, attempt)

    def _report(self, attempt: _Running) -> None:
        timeline = self._timeline
        if attempt.plan != timeline.plan:
            return
        level, _, metrics = attempt.step
        attempt.level = level
        report = Report(level, metrics, timeline.now - attempt.began)
        self._tell(
            e.Reported(instance=self.instance, epoch=self.epoch, attempt=attempt.command.attempt, reports=(report,))
        )
        if attempt.reason is not None:
            return
        run = attempt.command.run
        if run.checkpoints.expected:
            self._save_now_and_then(attempt, run.checkpoints.every_s)
        if run.pauses and attempt.target is not None and level >= attempt.target:
            attempt.waits = True
        else:
            self._go_on(attempt)

    def _end(self, attempt: _Running, reason: EndReason, delay_s: float) -> None:
        attempt.reason = reason
        attempt.plan = self._timeline.at(self._timeline.now + delay_s, self._over, attempt)

    def _over(self, attempt: _Running) -> None:
        if attempt.plan != self._timeline.plan:
            return
        if attempt.reason is EndReason.PAUSED and attempt.level > 0:
            self._saved(attempt)
        del self.attempts[attempt.command.attempt]
        reason = attempt.reason or EndReason.RETURNED
        ending = Ending(reason, error=attempt.error, elapsed_s=self._timeline.now - attempt.began)
        self._tell(
            e.AttemptOver(instance=self.instance, epoch=self.epoch, attempt=attempt.command.attempt, ending=ending)
        )

    def _save_now_and_then(self, attempt: _Running, every_s: float | None) -> None:
        if every_s is not None and self._timeline.now - attempt.saved >= every_s:
            self._saved(attempt)

    def _saved(self, attempt: _Running) -> None:
        name = attempt.command.attempt
        if name not in self.attempts:
            return
        attempt.saved = self._timeline.now
        self._tell(
            e.CheckpointSaved(
                instance=self.instance,
                epoch=self.epoch,
                attempt=name,
                kind=SavedKind.CHECKPOINT,
                resource=attempt.level,
                digest=f"{name}@{attempt.level}",
                size_bytes=1,
                wanted=True,
            )
        )

    def _stored(self, command: StoreCheckpoint) -> None:
        if not self._gone:
            self._tell(e.CheckpointStored(attempt=command.attempt, digest=command.digest))
