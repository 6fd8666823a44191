"""Runs one experiment in virtual time: the coordinator's core, and around it everything else simulated."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.facts import Fact
from clustertune.coordinator.core.state import Experiment
from clustertune.coordinator.simulation.agent import Agent
from clustertune.coordinator.simulation.conditions import Conditions
from clustertune.coordinator.simulation.outcome import Meter, Outcome
from clustertune.coordinator.simulation.suggesting import Suggesting
from clustertune.coordinator.simulation.task import Task
from clustertune.coordinator.simulation.timeline import Timeline
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.definition.sections import PerTrial
from clustertune.model.errors import ClustertuneError, Mistake
from clustertune.model.instance import Inventory
from clustertune.search.registry import Registry

_IDLE_TIMEOUT_S = 3600.0
_COLLECT_AFTER = 100_000

_IN_VAIN = 2000
"""So many interruptions of each machine without the end of any trial are no accident."""
_MEMORY_BYTES = 2**50

OnFact = Callable[[float, Fact], None]


class SimulationStuck(ClustertuneError):
    """The experiment would never end: what its scheduler or searcher waits for, or its trials need, cannot happen."""


class Simulation:
    """One experiment on simulated machines: the same arguments give the same facts, in every process.

    ``on_fact`` is handed each fact with its time, as the journal would be. The clock ticks only where something hangs
    on it: at the experiment's limit of time, and while a slow searcher is awaited. ``earlier`` are experiments that
    were simulated before, for a warm start. Raises Mistake where it names another.
    """

    def __init__(
        self,
        definition: ExperimentDefinition,
        task: Task,
        conditions: Conditions | None = None,
        *,
        registry: Registry | None = None,
        on_fact: OnFact | None = None,
        earlier: Sequence[Experiment] = (),
    ) -> None:
        _check_earlier(definition, earlier)
        self._definition, self._task = _alone(definition), task
        self._conditions = conditions = conditions or Conditions()
        self._on_fact = on_fact
        self._timeline, self._meter = Timeline(), Meter()
        self._machines = {f"machine-{n}": machine for n, machine in enumerate(conditions.machines)}
        self._agents: dict[str, Agent] = {}
        self._in_vain = self._ended = 0
        registry = registry or Registry.default()
        self._suggesting = Suggesting(self._definition, registry, self._timeline, conditions.suggest_s, self._tell)
        self._core = Core(
            algorithms=registry,
            env={},
            instances=tuple(self._machines),
            idle_timeout_s=_IDLE_TIMEOUT_S,
            token_hash=lambda instance, epoch: f"{instance} {epoch}",
        )
        self._core.state.experiments.update({experiment.name: experiment for experiment in earlier})
        self._carry_out: dict[type, Callable[[Any], None]] = {
            c.StartAttempt: self._start,
            c.StopAttempt: self._to_agent(Agent.stop),
            c.LetGoOn: self._to_agent(Agent.let_go_on),
            c.AskForCheckpoint: self._to_agent(Agent.save),
            c.StoreCheckpoint: self._to_agent(Agent.store),
            c.CollectLog: _nothing,
            c.DiscardCheckpoints: _nothing,
            c.DeleteStored: self._delete,
            c.TidyStorage: self._tidy,
            c.Launch: self._launch,
            c.Terminate: self._terminate,
            c.Suggest: self._suggesting.suggest,
            c.Log: _nothing,
        }

    @property
    def experiment(self) -> Experiment:
        """The experiment as the core has it, from ``run`` on."""
        return self._core.state.experiments[self._definition.name]

    def run(self) -> Outcome:
        """Until the experiment has ended and its last attempt with it.

        Raises SimulationStuck, and Mistake where an algorithm raises or answers what nobody can use.
        """
        name, plain = self._definition.name, self._definition.to_plain()
        self._tell(e.Submitted(experiment=name, definition=plain, workdir="/", python="python"))
        experiment = self._core.state.experiments[name]
        if (limit_s := self._definition.stop.time_s) is not None:
            self._timeline.at(limit_s, self._tick)
        self._meter.experiment = experiment
        if not getattr(self._task, "tells_why", True):
            experiment.failure_kind = ""  # whatever fails, nobody can say that it failed as others did
        with _rare_collections():
            self._timeline.over = experiment.state.ended
            self._timeline.run()
        if experiment.fault:
            raise Mistake(experiment.fault)
        if not experiment.state.ended:
            raise SimulationStuck(_why_stuck(experiment))
        return self._meter.outcome(self._timeline.now)

    def _tell(self, event: e.Happening) -> None:
        now = self._timeline.now
        step = self._core.handle(event, now)
        self._meter.note(now, step)
        if not self._meter.held and self._meter.ended:
            self._timeline.over = True
        if self._on_fact is not None:
            for fact in step.facts:
                self._on_fact(now, fact)
        for command in step.commands:
            self._carry_out[type(command)](command)

    def _tick(self, _: object) -> None:
        self._tell(e.Ticked())

    # Machines

    def _launch(self, command: c.Launch) -> None:
        again_s = self._conditions.return_s if command.epoch > 1 else 0.0
        self._timeline.after(again_s + self._machines[command.instance].start_s, self._hello, command)

    def _hello(self, launch: c.Launch) -> None:
        machine = self._machines[launch.instance]
        self._agents[launch.instance] = Agent(
            launch.instance,
            launch.epoch,
            machine=machine,
            conditions=self._conditions,
            task=self._task,
            timeline=self._timeline,
            tell=self._tell,
        )
        if self._conditions.interruptions_per_hour:
            draw = Random(f"{self._conditions.seed}/{launch.instance}/{launch.epoch}")  # noqa: S311 - reproducible
            lasts_s = draw.expovariate(self._conditions.interruptions_per_hour / 3600)
            self._timeline.sometime(self._timeline.now + lasts_s, self._interrupt, launch)
        inventory = Inventory(cpus=machine.slots, memory_bytes=_MEMORY_BYTES, slots=machine.slots)
        self._tell(e.AgentConnected(instance=launch.instance, epoch=launch.epoch, inventory=inventory))

    def _interrupt(self, launch: c.Launch) -> None:
        agent = self._agents.get(launch.instance)
        if agent is None or agent.epoch != launch.epoch:
            return
        self._agents.pop(launch.instance).vanish()
        self._meter.interruptions += 1
        self._check_that_trials_end()
        self._tell(e.InstanceVanished(instance=launch.instance, epoch=launch.epoch, reason="interrupted"))

    def _check_that_trials_end(self) -> None:
        counts = self._core.state.experiments[self._definition.name].counts
        ended = sum(count for state, count in counts.items() if state.ended)
        self._in_vain, self._ended = (0 if ended > self._ended else self._in_vain + 1), ended
        if self._in_vain > _IN_VAIN * len(self._machines):
            raise SimulationStuck(
                f"machines were taken back {self._in_vain} times and no trial ended: trials take longer than machines "
                "last; simulate fewer interruptions, or checkpoints ({supported: true, every: …})"
            )

    def _terminate(self, command: c.Terminate) -> None:
        if (agent := self._agents.pop(command.instance, None)) is not None:
            agent.vanish()

    # What the core commands

    def _start(self, command: c.StartAttempt) -> None:
        self._agents[command.instance].start(command)

    def _to_agent(self, order: Callable[[Agent, Any], None]) -> Callable[[Any], None]:
        """A machine that is no more does nothing."""

        def carry_out(command: Any) -> None:
            if (agent := self._agents.get(command.instance)) is not None:
                order(agent, command)

        return carry_out

    def _delete(self, command: c.DeleteStored) -> None:
        deleted = e.CheckpointDeleted(experiment=command.experiment, digest=command.digest)
        self._timeline.after(0.0, self._tell, deleted)

    def _tidy(self, command: c.TidyStorage) -> None:
        self._timeline.after(0.0, self._tell, e.StorageTidied(experiment=command.experiment))


def simulate(
    definition: ExperimentDefinition,
    task: Task,
    conditions: Conditions | None = None,
    *,
    registry: Registry | None = None,
    on_fact: OnFact | None = None,
    earlier: Sequence[Experiment] = (),
) -> Outcome:
    """What becomes of the experiment under these conditions. Raises SimulationStuck, Mistake."""
    return Simulation(definition, task, conditions, registry=registry, on_fact=on_fact, earlier=earlier).run()


def _check_earlier(definition: ExperimentDefinition, earlier: Sequence[Experiment]) -> None:
    if unknown := set(definition.warm_start) - {experiment.name for experiment in earlier}:
        names = ", ".join(sorted(unknown))
        raise Mistake(f"a simulation knows no earlier experiments ({names}); leave them out: --set 'warm_start=[]'")


def _alone(definition: ExperimentDefinition) -> ExperimentDefinition:
    """Without what only real machines have: a trial takes one slot, and needs neither secrets nor storage."""
    return definition.model_copy(update={"per_trial": PerTrial(), "secrets": [], "storage": None})


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """The state only grows, and holds no cycles: looking for them in it as often as Python does costs a tenth."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _nothing(_: object) -> None:
    """Logs stay where they are, mistakes of algorithms are raised; who discards a checkpoint tells nobody."""


def _why_stuck(experiment: Experiment) -> str:
    counts = {state.value: count for state, count in experiment.counts.items() if count}
    return (
        f"{experiment.name} cannot go on: nothing runs, and neither scheduler {experiment.definition.scheduler.type} "
        f"nor searcher {experiment.definition.searcher.type} starts anything; trials: {counts}"
    )
