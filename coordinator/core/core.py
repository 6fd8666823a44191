"""The decisions: one synchronous function, ``handle(event, now) -> Step``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core import verdict
from clustertune.coordinator.core.commands import (
    CollectLog,
    Launch,
    ReportRow,
    StartAttempt,
    Step,
    StopAttempt,
    Terminate,
)
from clustertune.coordinator.core.fold import Algorithms, Fold, tell_end
from clustertune.coordinator.core.placement import shortage
from clustertune.coordinator.core.state import Attempt, Experiment, Instance, Trial
from clustertune.coordinator.core.story import tell
from clustertune.model.snapshot import Event
from clustertune.model.trial import Ending, EndReason, ExperimentState, Report, TrialState
from clustertune.search.contracts import Decision, NoConfig, ResumeTrial, StartNew, StopPausedTrial

LOST_AFTER_S = 120.0
"""An agent unheard of for so long loses its attempts to others."""

SLEPT_S = 10.0
"""Ticks come every second; a longer gap means that the coordinator itself slept, and counts against nobody."""

LAUNCH_AGAIN_S = (0.5, 2.0, 5.0, 15.0, 60.0)
"""How long to wait after the first, second, … failed launch in a row."""


class Core:
    """Everything that is decided. No clock, no input or output, no randomness of its own.

    ``token_hash(instance, epoch)`` is called once a launch: the shell makes the token and gives its hash.
    """

    def __init__(
        self,
        *,
        algorithms: Algorithms,
        env: Mapping[str, str],
        instances: tuple[str, ...],
        idle_timeout_s: float,
        token_hash: Callable[[str, int], str],
    ) -> None:
        self._fold = Fold(algorithms, env)
        self.state = self._fold.state
        self._instances = instances
        self._idle_timeout_s = idle_timeout_s
        self._token_hash = token_hash
        self._step = Step()
        self._now = 0.0
        self._last_tick: float | None = None
        self._next_event = 0
        self._idle_since: float | None = None
        self._launch_failures = 0
        self._launch_at = 0.0
        self.launch_problem = ""
        self._handlers: dict[type, Callable[[Any], None]] = {
            e.Booted: self._booted,
            e.Ticked: self._ticked,
            e.Submitted: self._submitted,
            e.PauseAsked: self._pause_asked,
            e.ResumeAsked: self._resume_asked,
            e.StopAsked: self._stop_asked,
            e.LaunchFailed: self._launch_failed,
            e.AgentConnected: self._agent_connected,
            e.AgentDisconnected: self._agent_disconnected,
            e.InstanceVanished: self._instance_vanished,
            e.AttemptRan: self._attempt_ran,
            e.Reported: self._reported,
            e.AttemptOver: self._attempt_over,
        }

    @property
    def fold(self) -> Fold:
        """For the journal's reader, before the first event."""
        return self._fold

    def handle(self, event: e.Happening, now: float) -> Step:
        """Decides what an event means. Write the step's facts and rows before carrying out its commands."""
        self._step, self._now = Step(), now
        self._handlers[type(event)](event)
        self._fill_slots()
        self._size_fleet()
        return self._step

    def _emit(self, fact: f.Fact) -> None:
        self._step.facts.append(fact)
        self._fold.apply(fact, self._now)
        name = getattr(fact, "experiment", None)
        if name is not None:
            experiment = self.state.experiments[name]
            if (line := tell(experiment, fact)) is not None:
                self._say(experiment, *line)

    def _say(self, experiment: Experiment, level: str, kind: str, text: str, trial: int | None = None) -> None:
        # Ids begin at the time of day in milliseconds, so that they also grow across restarts.
        self._next_event = max(self._next_event + 1, int(self._now * 1000) if not self._next_event else 0)
        experiment.last_event = self._next_event
        experiment.events.append(
            Event(id=self._next_event, time=self._now, level=level, kind=kind, text=text, trial=trial)
        )

    # What users ask

    def _submitted(self, event: e.Submitted) -> None:
        self._emit(
            f.ExperimentCreated(
                experiment=event.experiment,
                definition=event.definition,
                workdir=event.workdir,
                python=event.python,
            )
        )

    def _pause_asked(self, event: e.PauseAsked) -> None:
        experiment = self.state.experiments[event.experiment]
        if experiment.state is ExperimentState.RUNNING:
            self._change(experiment, ExperimentState.PAUSED, "paused by the user")
            self._stop_active(experiment, "paused")

    def _resume_asked(self, event: e.ResumeAsked) -> None:
        experiment = self.state.experiments[event.experiment]
        experiment.secrets_missing = experiment.secrets_missing and not event.secrets
        if experiment.state is not ExperimentState.PAUSED:
            return
        self._change(experiment, ExperimentState.RUNNING, "resumed by the user")
        for trial in reversed([t for t in experiment.trials if t.state is TrialState.PAUSED and t.held]):
            self._emit(f.TrialMoved(experiment=experiment.name, trial=trial.number, state=TrialState.PENDING))
        self._settle(experiment)

    def _stop_asked(self, event: e.StopAsked) -> None:
        experiment = self.state.experiments[event.experiment]
        if not experiment.state.ended:
            self._finish(experiment, ExperimentState.STOPPED, "stopped by the user")

    # What machines do

    def _booted(self, event: e.Booted) -> None:
        running = list(self.state.running())
        if running:
            self._emit(f.Restarted(last=event.last, experiments=tuple(x.name for x in running)))
        for experiment in running:
            experiment.secrets_missing = bool(experiment.definition.secrets)
        for instance in self.state.instances.values():
            instance.away_since = self._now

    def _ticked(self, event: e.Ticked) -> None:  # noqa: ARG002 - one shape for all handlers
        slept = self._now - self._last_tick if self._last_tick is not None else 0.0
        self._last_tick = self._now
        for instance in list(self.state.instances.values()):
            if instance.away_since is None:
                continue
            if slept > SLEPT_S:
                instance.away_since += slept
            if self._now - instance.away_since >= LOST_AFTER_S:
                self._lose(instance, f"unheard of for {LOST_AFTER_S:g} s")
        for experiment in list(self.state.running()):
            limit = experiment.definition.stop.time_s
            if limit is not None and experiment.elapsed_s(self._now) >= limit:
                self._finish(experiment, ExperimentState.COMPLETED, "the time limit is reached")

    def _launch_failed(self, event: e.LaunchFailed) -> None:
        instance = self.state.instances.get(event.instance)
        if instance is None or instance.epoch != event.epoch:
            return
        self._failed_launch(event.error)
        self._lose(instance, event.error)

    def _failed_launch(self, error: str) -> None:
        wait = LAUNCH_AGAIN_S[min(self._launch_failures, len(LAUNCH_AGAIN_S) - 1)]
        self._launch_failures += 1
        self._launch_at = self._now + wait
        self.launch_problem = error

    def _agent_connected(self, event: e.AgentConnected) -> None:
        instance = self.state.instances[event.instance]
        instance.connected, instance.away_since = True, None
        if instance.room is None or instance.room.inventory != event.inventory:
            self._emit(f.InstanceReady(instance=event.instance, epoch=event.epoch, inventory=event.inventory))
        self._launch_failures, self.launch_problem = 0, ""
        for name, number in instance.attempts.values():
            experiment = self.state.experiments[name]
            trial = experiment.trials[number]
            if trial.current is not None:
                self._tell_again(experiment, trial, trial.current)
        self._check_demands()

    def _tell_again(self, experiment: Experiment, trial: Trial, attempt: Attempt) -> None:
        # Order matters: an attempt that never arrived is started, and then stopped, so that the agent owns its end.
        self._step.commands.append(self._start_command(experiment, trial, attempt))
        if attempt.stop:
            self._step.commands.append(StopAttempt(instance=attempt.instance, attempt=attempt.id, reason=attempt.stop))

    def _check_demands(self) -> None:
        rooms = [i.room.inventory for i in self.state.instances.values() if i.room is not None]
        for experiment in list(self.state.running()):
            if rooms and (lack := shortage(rooms, experiment.demand)):
                self._finish(experiment, ExperimentState.FAILED, lack, failure=lack)

    def _agent_disconnected(self, event: e.AgentDisconnected) -> None:
        instance = self.state.instances.get(event.instance)
        if instance is not None and instance.epoch == event.epoch and instance.connected:
            instance.connected, instance.away_since = False, self._now

    def _instance_vanished(self, event: e.InstanceVanished) -> None:
        instance = self.state.instances.get(event.instance)
        if instance is not None and instance.epoch == event.epoch:
            if instance.room is None:
                self._failed_launch(event.reason)
            self._lose(instance, event.reason)

    def _lose(self, instance: Instance, reason: str) -> None:
        for name, number in sorted(instance.attempts.values(), reverse=True):
            experiment = self.state.experiments[name]
            trial = experiment.trials[number]
            if trial.current is not None:
                ending = Ending(reason=EndReason.LOST, error=f"lost with its machine: {reason}")
                self._end_attempt(experiment, trial, trial.current, ending)
        self._emit(f.InstanceGone(instance=instance.id, epoch=instance.epoch, reason=reason))
        for experiment in list(self.state.running()):
            self._say(experiment, "warning", "instance", f"{instance.id} is gone: {reason}")
            self._settle(experiment)

    # What trials do

    def _attempt_ran(self, event: e.AttemptRan) -> None:
        found = self._current(event.attempt, event.instance, event.epoch)
        if found is not None and not found[2].started:
            self._emit(f.AttemptStarted(experiment=found[0].name, trial=found[1].number))

    def _reported(self, event: e.Reported) -> None:
        found = self._current(event.attempt, event.instance, event.epoch)
        if found is None:
            return
        experiment, trial, attempt = found
        for notice in event.notices:
            self._notice(experiment, trial, notice)
        for report in event.reports:
            self._take(experiment, trial, attempt, report)

    def _take(self, experiment: Experiment, trial: Trial, attempt: Attempt, report: Report) -> None:
        resource = experiment.definition.resource
        if report.resource <= attempt.resource:
            what = "again" if report.resource == attempt.resource else f"after {resource.name} {attempt.resource}"
            text = f"reported {resource.name} {report.resource} {what}; the first report of a level counts"
            self._notice(experiment, trial, text)
            return
        attempt.resource = report.resource
        value = report.metrics.get(experiment.definition.objective.metric)
        loss = None if value is None else experiment.sign * value
        # A later attempt repeats steps that an earlier one had taken: they are kept, and counted once.
        observed = trial.resource is None or report.resource > trial.resource
        self._step.reports.append(
            ReportRow(
                experiment=experiment.name,
                trial=trial.number,
                attempt=attempt.number,
                resource=report.resource,
                elapsed_s=report.elapsed_s,
                loss=loss,
                metrics=dict(report.metrics),
                observed=observed,
            )
        )
        experiment.reports += 1
        if observed:
            self._observe(experiment, trial, attempt, report, loss)

    def _observe(
        self, experiment: Experiment, trial: Trial, attempt: Attempt, report: Report, loss: float | None
    ) -> None:
        trial.resource = report.resource
        if loss is None:
            metric, found = experiment.definition.objective.metric, ", ".join(sorted(report.metrics)) or "nothing"
            self._notice(experiment, trial, f"a report holds no {metric!r}, only {found}")
        else:
            self._value(experiment, trial, report.resource, loss)
        if trial.target is not None and report.resource >= trial.target:
            self._decide(experiment, trial, attempt, report.resource, math.nan if loss is None else loss)
        top = experiment.definition.resource.max
        if top is not None and report.resource > top and not attempt.stop:
            self._order_stop(experiment, trial, attempt, "stopped")
        self._check_best(experiment)

    def _value(self, experiment: Experiment, trial: Trial, resource: int, loss: float) -> None:
        if math.isnan(loss):
            metric = experiment.definition.objective.metric
            self._notice(
                experiment, trial, f"{metric} is not a number at {experiment.definition.resource.name} {resource}"
            )
        trial.last_loss = loss
        if not math.isfinite(loss):
            return
        take_last = experiment.definition.objective.take == "last"
        if take_last or loss < trial.best_loss:
            trial.best_loss, trial.best_resource = loss, resource
        if trial.best_loss < experiment.best_loss:
            self._crown(experiment, trial)
        elif take_last and experiment.best == trial.number and loss > experiment.best_loss:
            # The incumbent has become worse, so that another may be the best now.
            self._crown(experiment, min(experiment.trials, key=lambda t: (t.best_loss, t.number)))

    def _crown(self, experiment: Experiment, trial: Trial) -> None:
        changed = experiment.best != trial.number
        resource, loss = trial.best_resource or 0, trial.best_loss
        self._emit(f.Improved(experiment=experiment.name, trial=trial.number, resource=resource, loss=loss))
        if changed:
            metric, level = experiment.definition.objective.metric, experiment.definition.resource.name
            text = f"trial {trial.number} is the best: {metric} {experiment.sign * loss:.6g} at {level} {resource}"
            self._say(experiment, "info", "best", text, trial.number)

    def _decide(self, experiment: Experiment, trial: Trial, attempt: Attempt, resource: int, loss: float) -> None:
        decision = experiment.scheduler.on_report(trial.number, resource, loss)
        experiment.searcher.observe(trial.number, resource, loss)
        self._emit(
            f.RungReached(
                experiment=experiment.name, trial=trial.number, resource=resource, loss=loss, decision=decision.value
            )
        )
        if decision is not Decision.CONTINUE and not attempt.stop:
            self._order_stop(experiment, trial, attempt, "stopped" if decision is Decision.STOP else "paused")

    def _check_best(self, experiment: Experiment) -> None:
        target = experiment.definition.stop.target
        if target is not None and experiment.best_loss <= experiment.sign * target:
            self._finish(experiment, ExperimentState.COMPLETED, f"the target {target:g} is reached")

    def _attempt_over(self, event: e.AttemptOver) -> None:
        found = self._current(event.attempt, event.instance, event.epoch)
        if found is None:
            return
        experiment, trial, attempt = found
        if not attempt.started and event.ending.reason is not EndReason.UNSTARTABLE:
            self._emit(f.AttemptStarted(experiment=experiment.name, trial=trial.number))
        self._end_attempt(experiment, trial, attempt, event.ending)
        self._step.commands.append(CollectLog(instance=event.instance, attempt=attempt.id, ending=event.ending))
        self._settle(experiment)

    def _end_attempt(self, experiment: Experiment, trial: Trial, attempt: Attempt, ending: Ending) -> None:
        state = verdict.after(experiment, trial, attempt, ending)
        if state is TrialState.FAILED and not ending.error:
            ending = replace(ending, error=verdict.no_value(experiment))
        self._emit(
            f.AttemptEnded(
                experiment=experiment.name, trial=trial.number, attempt=attempt.number, ending=ending, state=state
            )
        )
        if state.ended:
            tell_end(experiment, trial.number, state)
        if ending.reason is not EndReason.LOST and experiment.state is ExperimentState.RUNNING:
            failed = state is TrialState.FAILED or (state is TrialState.PENDING and bool(ending.error))
            if verdict.note_outcome(experiment, trial, failed=failed, error=ending.error):
                self._give_up(experiment, ending)

    def _give_up(self, experiment: Experiment, ending: Ending) -> None:
        count = len(experiment.failed_alike)
        every = "its only trial" if count == 1 else f"its first {count} trials all"
        reason = f"{every} failed in the same way: {ending.error}"
        failure = ending.traceback or ending.log_tail or ending.error
        self._finish(experiment, ExperimentState.FAILED, reason, failure=failure)

    def _current(self, attempt: str, instance: str, epoch: int) -> tuple[Experiment, Trial, Attempt] | None:
        """None for attempts that are over here, or that another epoch holds: what they say changes nothing."""
        found = self.state.attempt(attempt)
        if found is None or found[2].instance != instance or found[2].epoch != epoch:
            return None
        return found

    def _notice(self, experiment: Experiment, trial: Trial, text: str) -> None:
        if text in trial.notices or len(trial.notices) >= 5:
            return
        trial.notices = (*trial.notices, text)
        self._say(experiment, "warning", "notice", f"trial {trial.number}: {text}", trial.number)

    # What experiments come to

    def _settle(self, experiment: Experiment) -> None:
        """Ends an experiment that has nothing left to run."""
        if experiment.state is not ExperimentState.RUNNING:
            return
        flat = experiment.definition.stop.flat
        if flat is not None and experiment.best is not None and experiment.ended_since_best >= flat:
            text = f"{flat} trials ended without an improvement"
            self._finish(experiment, ExperimentState.COMPLETED, text)
        elif not experiment.active and not experiment.pending and not experiment.can_create():
            self._finish_with_what_there_is(experiment)

    def _finish_with_what_there_is(self, experiment: Experiment) -> None:
        if experiment.best is not None:
            all_tried = "every configuration was tried" if experiment.exhausted else "all trials ended"
            self._finish(experiment, ExperimentState.COMPLETED, all_tried)
            return
        failed = next((t for t in experiment.trials if t.error), None)
        text = f"no trial reported a finite {experiment.definition.objective.metric}"
        self._finish(experiment, ExperimentState.FAILED, text, failure=failed.error if failed else text)

    def _finish(self, experiment: Experiment, state: ExperimentState, reason: str, failure: str = "") -> None:
        if experiment.state.ended:
            return
        self._change(experiment, state, reason, failure)
        self._stop_active(experiment, "stopped")
        for trial in experiment.trials:
            if trial.state in (TrialState.PENDING, TrialState.PAUSED):
                self._emit(f.TrialMoved(experiment=experiment.name, trial=trial.number, state=TrialState.STOPPED))

    def _change(self, experiment: Experiment, state: ExperimentState, reason: str, failure: str = "") -> None:
        self._emit(f.ExperimentChanged(experiment=experiment.name, state=state, reason=reason, failure=failure))

    def _stop_active(self, experiment: Experiment, reason: str) -> None:
        for number in sorted(experiment.active):
            trial = experiment.trials[number]
            if trial.current is not None and (not trial.current.stop or trial.current.stop != reason):
                self._order_stop(experiment, trial, trial.current, reason)

    def _order_stop(self, experiment: Experiment, trial: Trial, attempt: Attempt, reason: str) -> None:
        self._emit(f.StopOrdered(experiment=experiment.name, trial=trial.number, reason=reason))
        self._step.commands.append(StopAttempt(instance=attempt.instance, attempt=attempt.id, reason=reason))

    # What runs next, and where

    def _fill_slots(self) -> None:
        hungry = [x for x in self.state.running() if not x.secrets_missing and (x.pending or x.can_create())]
        while hungry:
            experiment = min(hungry, key=lambda x: (len(x.active), x.created))
            if not self._start_one(experiment):
                hungry.remove(experiment)

    def _start_one(self, experiment: Experiment) -> bool:
        parallel = experiment.definition.parallel
        if parallel is not None and len(experiment.active) >= parallel:
            return False
        place = self._place(experiment)
        if place is None:
            return False
        trial = self._next_trial(experiment)
        if trial is None:
            return False
        instance, gpus = place
        self._emit(
            f.AttemptPlaced(
                experiment=experiment.name,
                trial=trial.number,
                attempt=trial.attempts + 1,
                instance=instance.id,
                epoch=instance.epoch,
                gpus=gpus,
            )
        )
        if trial.current is not None:
            self._step.commands.append(self._start_command(experiment, trial, trial.current))
        return True

    def _place(self, experiment: Experiment) -> tuple[Instance, tuple[int, ...]] | None:
        for instance in self.state.instances.values():
            if instance.ready and instance.room is not None:
                gpus = instance.room.place(experiment.demand)
                if gpus is not None:
                    return instance, gpus
        return None

    def _next_trial(self, experiment: Experiment) -> Trial | None:
        if experiment.pending:
            return experiment.trials[experiment.pending[0]]
        while True:
            match experiment.scheduler.next():
                case StartNew():
                    return self._create_trial(experiment)
                case ResumeTrial(trial=number):
                    self._emit(f.TrialMoved(experiment=experiment.name, trial=number, state=TrialState.PENDING))
                    return experiment.trials[number]
                case StopPausedTrial(trial=number):
                    self._emit(f.TrialMoved(experiment=experiment.name, trial=number, state=TrialState.STOPPED))
                    tell_end(experiment, number, TrialState.STOPPED)
                case _:
                    return None

    def _create_trial(self, experiment: Experiment) -> Trial | None:
        if not experiment.can_create():
            return None
        number = len(experiment.trials)
        config = experiment.searcher.suggest(number)
        if config is NoConfig.EXHAUSTED:
            self._emit(f.SearchExhausted(experiment=experiment.name))
            self._settle(experiment)
        if isinstance(config, NoConfig):
            return None
        self._emit(
            f.TrialCreated(
                experiment=experiment.name, trial=number, config=config, observations=experiment.observations
            )
        )
        return experiment.trials[number]

    def _start_command(self, experiment: Experiment, trial: Trial, attempt: Attempt) -> StartAttempt:
        return StartAttempt(
            instance=attempt.instance,
            experiment=experiment.name,
            attempt=attempt.id,
            config=trial.config,
            run=experiment.run,
            target=experiment.definition.resource.max,
            cpus=experiment.demand.cpus,
            gpus=attempt.gpus,
            seed=experiment.definition.seed,
        )

    def _size_fleet(self) -> None:
        """Machines while something runs or could; none after a while of nothing."""
        busy = any(True for _ in self.state.running()) or any(i.attempts for i in self.state.instances.values())
        if busy:
            self._idle_since = None
            self._launch_missing()
            return
        if self._idle_since is None:
            self._idle_since = self._now
        if self._now - self._idle_since >= self._idle_timeout_s:
            self._release_all("nothing to run")

    def _launch_missing(self) -> None:
        if self._now < self._launch_at:
            return
        for name in self._instances:
            if name not in self.state.instances:
                epoch = self.state.epochs[name] + 1
                token_hash = self._token_hash(name, epoch)
                self._emit(f.InstanceLaunched(instance=name, epoch=epoch, token_hash=token_hash))
                self._step.commands.append(Launch(instance=name, epoch=epoch))

    def leave(self, now: float, *, stop_agents: bool) -> Step:
        """The coordinator is about to end: so does every machine that holds no attempt, or every one there is.

        Trials that ran on those run again when the coordinator comes back.
        """
        self._step, self._now = Step(), now
        reason = "the coordinator leaves"
        self._release_all(reason)
        for instance in list(self.state.instances.values()) if stop_agents else []:
            epoch = instance.epoch
            self._lose(instance, reason)
            self._step.commands.append(Terminate(instance=instance.id, epoch=epoch, reason=reason))
        return self._step

    def _release_all(self, reason: str) -> None:
        for instance in [i for i in self.state.instances.values() if not i.attempts]:
            self._emit(f.InstanceGone(instance=instance.id, epoch=instance.epoch, reason=reason))
            self._step.commands.append(Terminate(instance=instance.id, epoch=instance.epoch, reason=reason))
