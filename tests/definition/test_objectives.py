"""Several objectives and constraints on metrics, as they are written, and what may be wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clustertune.definition import ExperimentDefinition, load_experiment
from clustertune.model.errors import DefinitionMistake
from clustertune.search.registry import Registry

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "objectives.md"
START = """
run: {call: "train:train"}
space: {lr: {type: float, low: 0.1, high: 1.0}}
"""
BOTH = "objectives: [{metric: error}, {metric: speed, goal: maximize}]\n"


def load(text: str) -> ExperimentDefinition:
    return load_experiment(START + text, registry=Registry.default())


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(DefinitionMistake) as caught:
        load(text)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_objectives_take_the_place_of_the_objective() -> None:
    definition = load(BOTH + "metric_constraints: [{metric: memory, at_most: 8}, {metric: speed, at_least: 1}]\n")
    assert [(aim.metric, aim.sign) for aim in definition.objectives] == [("error", 1.0), ("speed", -1.0)]
    assert (definition.objective.metric, definition.objective.take) == ("error", "last")
    assert definition.wanted_metrics == ["error", "speed", "memory"]
    again = ExperimentDefinition.from_plain(definition.to_plain())
    assert again == definition


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL))
def test_the_examples_of_the_guide_are_definitions_that_work(example: str) -> None:
    definition = load(example) if "space:" not in example else load_experiment(example, registry=Registry.default())
    assert definition.metric_constraints


def test_constraints_on_metrics_go_with_one_objective_too() -> None:
    definition = load("objective: {metric: error}\nmetric_constraints: [{metric: recall, at_least: 0.9, at_most: 1}]\n")
    assert definition.metric_constraints[0].bounds == "at least 0.9 and at most 1"
    assert definition.wanted_metrics == ["error", "recall"]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (BOTH + "objective: {metric: error}\n", "objectives", "exclude the objective: write either one objective"),
        ("trials: 3\n", "objective", "is missing; for example {metric: validation_error}"),
        ("objectives: []\n", "objective", "is missing; for example {metric: validation_error}"),
        ("objectives: [{metric: error}]\n", "objectives", "is one alone; write it as objective, or add another"),
        ("objectives: [{metric: error}, {metric: error}]\n", "objectives.1.metric", "'error' is named twice"),
        ("objectives: [{metric: error}, {metric: step}]\n", "objectives.1.metric", "'step' is the resource, too"),
        ("objectives: [{metric: error}, {metric: accuracy}]\n", "objectives.1", "is accuracy to be large or small?"),
        ("objectives: [{metric: a}, {metric: b, at_most: 3}]\n", "objectives.1.at_most", "no such field"),
        (BOTH + "stop: {target: 1}\n", "stop.target", "needs one objective; with several take flat"),
        (BOTH + "warm_start: [digits]\n", "warm_start", "needs one objective"),
        (BOTH + "scheduler: plateau\n", "scheduler", "plateau looks at one value alone and knows no objectives"),
        (BOTH + "metric_constraints: [{metric: m}]\n", "metric_constraints.0", "found no bound; write at_most"),
        (
            BOTH + "metric_constraints: [{metric: m, at_least: 3, at_most: 2}]\n",
            "metric_constraints.0.at_least",
            "at_least is 3 and at_most is 2; nothing is both",
        ),
        (
            BOTH + "metric_constraints: [{metric: m, at_most: 2}, {metric: m, at_least: 1}]\n",
            "metric_constraints.1.metric",
            "'m' is named twice; keep one of them",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_before_anything_runs(text: str, path: str, message: str) -> None:
    (found,) = problems(text)
    assert found[0] == path
    assert found[1].startswith(message)
