"""Slots that stay empty for want of a suggestion, and what fills in: the real core in virtual time.

What is proposed makes no difference here, only how long it takes: a stand-in proposes, and its answers come after as
long as the real searchers were measured to take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.simulation import simulate
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.registry import Registry

LEVELS, TRIALS_A_SLOT = 9, 40
_SPACE = Space({"x": Float(0.0, 1.0)})
_MOST_UNEVEN = 0.3


@dataclass(frozen=True, slots=True)
class NoOptions:
    """There is nothing to set."""


class StandIn:
    """Proposes at random, at once: time is modelled by the simulation."""

    Options = NoOptions

    def __init__(self, *, space: Space, seed: int, initial: Sequence[Mapping[str, object]], options: NoOptions) -> None:
        del space, initial, options
        self._draw = Random(seed)

    @staticmethod
    def design(options: NoOptions, *, space: Space) -> int:
        del options, space
        return 5

    def created(self, trial: int, config: Config) -> None:
        """It learns nothing."""

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """It learns nothing."""

    def forget(self, trial: int) -> None:
        """It learns nothing."""

    def propose(self, count: int) -> list[Config]:
        return [{"x": self._draw.random()} for _ in range(count)]


@dataclass(frozen=True, slots=True)
class Uneven:
    """Trials of ``trial_s`` seconds on average, up to three tenths longer or shorter, so that they end one by one."""

    trial_s: float
    space: Space = field(default_factory=lambda: _SPACE)

    def curve(self, config: Config, seed: int) -> Iterator[tuple[int, float, Mapping[str, float]]]:
        del seed
        x = float(config["x"])
        level_s = self.trial_s / LEVELS * (1 + _MOST_UNEVEN * (2 * x - 1))
        for level in range(1, LEVELS + 1):
            yield level, level_s, {"loss": x + 1 / level}


_REGISTRY = Registry(
    {"stand-in": "benchmarks.suggesting.idle:StandIn"},
    {"fifo": "clustertune.search.schedulers.fifo:Fifo", "asha": "clustertune.search.schedulers.asha:Asha"},
)


def idle(*, slots: int, trial_s: float, suggest_s: float, scheduler: str = "fifo") -> Mapping[str, float]:
    """Shares: of the slots' time in which they held no trial, and of the trials after the first that were filled in."""
    time_s = TRIALS_A_SLOT * trial_s
    plain: dict[str, Any] = {
        "name": "measured", "run": {"call": "no:thing"}, "space": {"x": {"type": "float", "low": 0, "high": 1}},
        "objective": {"metric": "loss"}, "resource": {"name": "epoch", "max": LEVELS}, "scheduler": scheduler,
        "searcher": "stand-in", "trials": None, "stop": {"time": time_s},
    }  # fmt: skip
    sources: Counter[str] = Counter()

    def note(now: float, fact: f.Fact) -> None:
        del now
        if isinstance(fact, f.TrialCreated):
            sources[fact.source] += 1

    conditions = Conditions(machines=(Machine(slots=slots),), suggest_s=suggest_s)
    definition = ExperimentDefinition.from_plain(plain)
    outcome = simulate(definition, Uneven(trial_s), conditions, registry=_REGISTRY, on_fact=note)
    asked = sources[""] + sources["fill-in"]
    return {
        "idle": 1 - outcome.compute_s / (slots * outcome.time_s),
        "filled_in": sources["fill-in"] / asked if asked else 0.0,
        "trials": float(sum(sources.values())),
    }
