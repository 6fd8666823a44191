"""The guide to algorithms of one's own: what it prints is short, runs, survives a restart, and does what it says."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.replay import Replay
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.simulation import simulate
from clustertune.coordinator.simulation.task import Climb
from clustertune.coordinator.simulation.tasks.hartmann import Hartmann
from clustertune.definition import load_experiment
from clustertune.search.registry import Registry

GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "plugins.md").read_text()
LONGEST = 40

DEFINITION = """
name: valley
run: {call: "train:train"}
space: {x0: {type: float, low: 0, high: 1}, x1: {type: float, low: 0, high: 1}, x2: {type: float, low: 0, high: 1}}
constraints: ["x0 + x1 <= 1.5"]
objective: {metric: loss}
resource: {max: 100}
trials: 60
initial: [{x0: 0.5}]
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A definition that names the guide's algorithms, whose package is installed."""
    searcher, scheduler = blocks("python")
    (tmp_path / "hills.py").write_text(searcher)
    (tmp_path / "halfway.py").write_text(scheduler)
    groups = tomllib.loads(blocks("toml")[0])["project"]["entry-points"]
    info = tmp_path / "hills-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hills\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "".join(f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in names.items()) for group, names in groups.items())
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "experiment.yaml"
    path.write_text(DEFINITION + blocks("yaml")[0])
    return path


@pytest.mark.parametrize("block", [0, 1])
def test_each_takes_less_than_forty_lines(block: int) -> None:
    lines = [line for line in blocks("python")[block].splitlines() if line.strip()]
    assert len(lines) < LONGEST


def test_they_search_and_every_decision_comes_out_again(experiment: Path) -> None:
    registry, facts = Registry.default(), list[tuple[float, f.Fact]]()
    definition = load_experiment(experiment, registry=registry)
    conditions = Conditions(machines=(Machine(slots=4),))
    task = Climb(Hartmann(dimensions=3))
    outcome = simulate(definition, task, conditions, on_fact=lambda now, fact: facts.append((now, fact)))
    assert outcome.states.keys() == {"completed", "stopped"}
    assert outcome.trials == 60
    configs = [fact.config for _, fact in facts if isinstance(fact, f.TrialCreated)]
    assert configs[0]["x0"] == 0.5
    assert all(definition.space.allows(config) for config in configs)
    decided = Counter(fact.decision for _, fact in facts if isinstance(fact, f.RungReached) and fact.resource < 100)
    assert 0.3 < decided["stop"] / decided.total() < 0.7
    assert all(one.equal for one in Replay(registry).run(facts, "valley"))


def test_the_searcher_is_better_than_chance(experiment: Path) -> None:
    registry = Registry.default()
    values = {}
    for searcher in ("hills", "random"):
        definition = load_experiment(experiment, registry=registry, overrides=[("searcher", searcher)])
        outcomes = [
            simulate(definition.model_copy(update={"seed": seed}), Climb(Hartmann(dimensions=3))) for seed in range(5)
        ]
        values[searcher] = sorted(outcome.value or 0.0 for outcome in outcomes)
    assert values["hills"][2] < values["random"][2]
