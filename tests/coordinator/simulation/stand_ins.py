"""Small tasks and searchers to simulate with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.simulation.conditions import Conditions
from clustertune.coordinator.simulation.outcome import Outcome
from clustertune.coordinator.simulation.simulation import simulate
from clustertune.coordinator.simulation.task import Crashed, Step
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.registry import Registry

UNIT = {"x": {"type": "float", "low": 0.0, "high": 1.0}}


def definition(**changes: Any) -> ExperimentDefinition:
    plain: dict[str, Any] = {
        "name": "digits",
        "run": {"call": "train:train"},
        "space": UNIT,
        "objective": {"metric": "loss"},
        "resource": {"name": "epoch", "max": 9},
        "scheduler": {"type": "fifo"},
        "trials": 6,
    }
    return ExperimentDefinition.from_plain({**plain, **changes})


@dataclass(frozen=True)
class Falling:
    """Every trial reports x + 1 / level, a second a level; at ``crashes_at`` those beyond one half crash."""

    levels: int = 9
    level_s: float = 1.0
    crashes_at: int = 0
    space: Space = field(default_factory=lambda: Space({"x": Float(0.0, 1.0)}))

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        for level in range(1, self.levels + 1):
            if level == self.crashes_at and float(config["x"]) > 0.5:
                raise Crashed("shapes differ")
            yield level, self.level_s, {"loss": float(config["x"]) + 1 / level}


@dataclass
class Watched:
    """An outcome and all the facts that led to it."""

    outcome: Outcome
    facts: list[tuple[float, f.Fact]]

    def of(self, kind: type) -> list[tuple[float, Any]]:
        return [(now, fact) for now, fact in self.facts if isinstance(fact, kind)]

    def ends(self) -> list[tuple[float, int]]:
        """When which trial ended for good."""
        return [(now, fact.trial) for now, fact in self.of(f.AttemptEnded) if fact.state.ended]


def watch(
    wanted: ExperimentDefinition, task: Any, conditions: Conditions | None = None, registry: Registry | None = None
) -> Watched:
    facts: list[tuple[float, f.Fact]] = []
    outcome = simulate(wanted, task, conditions, registry=registry, on_fact=lambda now, fact: facts.append((now, fact)))
    return Watched(outcome, facts)


@dataclass(frozen=True, slots=True)
class NoOptions:
    """There is nothing to set."""


class Slow:
    """Proposes about the middle between the best that it was told of and 0: better the more it knows."""

    Options = NoOptions

    def __init__(self, *, space: Space, seed: int, initial: Sequence[Mapping[str, object]], options: NoOptions) -> None:
        self._x: dict[int, float] = {}
        self._losses: dict[int, float] = {}

    @staticmethod
    def design(options: NoOptions, *, space: Space) -> int:
        return 2

    def created(self, trial: int, config: Config) -> None:
        self._x[trial] = float(config["x"])

    def observe(self, trial: int, resource: int, loss: float) -> None:
        self._losses[trial] = loss

    def forget(self, trial: int) -> None:
        self._losses.pop(trial, None)

    def propose(self, count: int) -> list[Config]:
        best, trials = self._x[min(self._losses, key=lambda trial: self._losses[trial])], len(self._x)
        # Just above the half, so that none is like one before.
        return [{"x": best / 2 + (trials + n) / 2**20} for n in range(count)]


SLOW = Registry(
    {"slow": "tests.coordinator.simulation.stand_ins:Slow"},
    {"fifo": "clustertune.search.schedulers.fifo:Fifo", "asha": "clustertune.search.schedulers.asha:Asha"},
)
