"""Machines: when they are launched, lost and let go, and what that means for what ran on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.checkpoints import Checkpoints
from clustertune.coordinator.core.commands import Launch, LetGoOn, StopAttempt, Terminate
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.experiments import Experiments
from clustertune.coordinator.core.placement import shortage
from clustertune.coordinator.core.slots import Slots
from clustertune.coordinator.core.state import Attempt, Experiment, Instance, Trial
from clustertune.coordinator.core.trials import Trials
from clustertune.model.trial import Ending, EndReason, ExperimentState

LOST_AFTER_S = 120.0
"""An agent unheard of for so long loses its attempts to others, where the core was told nothing else."""

SLEPT_S = 10.0
"""Ticks come every second; a longer gap means that the coordinator itself slept, and counts against nobody."""

LAUNCH_AGAIN_S = (0.5, 2.0, 5.0, 15.0, 60.0)
"""How long to wait after the first, second, … failed launch in a row."""


@dataclass(slots=True)
class _Failing:
    """A machine that did not come up: how often in a row, when it is tried again, and what was said."""

    times: int = 0
    again_at: float = 0.0
    error: str = ""


class Fleet:
    """``token_hash(instance, epoch)`` is called once a launch: the shell makes the token and gives its hash.

    An agent unheard of for ``lost_after_s`` loses its attempts to others.
    """

    def __init__(
        self,
        desk: Desk,
        experiments: Experiments,
        trials: Trials,
        slots: Slots,
        checkpoints: Checkpoints,
        *,
        instances: tuple[str, ...],
        idle_timeout_s: float,
        token_hash: Callable[[str, int], str],
        lost_after_s: float,
    ) -> None:
        self._desk, self._experiments, self._trials, self._slots = desk, experiments, trials, slots
        self._checkpoints = checkpoints
        self._instances = instances
        self._idle_timeout_s = idle_timeout_s
        self._token_hash = token_hash
        self._lost_after_s = lost_after_s
        self.ticked_at: float | None = None
        """The last tick; None before the first."""
        self._idle_since: float | None = None
        self._wanted_until = -math.inf
        self._failing: dict[str, _Failing] = {}

    @property
    def instances(self) -> tuple[str, ...]:
        """The names of the machines that the cluster may have."""
        return self._instances

    @property
    def problems(self) -> Mapping[str, str]:
        """What keeps each machine from coming up, where something does."""
        return {name: failing.error for name, failing in self._failing.items()}

    @property
    def problem(self) -> str:
        """What keeps machines from coming up, while something does; of several the first that was noticed."""
        found = next(iter(self._failing.items()), None)
        if found is None:
            return ""
        others = len(self._failing) - 1
        and_others = f" (and {others} other machine{'s' if others > 1 else ''})" if others else ""
        where = f"{found[0]}: " if len(self._instances) > 1 else ""
        return f"{where}{found[1].error}{and_others}"

    def booted(self, event: e.Booted) -> None:
        running = list(self._desk.state.running())
        if running:
            self._desk.emit(f.Restarted(last=event.last, experiments=tuple(x.name for x in running)))
        for experiment in running:
            experiment.secrets_missing = bool(experiment.secrets)
        for instance in self._desk.state.instances.values():
            instance.away_since = self._desk.now
        self._checkpoints.delete_again()

    def ticked(self, event: e.Ticked) -> None:  # noqa: ARG002 - one shape for all handlers
        slept = self._desk.now - self.ticked_at if self.ticked_at is not None else 0.0
        self.ticked_at = self._desk.now
        for instance in list(self._desk.state.instances.values()):
            if instance.away_since is None:
                continue
            if slept > SLEPT_S:
                instance.away_since += slept
            if self._desk.now - instance.away_since >= self._lost_after_s:
                self._lose(instance, f"unheard of for {self._lost_after_s:g} s")

    def launch_failed(self, event: e.LaunchFailed) -> None:
        instance = self._desk.state.instances.get(event.instance)
        if instance is None or instance.epoch != event.epoch:
            return
        known = self.problems.get(instance.id) == event.error
        self._failed_launch(instance.id, event.error, retry=event.retry)
        self._lose(instance, event.error, known=known)

    def _failed_launch(self, instance: str, error: str, *, retry: bool = True) -> None:
        """A machine that fails is tried later and later, and holds back no other."""
        failing = self._failing.setdefault(instance, _Failing())
        failing.again_at = self._desk.now + LAUNCH_AGAIN_S[failing.times if retry else -1]
        failing.times = min(failing.times + 1, len(LAUNCH_AGAIN_S) - 1)
        failing.error = error

    def agent_connected(self, event: e.AgentConnected) -> None:
        instance = self._desk.state.instances[event.instance]
        instance.connected, instance.away_since = True, None
        if instance.room is None or instance.room.inventory != event.inventory:
            self._desk.emit(f.InstanceReady(instance=event.instance, epoch=event.epoch, inventory=event.inventory))
        self._failing.pop(event.instance, None)
        for name, number in instance.attempts.values():
            experiment = self._desk.state.experiments[name]
            trial = experiment.trials[number]
            if trial.current is not None:
                self._tell_again(experiment, trial, trial.current)
        self._checkpoints.tell_again(instance)
        self.check_demands()

    def _tell_again(self, experiment: Experiment, trial: Trial, attempt: Attempt) -> None:
        # Order matters: an attempt that never arrived is started, and then stopped, so that the agent owns its end.
        self._desk.command(self._slots.start_command(experiment, trial, attempt))
        if attempt.stop:
            self._desk.command(StopAttempt(instance=attempt.instance, attempt=attempt.id, reason=attempt.stop))
        elif experiment.run.pauses and trial.target != attempt.target:
            self._desk.command(LetGoOn(instance=attempt.instance, attempt=attempt.id, target=trial.target))

    def check_demands(self) -> None:
        """Ends experiments whose trials fit on no machine that there is or can be: one yet to come may be larger."""
        there = self._desk.state.instances
        rooms = [i.room.inventory for i in there.values() if i.room is not None]
        if any(name not in there or there[name].room is None for name in self._instances):
            return
        for experiment in list(self._desk.state.running()):
            if rooms and (lack := shortage(rooms, experiment.demand)):
                self._experiments.finish(experiment, ExperimentState.FAILED, lack, failure=lack)

    def agent_disconnected(self, event: e.AgentDisconnected) -> None:
        instance = self._desk.state.instances.get(event.instance)
        if instance is not None and instance.epoch == event.epoch and instance.connected:
            instance.connected, instance.away_since = False, self._desk.now

    def instance_vanished(self, event: e.InstanceVanished) -> None:
        instance = self._desk.state.instances.get(event.instance)
        if instance is not None and instance.epoch == event.epoch:
            if instance.room is None:
                self._failed_launch(instance.id, event.reason)
            self._lose(instance, event.reason)

    def _lose(self, instance: Instance, reason: str, *, known: bool = False) -> None:
        """``known``: people were told of this already."""
        for name, number in sorted(instance.attempts.values(), reverse=True):
            experiment = self._desk.state.experiments[name]
            trial = experiment.trials[number]
            if trial.current is not None:
                ending = Ending(reason=EndReason.LOST, error=f"its machine is gone: {reason}")
                self._trials.end_attempt(experiment, trial, trial.current, ending)
        self._desk.emit(f.InstanceGone(instance=instance.id, epoch=instance.epoch, reason=reason))
        self._checkpoints.delete_again()
        what = "is gone" if instance.room is not None else "did not come up"
        for experiment in list(self._desk.state.running()):
            if not known:
                self._desk.say(experiment, "warning", "instance", f"{instance.id} {what}: {reason}")
            self._experiments.settle(experiment)

    def up_asked(self, event: e.UpAsked) -> None:  # noqa: ARG002 - one shape for all handlers
        """Machines that failed before are tried at once; those that come stay for as long as idle ones do."""
        self._wanted_until = self._desk.now + self._idle_timeout_s
        self.try_again()

    def try_again(self) -> None:
        """Somebody asks for machines, and may have mended what was wrong: those that failed are not waited for."""
        for failing in self._failing.values():
            failing.again_at = self._desk.now

    def down_asked(self, event: e.DownAsked) -> None:  # noqa: ARG002 - one shape for all handlers
        """Every machine goes at once; what still ran on one is lost with it, and runs again elsewhere or later.

        So do those that were given up: they may be back, with an agent that nobody has told so.
        """
        self._wanted_until, reason = -math.inf, "the cluster goes down"
        given_up = [name for name in self._instances if self._epoch(name) and name not in self._desk.state.instances]
        self._end_all(reason)
        for name in given_up:
            self._desk.command(Terminate(instance=name, epoch=self._epoch(name), reason=reason))

    def _epoch(self, instance: str) -> int:
        """Of its last launch; 0 where there was none."""
        return self._desk.state.epochs[instance]

    def size(self) -> None:
        """Machines while something runs or could, or somebody asked for them; none after a while of nothing."""
        if self._desk.state.busy() or self._desk.now < self._wanted_until:
            self._idle_since = None
            self._launch_missing()
            return
        if self._idle_since is None:
            self._idle_since = self._desk.now
        if self._desk.now - self._idle_since >= self._idle_timeout_s:
            self._release_all("nothing to run")

    def _launch_missing(self) -> None:
        for name in self._instances:
            if name not in self._desk.state.instances and self._may_launch(name):
                epoch = self._epoch(name) + 1
                token_hash = self._token_hash(name, epoch)
                self._desk.emit(f.InstanceLaunched(instance=name, epoch=epoch, token_hash=token_hash))
                self._desk.command(Launch(instance=name, epoch=epoch))

    def _may_launch(self, name: str) -> bool:
        failing = self._failing.get(name)
        return failing is None or self._desk.now >= failing.again_at

    def leave(self, *, stop_agents: bool) -> None:
        """Lets go of idle machines, or of all there are; what ran on those is lost with them."""
        reason = "the coordinator leaves"
        self._release_all(reason)
        if stop_agents:
            self._end_all(reason)

    def _end_all(self, reason: str) -> None:
        for instance in list(self._desk.state.instances.values()):
            self._lose(instance, reason)
            self._desk.command(Terminate(instance=instance.id, epoch=instance.epoch, reason=reason))

    def _release_all(self, reason: str) -> None:
        for instance in [i for i in self._desk.state.instances.values() if not i.attempts]:
            self._desk.emit(f.InstanceGone(instance=instance.id, epoch=instance.epoch, reason=reason))
            self._desk.command(Terminate(instance=instance.id, epoch=instance.epoch, reason=reason))
