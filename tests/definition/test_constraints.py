"""Constraints in a definition: kept, applied, and all that is wrong with them told at once."""

from __future__ import annotations

import json

import pytest

from clustertune.definition import inspect_experiment, load_experiment
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.definition.schema import json_schema
from clustertune.search.registry import Registry

REGISTRY = Registry.default()
TEXT = """\
run: {call: "train:train"}
space:
  hidden: {type: int, low: 8, high: 4096, log: true}
  depth:  {type: int, low: 1, high: 16}
  solver: {type: choice, values: [sgd, adam]}
  lr:     {type: float, low: 1.0e-4, high: 1.0, log: true}
constraints:
  - hidden * depth <= 4096
  - lr < 0.1 or solver == 'sgd'
objective: {metric: error, goal: minimize}
"""


def problems(text: str) -> list[tuple[str, int, str]]:
    inspected = inspect_experiment(text, registry=REGISTRY)
    return [(problem.path, problem.line, problem.message) for problem in inspected.problems]


def test_constraints_are_part_of_the_space_and_survive_the_journal() -> None:
    definition = load_experiment(TEXT, registry=REGISTRY)
    again = ExperimentDefinition.from_plain(json.loads(json.dumps(definition.to_plain())))
    assert again.constraints == ["hidden * depth <= 4096", "lr < 0.1 or solver == 'sgd'"]
    assert again.space == definition.space
    assert not again.space.allows({"hidden": 4096, "depth": 2, "solver": "sgd", "lr": 0.01})
    assert again.space.allows({"hidden": 256, "depth": 2, "solver": "sgd", "lr": 0.5})


def test_every_mistake_is_told_with_its_line() -> None:
    text = TEXT.replace("hidden * depth", "hiden * depth").replace("'sgd'", "'sdg'")
    assert problems(text) == [
        ("constraints.0", 8, "at character 1: there is no parameter 'hiden'; did you mean 'hidden'?"),
        ("constraints.1", 9, "at character 23: 'sdg' is no value of solver; did you mean 'sgd'?"),
    ]


def test_a_broken_parameter_hides_no_mistake_in_a_constraint_and_causes_none() -> None:
    text = TEXT.replace("low: 1,", "low: 20,").replace("hidden * depth", "hidden * depth * hiden")
    assert [(path, line) for path, line, _ in problems(text)] == [("space.depth.low", 4), ("constraints.0", 8)]
    assert [path for path, _, _ in problems(TEXT.replace("low: 1,", "low: 20,"))] == ["space.depth.low"]
    assert [path for path, _, _ in problems(TEXT.replace("low: 1,", "low: x,"))] == ["space.depth.low"]


def test_a_broken_item_hides_no_mistake_in_another() -> None:
    text = TEXT.replace("hidden * depth <= 4096", "7").replace("lr < 0.1", "lrr < 0.1")
    assert [path for path, _, _ in problems(text)] == ["constraints.0", "constraints.1"]


@pytest.mark.parametrize(
    ("initial", "path", "message"),
    [
        (
            "{hidden: 4096, depth: 2}",
            "initial.0.hidden",
            "breaks the constraint 'hidden * depth <= 4096': hidden is 4096, depth is 2",
        ),
        ("{lr: 0.5, solver: adam}", "initial.0.solver", "breaks the constraint \"lr < 0.1 or solver == 'sgd'\": "),
    ],
)
def test_a_users_configuration_must_keep_them(initial: str, path: str, message: str) -> None:
    [(found, line, text)] = problems(f"{TEXT}initial: [{initial}]\n")
    assert (found, line) == (path, 11)
    assert text.startswith(message)
    assert problems(f"{TEXT}initial: [{{hidden: 4096}}, {{lr: 0.5}}]\n") == []


def test_values_that_nothing_completes_are_told() -> None:
    text = TEXT.replace("hidden * depth <= 4096", "hidden * depth <= 4000") + "initial: [{hidden: 4001}]\n"
    [(path, line, message)] = problems(text)
    assert (path, line) == ("initial.0", 11)
    assert message == "found no values for the rest that the constraints allow together with these"


def test_a_space_in_which_nothing_is_allowed_is_refused() -> None:
    [(path, line, message)] = problems(TEXT.replace("<= 4096", "<= 4"))
    assert (path, line) == ("constraints", 7)
    assert message == "no configuration is allowed by 'hidden * depth <= 4'"


def test_the_schema_has_them() -> None:
    field = json_schema("experiment", REGISTRY)["properties"]["constraints"]
    assert (field["type"], field["items"]["type"]) == ("array", "string")
    assert field["examples"] == [["hidden * depth <= 4096"]]
