"""What trials do: start, report, end; and what the scheduler and the searcher say to it."""

from __future__ import annotations

import math
from dataclasses import replace

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core import verdict
from clustertune.coordinator.core.checkpoints import Checkpoints
from clustertune.coordinator.core.commands import CollectLog, LetGoOn, ReportRow
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.experiments import Experiments
from clustertune.coordinator.core.state import Attempt, Experiment, Trial
from clustertune.coordinator.core.telling import tell_end, tell_report
from clustertune.coordinator.core.winners import Winners
from clustertune.model.front import Measured
from clustertune.model.trial import LARGEST_LEVEL, AttemptId, Ending, EndReason, ExperimentState, Report, TrialState
from clustertune.search.contracts import Clone, Decision

_NOT_OF_THE_PROGRAM = (EndReason.LOST, EndReason.NO_CHECKPOINT)
"""Ends that say nothing about the program: however many there are, it is not given up."""


class Trials:
    """The life of attempts, as agents tell of it."""

    def __init__(self, desk: Desk, experiments: Experiments, checkpoints: Checkpoints) -> None:
        self._desk = desk
        self._experiments = experiments
        self._checkpoints = checkpoints
        self._winners = Winners(desk, checkpoints)

    def attempt_ran(self, event: e.AttemptRan) -> None:
        found = self._current(event.attempt, event.instance, event.epoch)
        if found is not None and not found[2].started:
            self._desk.emit(f.AttemptStarted(experiment=found[0].name, trial=found[1].number))

    def reported(self, event: e.Reported) -> None:
        found = self._current(event.attempt, event.instance, event.epoch)
        if found is None:
            return
        experiment, trial, attempt = found
        for notice in event.notices:
            self._desk.notice(experiment, trial, notice)
        for report in event.reports:
            self._take(experiment, trial, attempt, report)

    def _take(self, experiment: Experiment, trial: Trial, attempt: Attempt, report: Report) -> None:
        if not attempt.resource < report.resource <= LARGEST_LEVEL:
            name = experiment.definition.resource.name
            self._desk.notice(experiment, trial, _level_trouble(report.resource, attempt.resource, name))
            return
        attempt.resource = report.resource
        if verdict.reached_the_top(experiment, trial):
            # It has all that was asked of it, and goes on, or goes through it again after its machine was lost.
            if not attempt.stop:
                self._experiments.order_stop(experiment, trial, attempt, "stopped")
            if trial.resource is None or report.resource > trial.resource:
                return  # beyond the maximum
        measured = None
        if experiment.objectives is None:
            value = report.metrics.get(experiment.metric)
            loss = None if value is None else experiment.sign * value
        else:
            measured = experiment.objectives.measure(report.metrics)
            loss = None if measured is None else measured.losses[0] if measured.finite else math.nan
        # A later attempt repeats steps that an earlier one had taken: they are kept, and counted once.
        observed = trial.resource is None or report.resource > trial.resource
        self._desk.step.reports.append(
            ReportRow(
                experiment.name,
                trial.number,
                attempt.number,
                report.resource,
                report.elapsed_s,
                loss,
                report.metrics,
                observed,
            )
        )
        if observed:
            experiment.reports += 1
            self._observe(experiment, trial, attempt, report, loss, measured)

    def _observe(
        self,
        experiment: Experiment,
        trial: Trial,
        attempt: Attempt,
        report: Report,
        loss: float | None,
        measured: Measured | None,
    ) -> None:
        trial.resource = report.resource
        if loss is None:
            wanted, found = experiment.definition.wanted_metrics, ", ".join(sorted(report.metrics)) or "nothing"
            metric = next(name for name in wanted if name not in report.metrics)
            self._desk.notice(experiment, trial, f"a report holds no {metric!r}, only {found}")
        elif measured is not None:
            trial.last_loss = loss
            self._winners.take(experiment, trial, report.resource, report.metrics)
        else:
            self._value(experiment, trial, report.resource, loss)
        if trial.target is not None and report.resource >= trial.target:
            self._decide(experiment, trial, attempt, report.resource, math.nan if loss is None else loss, measured)
        if experiment.target is not None:
            self._experiments.check_best(experiment, experiment.target)

    def _value(self, experiment: Experiment, trial: Trial, resource: int, loss: float) -> None:
        trial.last_loss = loss
        if not math.isfinite(loss):
            if math.isnan(loss):
                metric, level = experiment.definition.objective.metric, experiment.definition.resource.name
                self._desk.notice(experiment, trial, f"{metric} is not a number at {level} {resource}")
            return
        if experiment.takes_last or loss < trial.best_loss:
            trial.best_loss, trial.best_resource = loss, resource
        if trial.best_loss < experiment.best_loss:
            self._crown(experiment, trial)
        elif experiment.takes_last and experiment.best == trial.number:
            if loss > experiment.best_loss:
                # The incumbent has become worse, so that another may be the best now.
                self._crown(experiment, min(experiment.trials, key=lambda t: (t.best_loss, t.number)))
            else:
                experiment.best_resource = resource

    def _crown(self, experiment: Experiment, trial: Trial) -> None:
        before, changed = experiment.best, experiment.best != trial.number
        resource, loss = trial.best_resource or 0, trial.best_loss
        better = loss < experiment.best_loss
        if changed or not better or experiment.ended_since_best:
            self._desk.emit(f.Improved(experiment=experiment.name, trial=trial.number, resource=resource, loss=loss))
        else:
            # The incumbent goes on getting better, report by report: the table of curves knows, and no fact is needed.
            experiment.best_loss, experiment.best_resource = loss, resource
        if changed:
            metric, level = experiment.definition.objective.metric, experiment.definition.resource.name
            text = f"trial {trial.number} is the best: {metric} {experiment.sign * loss:.6g} at {level} {resource}"
            self._desk.say(experiment, "info", "best", text, trial.number)
            self._checkpoints.tidy(experiment, [trial.number] if before is None else [before, trial.number])

    def _decide(
        self,
        experiment: Experiment,
        trial: Trial,
        attempt: Attempt,
        resource: int,
        loss: float,
        measured: Measured | None,
    ) -> None:
        if experiment.objectives is not None and measured is not None:
            measured = measured if measured.finite else None
            loss = math.nan if measured is None else experiment.objectives.standing(trial.number, resource, measured)
        decision = experiment.scheduler.on_report(trial.number, resource, loss)
        reached = f.RungReached(
            experiment=experiment.name,
            trial=trial.number,
            resource=resource,
            loss=loss,
            decision="clone" if isinstance(decision, Clone) else decision.value,
            measured=measured,
        )
        tell_report(experiment, reached)
        self._desk.emit(reached)
        if isinstance(decision, Clone) and not experiment.state.ended:
            self._clone(experiment, decision)
        if decision is not Decision.CONTINUE and not attempt.stop:
            # Who is paused saves before it ends; so must one whose own clone goes on from there.
            saves = decision is Decision.PAUSE or (isinstance(decision, Clone) and decision.parent == trial.number)
            self._experiments.order_stop(experiment, trial, attempt, "paused" if saves else "stopped")
        elif decision is Decision.CONTINUE and experiment.run.pauses:
            # A scheduler may name a level that is reached already: nothing more is to be waited for then.
            target = trial.target if trial.target is not None and trial.target > resource else None
            self._desk.command(LetGoOn(instance=attempt.instance, attempt=attempt.id, target=target))

    def _clone(self, experiment: Experiment, clone: Clone) -> None:
        self._desk.emit(
            f.TrialCreated(
                experiment=experiment.name,
                trial=len(experiment.trials),
                config=clone.config,
                observations=experiment.observations,
                parent=clone.parent,
                level=experiment.trials[clone.parent].resource or 0,
            )
        )
        self._checkpoints.ask(experiment, clone.parent)

    def described(self, event: e.AttemptDescribed) -> None:
        found = self._desk.state.trial(event.attempt)
        if found is None:
            return
        if event.content and event.provenance not in self._desk.state.provenances:
            self._desk.emit(f.ProvenanceKnown(provenance=event.provenance, content=event.content))
        self._desk.emit(
            f.TrialDescribed(
                experiment=found[0].name,
                trial=found[1].number,
                attempt=AttemptId(event.attempt),
                provenance=event.provenance,
                told=event.told,
            )
        )

    def attempt_over(self, event: e.AttemptOver) -> None:
        found = self._current(event.attempt, event.instance, event.epoch)
        if found is None:
            return
        experiment, trial, attempt = found
        if not attempt.started and event.ending.reason is not EndReason.UNSTARTABLE:
            self._desk.emit(f.AttemptStarted(experiment=experiment.name, trial=trial.number))
        self.end_attempt(experiment, trial, attempt, event.ending)
        self._desk.command(CollectLog(instance=event.instance, attempt=attempt.id, ending=event.ending))
        self._experiments.settle(experiment)

    def end_attempt(self, experiment: Experiment, trial: Trial, attempt: Attempt, ending: Ending) -> None:
        state = verdict.after(experiment, trial, attempt, ending)
        hold = verdict.cannot_go_on(experiment, trial, ending)
        if state is TrialState.FAILED and not ending.error:
            ending = replace(ending, error=verdict.no_value(experiment))
        valued = state.ended and state is not TrialState.INFEASIBLE and math.isfinite(trial.best_loss)
        loss, measured = trial.best_loss, trial.measured
        if valued and measured is not None and experiment.objectives is not None:
            loss = experiment.objectives.standing_at_end(trial.number, trial.best_resource or 0, measured)
        ended = f.AttemptEnded(
            experiment=experiment.name,
            trial=trial.number,
            attempt=attempt.number,
            ending=ending,
            state=state,
            resource=trial.best_resource if valued else None,
            loss=loss if valued else None,
            measured=measured if valued else None,
        )
        held = self._winners.held(experiment, trial) if state is TrialState.INFEASIBLE else None
        self._desk.emit(ended)
        if state.ended:
            tell_end(experiment, ended)
        self._winners.over(experiment, trial, held)
        if attempt.checkpoint is not None and ending.reason is EndReason.NO_CHECKPOINT:
            self._checkpoints.unusable(experiment, trial, attempt.checkpoint, ending.error)
        self._checkpoints.ended(experiment, trial)
        if ending.reason not in _NOT_OF_THE_PROGRAM and experiment.state is ExperimentState.RUNNING:
            failed = state is TrialState.FAILED or (state is TrialState.PENDING and bool(ending.error))
            if hold:
                reason = f"trials cannot be started any more: {ending.error}"
                self._experiments.hold(experiment, reason, failure=reason)
            elif verdict.note_outcome(experiment, trial, failed=failed, error=ending.error):
                self._experiments.give_up(experiment, ending)

    def _current(self, attempt: str, instance: str, epoch: int) -> tuple[Experiment, Trial, Attempt] | None:
        """None for attempts that are over here, or that another epoch holds: what they say changes nothing."""
        state = self._desk.state
        holder = state.instances.get(instance)
        if holder is None or holder.epoch != epoch or (held := holder.attempts.get(attempt)) is None:
            return None
        name, number = held
        experiment = state.experiments[name]
        trial = experiment.trials[number]
        return None if trial.current is None else (experiment, trial, trial.current)


def _level_trouble(level: int, reached: int, name: str) -> str:
    """Why a report is left out whose level is not beyond the one that was reached."""
    if not 1 <= level <= LARGEST_LEVEL:
        return f"a report at {name} {level} is left out: levels are whole numbers from 1 to 2**53"
    if level == reached:
        return f"reported {name} {level} again; the first report of a level counts"
    return f"reported {name} {level} after {name} {reached}; levels must grow, and this report is left out"
