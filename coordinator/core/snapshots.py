"""State to what clients are told."""

from __future__ import annotations

import math

from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.lineage import begins_at
from clustertune.coordinator.core.state import Experiment, Instance, Trial
from clustertune.coordinator.core.verdict import finite_report
from clustertune.model.checkpoint import SavedKind
from clustertune.model.errors import Mistake
from clustertune.model.snapshot import (
    Artifact,
    BestTrial,
    ExperimentSnapshot,
    ExperimentSummary,
    FrontPoint,
    Goal,
    Incumbent,
    InstanceRow,
    TrialRow,
)
from clustertune.model.trial import ExperimentState, TrialState

EVENTS_AT_ONCE = 500


def summary(experiment: Experiment, *, cluster: str, now: float) -> ExperimentSummary:
    best = incumbent(experiment)
    return ExperimentSummary(
        name=experiment.name,
        state=experiment.state,
        created=experiment.created,
        elapsed_s=experiment.elapsed_s(now),
        trials=len(experiment.trials),
        limit=experiment.limit,
        metric=experiment.definition.objective.metric,
        goal=experiment.definition.objective.goal,
        best=best.value if best else None,
        cluster=cluster,
        objectives=goals(experiment),
        front=len(experiment.front),
        keeps=experiment.best_violation <= 0.0,
    )


def snapshot(
    core: Core, experiment: Experiment, *, cluster: str, now: float, folder: str, problem: str = "", after: int = 0
) -> ExperimentSnapshot:
    """``problem``: a trouble of the shell's (a full disk). ``after``: the last event that the client has seen."""
    definition, paused = experiment.definition, experiment.state is ExperimentState.PAUSED
    instances = list(core.state.instances.values())
    return ExperimentSnapshot(
        name=experiment.name,
        state=experiment.state,
        cluster=cluster,
        reason=experiment.reason,
        metric=definition.objective.metric,
        goal=definition.objective.goal,
        resource=definition.resource.name,
        max_resource=definition.resource.max,
        searcher=definition.searcher.type,
        scheduler=definition.scheduler.type,
        seed=definition.seed,
        limit=None if experiment.limit is None else experiment.limit + experiment.clones,
        counts={state.value: experiment.counts[state] for state in TrialState},
        reports=experiment.reports,
        best=incumbent(experiment),
        running=tuple(row(experiment, experiment.trials[n], now) for n in sorted(experiment.active)),
        recent=tuple(row(experiment, experiment.trials[n], now) for n in experiment.recent),
        created=experiment.created,
        elapsed_s=experiment.elapsed_s(now),
        time_limit_s=definition.stop.time_s,
        cost_usd=0.0,
        slots_used=len(experiment.active),
        slots=sum(i.room.slots_for(experiment.demand) for i in instances if i.room is not None),
        instances=sum(i.ready for i in instances),
        problem=problem or core.fleet.problem,
        waiting=waiting(core, experiment),
        failure=experiment.failure,
        folder=folder,
        secrets=experiment.secrets,
        grace_s=definition.grace_s + (definition.checkpoints.save_time_s if paused else 0.0),
        objectives=goals(experiment),
        front=len(experiment.front),
        wanted=tuple(definition.wanted_metrics),
        events=tuple(line.event() for line in [x for x in experiment.events if x.id > after][-EVENTS_AT_ONCE:]),
    )


def incumbent(experiment: Experiment) -> Incumbent | None:
    if experiment.best is None:
        return None
    return _told(experiment, experiment.trials[experiment.best], experiment.best_loss, experiment.best_resource)


def _standing(experiment: Experiment, number: int) -> Incumbent | None:
    """What any trial came to."""
    if not 0 <= number < len(experiment.trials):
        there = f"its trials are 0 to {len(experiment.trials) - 1}" if experiment.trials else "it has none yet"
        raise Mistake(f"{experiment.name} has no trial {number}; {there}")
    trial = experiment.trials[number]
    if not math.isfinite(trial.best_loss):
        return None
    return _told(experiment, trial, trial.best_loss, trial.best_resource or 0)


def _told(experiment: Experiment, trial: Trial, loss: float, resource: int) -> Incumbent:
    return Incumbent(
        trial=trial.number,
        value=experiment.sign * loss,
        resource=resource,
        config=trial.config,
        values=trial.values or {},
        broken=_broken(experiment, trial),
    )


def goals(experiment: Experiment) -> tuple[Goal, ...]:
    """The objectives, where there are several."""
    return tuple(Goal(aim.metric, aim.goal) for aim in experiment.definition.objectives)


def front(experiment: Experiment) -> tuple[FrontPoint, ...]:
    """From one end to the other: by the first objective, the best first."""
    trials = sorted((experiment.trials[number] for number in experiment.front), key=lambda t: (t.best_loss, t.number))
    return tuple(
        FrontPoint(t.number, t.values or {}, t.best_resource or 0, t.config, t.state is TrialState.FAILED)
        for t in trials
    )


def _broken(experiment: Experiment, trial: Trial) -> tuple[str, ...]:
    if experiment.objectives is None or trial.values is None:
        return ()
    return tuple(experiment.objectives.broken(trial.values))


def best_trial(core: Core, experiment: Experiment, number: int | None = None) -> BestTrial:
    """The incumbent, or trial ``number``. Raises Mistake where it is not there, or reported nothing finite yet."""
    best = incumbent(experiment) if number is None else _standing(experiment, number)
    if best is None and number is not None and experiment.trials[number].state is TrialState.INFEASIBLE:
        raise Mistake(f"trial {number} of {experiment.name} ended infeasible: what it reported counts for nothing")
    if best is None:
        who = f"no trial of {experiment.name}" if number is None else f"trial {number} of {experiment.name}"
        verb = "has" if number is None else "has not"
        raise Mistake(f"{who} {verb} reported {finite_report(experiment.definition)}")
    trial = experiment.trials[best.trial]
    found = [kept for kept in (trial.newest(), trial.newest(SavedKind.RESULT)) if kept is not None]
    return BestTrial(
        experiment=experiment.name,
        metric=experiment.definition.objective.metric,
        goal=experiment.definition.objective.goal,
        resource_name=experiment.definition.resource.name,
        trial=best.trial,
        attempt=trial.attempts,
        state=trial.state,
        ended=trial.state.ended,
        value=best.value,
        resource=best.resource,
        config=best.config,
        seed=experiment.definition.seed,
        artifacts=tuple(Artifact(kept.kind, kept.ref, kept.stored) for kept in found),
        provenance=core.state.provenances.get(trial.provenance, {}),
        told=trial.told,
        objectives=goals(experiment),
        front=front(experiment),
        values=best.values,
        broken=best.broken,
        named=number is not None,
        problem="; ".join(dict.fromkeys(kept.trouble for kept in found if kept.trouble and not kept.stored)),
    )


def row(experiment: Experiment, trial: Trial, now: float) -> TrialRow:
    running = now - trial.current.since if trial.current is not None and trial.current.started else 0.0
    return TrialRow(
        trial=trial.number,
        state=trial.state,
        attempts=trial.attempts,
        resource=trial.resource,
        value=experiment.sign * trial.best_loss if math.isfinite(trial.best_loss) else None,
        last_value=None if trial.last_loss is None else experiment.sign * trial.last_loss,
        elapsed_s=trial.elapsed_s + running,
        config=trial.config,
        instance=trial.current.instance if trial.current is not None else "",
        error=trial.error,
        notices=trial.notices,
        source=trial.source,
        values=trial.values or {},
        violation=trial.measured.violation if trial.measured is not None else 0.0,
        front=trial.number in experiment.front,
        cloned_from=trial.parent,
        begins_at=begins_at(trial) if experiment.cumulative else 0,
    )


MACHINE_IS_STARTED = "a machine is being started"


def waiting(core: Core, experiment: Experiment) -> str:
    """Why nothing runs where something should; empty otherwise."""
    if experiment.state is not ExperimentState.RUNNING:
        return ""
    if experiment.secrets_missing:
        names = ", ".join(experiment.secrets)
        return (
            f"the coordinator was restarted and no longer has the secrets {names}; "
            f"`clustertune resume {experiment.name}` hands them over"
        )
    if experiment.active:
        return ""
    instances = core.state.instances.values()
    if not instances and core.fleet.problems:
        return "no machine is up; those that failed are tried again by themselves"
    if not any(instance.room is not None for instance in instances):
        return MACHINE_IS_STARTED
    if not any(instance.ready for instance in instances):
        return "the machine does not answer; its trials go on, and their reports are kept there"
    return "all slots are taken by other experiments"


def instance_rows(core: Core) -> tuple[InstanceRow, ...]:
    """Every machine that there is or may be, in the order of the definition."""
    state = core.state.instances
    names = dict.fromkeys([*core.fleet.instances, *state])
    return tuple(_instance_row(core, name, state.get(name)) for name in names)


def _instance_row(core: Core, name: str, instance: Instance | None) -> InstanceRow:
    problem = core.fleet.problems.get(name, "")
    if instance is None:
        return InstanceRow(instance=name, state="failing" if problem else "down", problem=problem)
    if instance.room is None:
        state = "launching"
    else:
        state = "ready" if instance.connected else "unreachable"
    has = instance.room.inventory if instance.room is not None else None
    return InstanceRow(
        instance=instance.id,
        state=state,
        epoch=instance.epoch,
        cpus=has.cpus if has else 0.0,
        memory_bytes=has.memory_bytes if has else 0,
        gpus=len(has.gpus) if has else 0,
        attempts=tuple(sorted(instance.attempts)),
        problem=problem,
    )
