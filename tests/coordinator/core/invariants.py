"""What holds after every event, whatever happened before it; and what a coordinator finds when it comes back."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.checkpoints import start_from
from clustertune.coordinator.core.state import Experiment, State
from clustertune.model.trial import ExperimentState, TrialState

if TYPE_CHECKING:
    from tests.coordinator.core.model_shell import ModelShell

_OCCUPIES = (TrialState.STARTING, TrialState.RUNNING)


def hold(shell: ModelShell) -> None:
    """Raises AssertionError."""
    state = shell.core.state
    _same(folded(shell.shadow.state), folded(state), "the fold of the facts is not the live state")
    _attempts_are_where_they_were_placed(state)
    _one_agent_an_attempt(shell)
    for experiment in state.experiments.values():
        _nothing_waits(state, experiment)


def at_length(shell: ModelShell) -> None:
    """What takes longer to look at: all that was ever decided, and what is read from the disk."""
    _each_trial_ends_once(shell.entries())
    _each_report_counts_once(shell.rows())
    for experiment in shell.core.state.experiments.values():
        _incumbent_is_the_best(experiment, [row for row in shell.rows() if row.experiment == experiment.name])
    again = shell.read_again()
    _same(folded(again.state), folded(shell.core.state), "what is read is not what was written")
    _same(reported(again.state), reported(shell.core.state), "what is read is not what was reported")


def folded(state: State) -> dict[str, Any]:
    """What the facts alone tell."""
    return {
        "experiments": {x.name: _folded(x) for x in state.experiments.values()},
        "instances": {
            i.id: (i.epoch, i.attempts, i.room and (i.room.trials, round(i.room.cpus, 6)))
            for i in state.instances.values()
        },
        "epochs": dict(state.epochs),
    }


def _same(one: Any, other: Any, text: str) -> None:
    """Says where they differ, which in the whole would not be found."""
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            _same(one[key], other[key], f"{text}, {key}")
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            _same(mine, theirs, f"{text}, {number}")
    raise AssertionError(f"{text}: {one} and not {other}")


def _folded(experiment: Experiment) -> Any:
    trials = [
        (
            t.number, t.config, t.state, t.attempts, t.failures, t.target, t.cut, t.parked, t.held, t.parent, t.origin,
            t.awaits, t.unstartable, t.error, t.source,
            t.current and (t.current.id, t.current.instance, t.current.epoch, t.current.stop, t.current.started,
                           t.current.checkpoint, t.current.target),
            [(k.ref, k.kind, k.attempt, k.instance, k.epoch, k.wanted, k.ordered, k.stored) for k in t.kept],
        )
        for t in experiment.trials
    ]  # fmt: skip
    return (
        experiment.state, experiment.reason, experiment.counts, trials, sorted(experiment.active),
        list(experiment.pending), experiment.best, experiment.exhausted, experiment.observations, experiment.clones,
        sorted(experiment.heirs), sorted(experiment.keepers), sorted(experiment.deleting), experiment.untidy,
        experiment.stored_bytes, experiment.ended_since_best, experiment.started,
    )  # fmt: skip


def reported(state: State) -> dict[str, Any]:
    """What the table of curves tells."""
    return {
        x.name: (
            x.reports,
            x.best_loss,
            x.best_resource,
            [(t.resource, t.best_loss, t.best_resource) for t in x.trials],
        )
        for x in state.experiments.values()
    }


def _attempts_are_where_they_were_placed(state: State) -> None:
    current = {
        t.current.id: (t.current.instance, t.current.epoch)
        for x in state.experiments.values()
        for t in x.trials
        if t.current is not None
    }
    held = {attempt: (i.id, i.epoch) for i in state.instances.values() for attempt in i.attempts}
    assert current == held


def _one_agent_an_attempt(shell: ModelShell) -> None:
    """Of agents that are not fenced, at most one runs a trial; and nobody was ever told to run what another was."""
    state = shell.core.state
    unfenced = [a for a in shell.agents.values() if (i := state.instances.get(a.instance)) and i.epoch == a.epoch]
    running = Counter(attempt.rpartition(":")[0] for agent in unfenced for attempt in agent.running)
    assert max(running.values(), default=0) <= 1, f"runs twice: {running}"
    running_anywhere = Counter(attempt for agent in shell.agents.values() for attempt in agent.running)
    assert max(running_anywhere.values(), default=0) <= 1, f"one attempt on two machines: {running_anywhere}"


def _nothing_waits(state: State, experiment: Experiment) -> None:
    if experiment.state is not ExperimentState.RUNNING or experiment.secrets_missing:
        return
    assert not experiment.drained() or experiment.counts[TrialState.PAUSED], f"{experiment.name} has nothing to do"
    if experiment.parallel is not None and len(experiment.active) >= experiment.parallel:
        return
    rooms = {i.id: i.room for i in state.instances.values() if i.ready and i.room is not None}
    free = [name for name, room in rooms.items() if room.place(experiment.demand) is not None]
    for trial in [experiment.trials[number] for number in experiment.pending]:
        _, holder = start_from(experiment, trial)
        anywhere = holder is None or holder.stored
        assert trial.awaits or not (free if anywhere else {holder.instance} & set(free)), f"{trial} waits"  # type: ignore[union-attr]
        if holder is not None and not anywhere:
            there = state.instances.get(holder.instance)
            assert there is not None, f"{trial} waits for a machine that is gone"
            assert there.epoch == holder.epoch, f"{trial} waits for a machine that was replaced"
        if trial.awaits:
            parent = experiment.trials[trial.parent or 0]
            assert parent.current is not None, f"{trial} waits for a parent that does not run"
    fifo = experiment.definition.scheduler.type == "fifo" and experiment.definition.searcher.type == "random"
    assert not (fifo and free and experiment.can_create()), f"{experiment.name} could begin a trial on {free}"


def _each_trial_ends_once(entries: list[Any]) -> None:
    ends: Counter[tuple[str, int]] = Counter()
    placed: Counter[tuple[str, int, int]] = Counter()
    for fact in (fact for entry in entries for fact in entry.step.facts):
        if isinstance(fact, f.AttemptEnded | f.TrialMoved) and fact.state.ended:
            ends[fact.experiment, fact.trial] += 1
        elif isinstance(fact, f.AttemptPlaced):
            placed[fact.experiment, fact.trial, fact.attempt] += 1
            assert (fact.experiment, fact.trial) not in ends, f"{fact} after its end"
    assert max(ends.values(), default=0) <= 1
    assert max(placed.values(), default=0) <= 1


def _each_report_counts_once(rows: list[c.ReportRow]) -> None:
    counted = Counter((row.experiment, row.trial, row.resource) for row in rows if row.observed)
    assert max(counted.values(), default=0) <= 1


def _incumbent_is_the_best(experiment: Experiment, rows: list[c.ReportRow]) -> None:
    losses: dict[int, float] = {}
    for row in rows:
        eligible = experiment.trials[row.trial].state is not TrialState.INFEASIBLE
        if eligible and row.observed and row.loss is not None and math.isfinite(row.loss):
            last = experiment.takes_last or row.loss < losses.get(row.trial, math.inf)
            losses[row.trial] = row.loss if last else losses[row.trial]
    assert experiment.best_loss == min(losses.values(), default=math.inf)
    assert experiment.best is None or losses[experiment.best] == experiment.best_loss
    assert (experiment.best is None) == (not losses)
