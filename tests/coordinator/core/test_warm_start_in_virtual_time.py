"""A whole search that begins with an earlier one: related, or misleading, with real searchers and in virtual time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.replay import Replay
from clustertune.coordinator.simulation.conditions import Conditions
from clustertune.coordinator.simulation.simulation import Simulation
from clustertune.coordinator.simulation.task import Step
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.errors import Mistake
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.registry import Registry
from tests.coordinator.core.world import definition

UNIT: dict[str, Any] = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in ("x", "y")}


@dataclass(frozen=True)
class Bowl:
    """Every trial falls towards how far it is from the lowest point, or from the highest where it is upside down."""

    sign: float = 1.0
    space: Space = field(default_factory=lambda: Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}))

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        for level in (1, 2, 3):
            yield level, 1.0, {"error": self.sign * distance(config) + 1.0 / level}


def distance(config: Config) -> float:
    return (float(config["x"]) - 0.3) ** 2 + (float(config["y"]) - 0.6) ** 2


OPTIONS: Mapping[str, Mapping[str, Any]] = {"random": {}, "bayesian": {"initial_points": 7}}


def wanted(name: str, searcher: str, trials: int, **changes: Any) -> ExperimentDefinition:
    algorithms = {"searcher": {"type": searcher, **OPTIONS[searcher]}, "resource": {"max": 3}}
    return ExperimentDefinition.from_plain(definition(name=name, space=UNIT, trials=trials, **algorithms, **changes))


@cache
def facts(
    searcher: str, past: float | None, first: tuple[float, float] | None = None
) -> Sequence[tuple[float, f.Fact]]:
    """Of a search of ten trials; ``past`` is the sign of an earlier one's task, ``first`` a trial of the user's."""
    conditions, earlier, found = Conditions(), [], list[tuple[float, f.Fact]]()
    if past is not None:
        before = Simulation(wanted("old", "random", 25, seed=8), Bowl(past), conditions)
        before.run()
        earlier = [before.experiment]
    initial = [] if first is None else [dict(zip(UNIT, first, strict=True))]
    new = wanted("new", searcher, 10, seed=3, initial=initial, warm_start=[x.name for x in earlier])
    Simulation(new, Bowl(), conditions, earlier=earlier, on_fact=lambda *fact: found.append(fact)).run()
    return found


def configs(searcher: str, past: float | None, first: tuple[float, float] | None = None) -> list[Config]:
    return [fact.config for _, fact in facts(searcher, past, first) if isinstance(fact, f.TrialCreated)]


def distances(searcher: str, past: float | None) -> list[float]:
    """How far each trial was from the lowest point."""
    return list(map(distance, configs(searcher, past)))


@pytest.mark.parametrize("searcher", ["random", "bayesian"])
def test_an_earlier_search_of_the_same_task_is_gone_on_from(searcher: str) -> None:
    (created,) = (fact for _, fact in facts(searcher, 1.0) if isinstance(fact, f.ExperimentCreated))
    assert distances(searcher, 1.0)[0] == min(distance(trial.config) for trial in created.earlier[0].trials)
    assert min(distances(searcher, 1.0)) < min(distances(searcher, None))


def test_a_misleading_one_costs_the_trial_that_it_had_tried_first_and_nothing_else() -> None:
    """The rest is what it is where the user wanted that trial, and nothing was known."""
    misled = configs("bayesian", -1.0)
    assert distance(misled[0]) > 0.3
    assert misled == configs("bayesian", None, (float(misled[0]["x"]), float(misled[0]["y"])))


def test_every_proposal_comes_out_again_from_the_journal() -> None:
    read = [(now, f.read(*f.write(fact))) for now, fact in facts("bayesian", 1.0)]
    checked = [one for one in Replay(Registry.default()).run(read, "new") if one.kind == "proposal"]
    assert len(checked) == 10
    assert all(one.equal for one in checked)


def test_a_simulation_refuses_what_it_does_not_know() -> None:
    with pytest.raises(Mistake, match=r"no earlier experiments \(digits\); leave them out: --set 'warm_start=\[\]'"):
        Simulation(wanted("new", "random", 4, warm_start=["digits"]), Bowl())
