"""State as the fold of facts: each kind of fact, and the one way in which it changes the state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core import fold_checkpoints, fold_instances, worth
from clustertune.coordinator.core.algorithms import Algorithms
from clustertune.coordinator.core.guarded import GuardedSearcher
from clustertune.coordinator.core.making import Made, absence, begin, make, nobody
from clustertune.coordinator.core.state import (
    NOTICES_KEPT,
    Attempt,
    Experiment,
    Progress,
    State,
    Trial,
)
from clustertune.coordinator.core.telling import tell_end, tell_report, tell_scheduler
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.errors import Mistake
from clustertune.model.trial import EndReason, ExperimentState, TrialState, attempt_id
from clustertune.search.contracts import Clone, Decision

Curve = Callable[[str], Iterable[tuple[int, int, Mapping[str, float]]]]
"""All reports of an experiment, oldest first: trial, level and metrics."""

_NOTICES = {
    "fill-in": "quasi-random: the searcher had nothing ready",
    "earlier": "among the best of an earlier experiment",
}
"""What is said beside a trial of where its configuration came from."""

_THE_PROGRAMS_FAULT = (EndReason.RAISED, EndReason.TIMEOUT)
_STILL_OR_FAILED = (TrialState.PENDING, TrialState.PAUSED, TrialState.FAILED)


class Fold:
    """Applies facts to a state.

    ``replay`` is for facts read from the journal: the algorithms, which live calls have told already, are told too.
    ``failed`` hears at once of an algorithm's mistake, and applies the fact; in ``unusable`` are the experiments whose
    algorithms made one, or could not be made.
    """

    def __init__(
        self,
        algorithms: Algorithms,
        env: Mapping[str, str],
        secrets: Sequence[str],
        failed: Callable[[f.AlgorithmFailed], None] | None = None,
    ) -> None:
        self.state = State()
        self.unusable: list[Experiment] = []
        self._failed = failed or (lambda fact: self._algorithm_failed(fact, 0.0))
        self._algorithms = algorithms
        self._env, self._secrets = env, secrets
        self.ways: dict[type, Callable[[Any, float], None]] = {
            f.ExperimentCreated: self._experiment_created,
            f.ExperimentChanged: self._experiment_changed,
            f.AlgorithmFailed: self._algorithm_failed,
            f.TrialCreated: self._trial_created,
            f.SearchExhausted: self._search_exhausted,
            f.TrialMoved: self._trial_moved,
            f.AttemptPlaced: self._attempt_placed,
            f.AttemptStarted: self._attempt_started,
            f.StopOrdered: self._stop_ordered,
            f.RungReached: self._rung_reached,
            f.Improved: self._improved,
            f.AttemptEnded: self._attempt_ended,
            f.CheckpointSaved: self._elsewhere(fold_checkpoints.checkpoint_saved),
            f.CheckpointOrdered: self._elsewhere(fold_checkpoints.checkpoint_ordered),
            f.CheckpointStored: self._elsewhere(fold_checkpoints.checkpoint_stored),
            f.CheckpointDropped: self._elsewhere(fold_checkpoints.checkpoint_dropped),
            f.CheckpointDeleted: self._elsewhere(fold_checkpoints.checkpoint_deleted),
            f.StorageTidied: self._elsewhere(fold_checkpoints.storage_tidied),
            f.ProvenanceKnown: self._elsewhere(fold_checkpoints.provenance_known),
            f.TrialDescribed: self._elsewhere(fold_checkpoints.trial_described),
            f.InstanceLaunched: lambda fact, now: fold_instances.instance_launched(self.state, fact, now),
            f.InstanceReady: self._elsewhere(fold_instances.instance_ready),
            f.InstanceGone: self._elsewhere(fold_instances.instance_gone),
            f.Restarted: self._restarted,
        }

    def _elsewhere(self, apply: Callable[[State, Any], None]) -> Callable[[Any, float], None]:
        return lambda fact, now: apply(self.state, fact)  # noqa: ARG005 - one shape for all

    def apply(self, fact: f.Fact, now: float) -> None:
        self.ways[type(fact)](fact, now)

    def replay(self, fact: f.Fact, now: float) -> Decision | Clone | None:
        """Applies a recorded fact; returns what the scheduler would decide today, where it was asked and answers.

        A recorded decision stands, whatever that is.
        """
        if isinstance(fact, f.ExperimentCreated):
            self._experiment_created_again(fact, now)
            return None
        decision = None
        if isinstance(fact, f.RungReached):
            experiment = self.state.experiments[fact.experiment]
            decision = experiment.scheduler.on_report(fact.trial, fact.resource, fact.loss)
            decision = None if experiment.fault or experiment.absent else decision
            tell_report(experiment, fact)
        self.apply(fact, now)
        if isinstance(fact, f.AttemptEnded | f.TrialMoved) and fact.state.ended:
            tell_end(self.state.experiments[fact.experiment], fact)
        return decision

    def restore(self, progress: Iterable[Progress], curve: Curve | None = None) -> None:
        """Puts back what lives in the table of curves and not in the facts.

        ``curve`` gives all the reports of an experiment: where they have several losses, one number says too little.
        """
        for row in progress:
            experiment = self.state.experiments.get(row.experiment)
            if experiment is None or row.trial >= len(experiment.trials):
                continue
            trial = experiment.trials[row.trial]
            experiment.reports += row.reports
            trial.resource, trial.last_loss = row.resource, row.last_loss
            if trial.state is TrialState.INFEASIBLE:
                continue
            trial.best_loss = row.best_loss if row.best_loss is not None else math.inf
            trial.best_resource = row.best_resource
            if experiment.takes_last and row.finite_loss is not None:
                trial.best_loss, trial.best_resource = row.finite_loss, row.finite_resource
            if trial.current is not None and trial.attempts == 1:
                trial.current.resource = row.resource or 0
            if experiment.best == trial.number and trial.best_loss <= experiment.best_loss:
                experiment.best_loss, experiment.best_resource = trial.best_loss, trial.best_resource or 0
        for experiment in self.state.experiments.values():
            if experiment.objectives is None and experiment.best is None:
                worth.restore_best(experiment)
            elif experiment.objectives is not None and curve is not None:
                worth.restore(experiment, experiment.objectives, curve(experiment.name))

    # Experiments

    def _experiment_created(self, fact: f.ExperimentCreated, now: float) -> None:
        """Raises Mistake, and changes nothing, where its algorithms cannot be made."""
        definition = ExperimentDefinition.from_plain(fact.definition)
        self._begin(fact, definition, make(self._algorithms, definition, fact), now)

    def _experiment_created_again(self, fact: f.ExperimentCreated, now: float) -> None:
        """What was found and reported can be read without the algorithms, too."""
        definition = ExperimentDefinition.from_plain(fact.definition)
        try:
            made, absent = make(self._algorithms, definition, fact), ""
        except Mistake as error:
            made, absent = nobody(), absence(fact, error)
        experiment = self._begin(fact, definition, made, now)
        if absent:
            experiment.absent = absent
            self.unusable.append(experiment)

    def _begin(self, fact: f.ExperimentCreated, definition: ExperimentDefinition, made: Made, now: float) -> Experiment:
        experiment = begin(
            fact, definition, made, now, algorithms=self._algorithms, env=self._env, secrets=self._secrets,
            failed=self._failed,
        )  # fmt: skip
        self.state.experiments[fact.experiment] = experiment
        return experiment

    def _algorithm_failed(self, fact: f.AlgorithmFailed, now: float) -> None:  # noqa: ARG002 - one shape for all
        experiment = self.state.experiments[fact.experiment]
        experiment.fault, experiment.trace = fact.reason, fact.trace
        experiment.scheduler.silence()
        if isinstance(experiment.searcher, GuardedSearcher):
            experiment.searcher.silence()
        self.unusable.append(experiment)

    def _experiment_changed(self, fact: f.ExperimentChanged, now: float) -> None:
        experiment = self.state.experiments[fact.experiment]
        if experiment.running_since is not None:
            experiment.ran_s += now - experiment.running_since
        experiment.running_since = now if fact.state is ExperimentState.RUNNING else None
        experiment.state, experiment.reason = fact.state, fact.reason
        experiment.failure = fact.failure

    def _restarted(self, fact: f.Restarted, now: float) -> None:
        for name in fact.experiments:
            experiment = self.state.experiments[name]
            if experiment.running_since is not None:
                experiment.ran_s += max(0.0, fact.last - experiment.running_since)
                experiment.running_since = now

    # Trials

    def _trial_created(self, fact: f.TrialCreated, now: float) -> None:  # noqa: ARG002 - one shape for all
        experiment = self.state.experiments[fact.experiment]
        if fact.trial != len(experiment.trials):
            raise ValueError(f"trial {fact.trial} was created after {len(experiment.trials)} others")
        trial = Trial(number=fact.trial, config=dict(fact.config), parent=fact.parent, source=fact.source)
        if fact.source in _NOTICES:
            trial.notices = (_NOTICES[fact.source],)
        tell_scheduler(experiment, "on_create", trial.number, trial.config)
        if fact.parent is not None:
            self._clone(experiment, trial, experiment.trials[fact.parent], fact.level)
        trial.target = experiment.scheduler.target(trial.number)
        if (created := getattr(experiment.searcher, "created", None)) is not None:
            created(trial.number, trial.config)
        experiment.trials.append(trial)
        experiment.counts[TrialState.PENDING] += 1
        experiment.pending.append(trial.number)
        if fact.parent is None and not experiment.can_create():
            tell_scheduler(experiment, "on_no_more")

    def _clone(self, experiment: Experiment, child: Trial, parent: Trial, level: int) -> None:
        """What the parent saved long ago is not what its child was made for: one that runs saves anew."""
        found = parent.newest()
        child.origin = found.ref if found is not None else None
        child.awaits = (found is None or found.ref.resource < level) and parent.current is not None
        experiment.clones += 1
        experiment.heirs.add(child.number)
        begins_at = child.origin.resource if child.origin is not None else 0
        begins_at = level if child.awaits else begins_at
        tell_scheduler(experiment, "on_clone", parent.number, child.number, begins_at)

    def _search_exhausted(self, fact: f.SearchExhausted, now: float) -> None:  # noqa: ARG002
        experiment = self.state.experiments[fact.experiment]
        experiment.exhausted = True
        tell_scheduler(experiment, "on_no_more")

    def _trial_moved(self, fact: f.TrialMoved, now: float) -> None:  # noqa: ARG002
        experiment = self.state.experiments[fact.experiment]
        trial = experiment.trials[fact.trial]
        experiment.move(trial, fact.state)
        if fact.state.ended:
            experiment.heirs.discard(trial.number)
        if fact.state is TrialState.PENDING:
            if trial.parked:
                tell_scheduler(experiment, "on_resume", trial.number)
            trial.held = trial.parked = False
            experiment.pending.appendleft(trial.number)
        elif trial.number in experiment.pending:
            experiment.pending.remove(trial.number)

    def _attempt_placed(self, fact: f.AttemptPlaced, now: float) -> None:
        experiment = self.state.experiments[fact.experiment]
        trial = experiment.trials[fact.trial]
        experiment.move(trial, TrialState.STARTING)
        experiment.pending.remove(trial.number)
        experiment.active.add(trial.number)
        trial.attempts = fact.attempt
        trial.current = Attempt(
            id=attempt_id(experiment.name, trial.number, fact.attempt),
            number=fact.attempt,
            instance=fact.instance,
            epoch=fact.epoch,
            gpus=fact.gpus,
            since=now,
            checkpoint=fact.checkpoint,
            target=fact.target,
        )
        instance = self.state.instances[fact.instance]
        instance.attempts[trial.current.id] = (experiment.name, trial.number)
        if instance.room is not None:
            instance.room.take(experiment.demand, fact.gpus)

    def _attempt_started(self, fact: f.AttemptStarted, now: float) -> None:
        experiment, trial = self._trial(fact.experiment, fact.trial)
        experiment.move(trial, TrialState.RUNNING)
        experiment.started = True
        if trial.current is not None:
            trial.current.started, trial.current.since = True, now

    def _stop_ordered(self, fact: f.StopOrdered, now: float) -> None:  # noqa: ARG002
        trial = self._trial(fact.experiment, fact.trial)[1]
        if trial.current is not None:
            trial.current.stop = fact.reason

    def _rung_reached(self, fact: f.RungReached, now: float) -> None:  # noqa: ARG002
        experiment, trial = self._trial(fact.experiment, fact.trial)
        experiment.observations += 1
        if experiment.objectives is not None and fact.measured is not None:
            experiment.objectives.reached(fact.trial, fact.resource, fact.measured, fact.loss)
        trial.target = experiment.scheduler.target(trial.number)
        trial.cut = fact.decision in ("stop", "clone")
        trial.parked = fact.decision == "pause"

    def _improved(self, fact: f.Improved, now: float) -> None:  # noqa: ARG002
        experiment = self.state.experiments[fact.experiment]
        experiment.best, experiment.best_loss = fact.trial, fact.loss
        experiment.best_resource = fact.resource
        experiment.best_violation, experiment.front = fact.violation, fact.front
        if not experiment.several and fact.instead_of is None:
            experiment.trials[fact.trial].ended_before += experiment.ended_since_best
            experiment.ended_since_best = 0

    def _attempt_ended(self, fact: f.AttemptEnded, now: float) -> None:
        experiment, trial = self._trial(fact.experiment, fact.trial)
        ending, current = fact.ending, trial.current
        experiment.move(trial, fact.state)
        experiment.active.discard(trial.number)
        if current is not None:
            self._release(experiment, current.instance, current.id, current.gpus)
            elapsed_s = ending.elapsed_s or (now - current.since if current.started else 0.0)
            trial.elapsed_s += elapsed_s
            experiment.attempts_s += elapsed_s
            experiment.attempts_ended += 1
        trial.current = None
        trial.error = ending.error
        if ending.notices:
            trial.notices = (*trial.notices, *ending.notices)[-NOTICES_KEPT:]
        paused = fact.state is TrialState.PAUSED
        trial.held = paused and not trial.parked
        if paused and trial.parked:
            tell_scheduler(experiment, "on_pause", trial.number)
        trial.unstartable = ending.reason is EndReason.UNSTARTABLE
        if ending.reason is EndReason.NO_CHECKPOINT and current is not None and trial.origin == current.checkpoint:
            trial.origin = None
        if ending.reason in _THE_PROGRAMS_FAULT and fact.state in _STILL_OR_FAILED:
            trial.failures += 1
        if fact.state is TrialState.PENDING:
            experiment.pending.appendleft(trial.number)
        else:
            experiment.note_recent(trial.number)
        if fact.state.ended:
            if experiment.objectives is not None and fact.measured is not None and fact.loss is not None:
                experiment.objectives.ended(fact.trial, fact.resource or 0, fact.measured, fact.loss)
            if fact.state is TrialState.INFEASIBLE:
                _withdraw(experiment, trial)
            if trial.number not in experiment.winners:
                experiment.ended_since_best += 1
            experiment.heirs.discard(trial.number)
        if experiment.several and trial.number in experiment.winners and (fact.state.ended or trial.parked):
            # Not when it joins: where an objective grows with the resource every trial is on the front at first.
            experiment.ended_since_best = 0
        for number in experiment.heirs:
            # A parent that ended without a checkpoint will make none now: the child begins from the beginning.
            child = experiment.trials[number]
            child.awaits = child.awaits and child.parent != trial.number

    def _release(self, experiment: Experiment, instance_id: str, attempt: str, gpus: tuple[int, ...]) -> None:
        instance = self.state.instances.get(instance_id)
        if instance is None or instance.attempts.pop(attempt, None) is None:
            return
        if instance.room is not None:
            instance.room.free(experiment.demand, gpus)

    def _trial(self, experiment: str, trial: int) -> tuple[Experiment, Trial]:
        found = self.state.experiments[experiment]
        return found, found.trials[trial]


def _withdraw(experiment: Experiment, trial: Trial) -> None:
    """What the trial reported is nobody's result. Another that is the best now is named by a fact of its own."""
    if experiment.best == trial.number:
        experiment.best, experiment.best_loss, experiment.best_resource = None, math.inf, 0
        experiment.best_violation = 0.0
        experiment.ended_since_best += trial.ended_before
    experiment.front = tuple(number for number in experiment.front if number != trial.number)
    trial.best_loss, trial.best_resource, trial.measured, trial.values = math.inf, None, None, None
