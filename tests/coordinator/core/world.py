"""A core and what surrounds it, driven by hand: no clock, no process, no disk."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.fleet import LOST_AFTER_S
from clustertune.coordinator.core.state import Experiment, Progress, Trial
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.checkpoint import SavedKind
from clustertune.model.instance import Gpu, Inventory
from clustertune.model.trial import Ending, EndReason, Report
from clustertune.search.registry import Registry

C = TypeVar("C", bound=c.Command)

DEFINITION: dict[str, Any] = {
    "name": "digits",
    "run": {"call": "train:train"},
    "space": {"lr": {"type": "float", "low": 0.0, "high": 1.0}},
    "objective": {"metric": "error", "goal": "minimize"},
    "scheduler": {"type": "fifo"},
    "trials": 4,
}


def two_machines() -> World:
    """A world whose cluster has two of them."""
    names = ("local-0", "local-1")
    return World(core=new_core(names), instances=names)


def definition(**changes: Any) -> dict[str, Any]:
    return dict(ExperimentDefinition.from_plain({**DEFINITION, **changes}).to_plain())


_OURS = {
    "fifo": "fifo:Fifo",
    "asha": "asha:Asha",
    "asha-promotion": "asha_promotion:AshaPromotion",
    "async-hyperband": "async_hyperband:AsyncHyperband",
    "successive-halving": "successive_halving:SuccessiveHalving",
    "hyperband": "hyperband:Hyperband",
    "median-stopping": "median_stopping:MedianStopping",
    "plateau": "plateau:Plateau",
    "population-based": "population_based:PopulationBased",
    "population-based-replay": "population_based_replay:PopulationBasedReplay",
}

REGISTRY = Registry(
    {
        "random": "clustertune.search.searchers.random:RandomSearch",
        "counting": "tests.coordinator.core.searchers:Counting",
    },
    {
        **{name: f"clustertune.search.schedulers.{place}" for name, place in _OURS.items()},
        "swapping": "tests.coordinator.core.schedulers:Swapping",
        "dismissing": "tests.coordinator.core.schedulers:Dismissing",
    },
)


def new_core(instances: tuple[str, ...] = ("local-0",), lost_after_s: float = LOST_AFTER_S) -> Core:
    return Core(
        algorithms=REGISTRY,
        env={},
        instances=instances,
        idle_timeout_s=60.0,
        token_hash=lambda instance, epoch: f"hash of {instance} {epoch}",
        lost_after_s=lost_after_s,
    )


@dataclass
class World:
    """Sends events a second apart and keeps everything that came of them, as the shell and the journal would."""

    core: Core = field(default_factory=new_core)
    instances: tuple[str, ...] = ("local-0",)
    now: float = 1_000.0
    journal: list[tuple[float, f.Fact]] = field(default_factory=list)
    reports: list[c.ReportRow] = field(default_factory=list)
    commands: list[c.Command] = field(default_factory=list)

    def send(self, event: e.Happening, after_s: float = 0.001) -> list[c.Command]:
        self.now += after_s
        step = self.core.handle(event, self.now)
        self.journal += [(self.now, fact) for fact in step.facts]
        self.reports += step.reports
        self.commands += step.commands
        check(self.core)
        return step.commands

    def submit(self, name: str = "digits", **changes: Any) -> Experiment:
        self.send(e.Submitted(experiment=name, definition=definition(**changes), workdir="/x", python="python"))
        return self.experiment(name)

    def experiment(self, name: str = "digits") -> Experiment:
        return self.core.state.experiments[name]

    def trial(self, number: int, name: str = "digits") -> Trial:
        return self.experiment(name).trials[number]

    def join(
        self, *, slots: int | None = 2, epoch: int = 1, cpus: float = 2, gpus: int = 0, instance: str = "local-0"
    ) -> list[c.Command]:
        cards = tuple(Gpu(index=i, name="card", memory_bytes=16 * 2**30) for i in range(gpus))
        inventory = Inventory(cpus=cpus, memory_bytes=8 * 2**30, gpus=cards, slots=slots)
        return self.send(e.AgentConnected(instance=instance, epoch=epoch, inventory=inventory))

    def ran(self, trial: int, name: str = "digits") -> None:
        self.send(e.AttemptRan(**self._who(trial, name)))

    def report(self, trial: int, resource: int, name: str = "digits", **metrics: float) -> list[c.Command]:
        report = Report(resource=resource, metrics=metrics)
        return self.send(e.Reported(**self._who(trial, name), reports=(report,)))

    def end(
        self, trial: int, reason: EndReason = EndReason.RETURNED, error: str = "", name: str = "digits"
    ) -> list[c.Command]:
        ending = Ending(reason=reason, error=error, elapsed_s=1.0)
        return self.send(e.AttemptOver(**self._who(trial, name), ending=ending))

    def save(
        self,
        trial: int,
        resource: int,
        digest: str = "",
        *,
        wanted: bool = True,
        kind: SavedKind = SavedKind.CHECKPOINT,
        size: int = 1,
    ) -> str:
        """The trial's agent holds a checkpoint; its digest."""
        digest = digest or f"{trial}-{resource}"
        what = {"kind": kind, "resource": resource, "digest": digest, "size_bytes": size, "wanted": wanted}
        self.send(e.CheckpointSaved(**self._who(trial, "digits"), **what))
        return digest

    def stored(self, digest: str, attempt: str) -> None:
        self.send(e.CheckpointStored(attempt=attempt, digest=digest))

    def of(self, kind: type[C]) -> list[C]:
        """The commands of one kind, oldest first."""
        return [command for command in self.commands if isinstance(command, kind)]

    def restarted(self) -> World:
        """The same world after the coordinator was killed and came back, from what is on disk alone."""
        fresh = World(
            core=new_core(self.instances),
            instances=self.instances,
            now=self.now,
            journal=list(self.journal),
            reports=list(self.reports),
        )
        for now, fact in self.journal:
            kind, version, body = f.write(fact)
            fresh.core.fold.replay(f.read(kind, version, body), now)
        fresh.core.fold.restore(progress(self.reports), self.curve)
        fresh.send(e.Booted(last=self.now), after_s=100.0)
        return fresh

    def curve(self, name: str) -> Iterator[tuple[int, int, Mapping[str, float]]]:
        """What the journal's table of curves has of an experiment."""
        return ((x.trial, x.resource, x.metrics) for x in self.reports if x.experiment == name and x.observed)

    def started(self) -> list[str]:
        return [str(command.attempt) for command in self.commands if isinstance(command, c.StartAttempt)]

    def stops(self) -> list[tuple[str, str]]:
        return [(str(x.attempt), x.reason) for x in self.commands if isinstance(x, c.StopAttempt)]

    def _who(self, trial: int, name: str) -> dict[str, Any]:
        current = self.trial(trial, name).current
        assert current is not None, f"trial {trial} runs nowhere"
        return {"instance": current.instance, "epoch": current.epoch, "attempt": current.id}


def progress(rows: list[c.ReportRow]) -> Iterator[Progress]:
    """What the journal's table of curves answers."""
    for experiment, trial in sorted({(row.experiment, row.trial) for row in rows}):
        mine = [row for row in rows if (row.experiment, row.trial) == (experiment, trial)]
        counted = [row for row in mine if row.observed and row.loss is not None]
        last = max(counted, key=lambda row: row.resource, default=None)
        finite = [row for row in counted if math.isfinite(row.loss or 0.0)]
        best = min(finite, key=lambda row: (row.loss, row.resource), default=None)
        newest = max(finite, key=lambda row: row.resource, default=None)
        yield Progress(
            experiment=experiment,
            trial=trial,
            reports=sum(row.observed for row in mine),
            resource=max((row.resource for row in mine if row.observed), default=None),
            last_loss=last.loss if last else None,
            best_loss=best.loss if best else None,
            best_resource=best.resource if best else None,
            finite_loss=newest.loss if newest else None,
            finite_resource=newest.resource if newest else None,
        )


def check(core: Core) -> None:
    """What must hold after every event."""
    state = core.state
    for experiment in state.experiments.values():
        for trial in experiment.trials:
            occupied = trial.state.value in ("starting", "running")
            assert (trial.current is not None) == occupied, trial
            assert (trial.number in experiment.active) == occupied, trial
            assert (trial.number in experiment.pending) == (trial.state.value == "pending"), trial
            assert (trial.number in experiment.keepers) == bool(trial.kept), trial
            assert (trial.number in experiment.heirs) == (trial.parent is not None and not trial.state.ended), trial
            parents = {experiment.trials[heir].parent for heir in experiment.heirs}
            assert not (trial.state.ended and trial.kept) or trial.number in {*experiment.winners, *parents}, trial
            assert (trial.number in experiment.senders) == any(k.ordered and not k.stored for k in trial.kept), trial
        holders = defaultdict[str, set[int]](set)
        for trial in experiment.trials:
            for kept in trial.kept:
                holders[kept.ref.digest].add(trial.number)
        assert experiment.copies == holders
        stored = {kept.ref.digest: kept.ref.size_bytes for kept in experiment.all_kept() if kept.stored}
        assert experiment.stored_bytes == sum(stored.values())
        assert sum(experiment.counts.values()) == len(experiment.trials)
        assert experiment.limit is None or len(experiment.trials) - experiment.clones <= experiment.limit
        assert len(set(experiment.pending)) == len(experiment.pending)
    for instance in state.instances.values():
        if instance.room is None:
            continue
        assert instance.room.trials == len(instance.attempts)
        has = instance.room.inventory
        assert has.slots is None or instance.room.trials <= has.slots
        assert has.slots is not None or instance.room.cpus <= has.cpus + 1e-6
        assert all(-1e-6 <= share <= 1 + 1e-6 for share in instance.room.gpus.values())
