"""Values given on the command line."""

from __future__ import annotations

import pytest

from clustertune.definition.overrides import apply_overrides
from clustertune.definition.yaml_reader import parse

TEXT = """\
trials: 64
scheduler: asha
space:
  lr: {type: float, low: 1, high: 2}
  opt.beta: {type: float, low: 0, high: 1}
initial: [{lr: 1}, {lr: 2}]
"""


def overridden(*overrides: tuple[str, str]) -> dict[str, object]:
    document = apply_overrides(parse(TEXT, "x.yaml"), overrides)
    assert not document.problems
    return document.tree


def refused(path: str, value: str = "1") -> str:
    [problem] = apply_overrides(parse(TEXT, "x.yaml"), [(path, value)]).problems
    return str(problem)


def test_values_are_read_as_yaml() -> None:
    tree = overridden(("trials", "1e2"), ("space.lr.low", "1e-4"), ("env", "{A: on}"), ("name", "'5'"), ("seed", ""))
    assert (tree["trials"], tree["env"], tree["name"], tree["seed"]) == (100.0, {"A": "on"}, "5", None)
    assert tree["space"]["lr"]["low"] == 1e-4  # type: ignore[index]


def test_what_is_not_there_yet_is_made() -> None:
    assert overridden(("stop.time", "2h"))["stop"] == {"time": "2h"}
    assert overridden(("space.new.type", "int"))["space"]["new"] == {"type": "int"}  # type: ignore[index]


def test_lists_are_indexed_and_grow_at_their_end() -> None:
    assert overridden(("initial.1.lr", "7"))["initial"] == [{"lr": 1}, {"lr": 7}]
    assert overridden(("initial.2.lr", "7"))["initial"] == [{"lr": 1}, {"lr": 2}, {"lr": 7}]


def test_an_algorithm_by_its_bare_name_may_get_an_option() -> None:
    assert overridden(("scheduler.reduction_factor", "4"))["scheduler"] == {"type": "asha", "reduction_factor": 4}


def test_a_name_with_dots_in_it_is_found() -> None:
    tree = overridden(("space.opt.beta.high", "3"))
    assert tree["space"]["opt.beta"]["high"] == 3  # type: ignore[index]


def test_the_document_itself_is_left_as_it_was() -> None:
    document = parse(TEXT, "x.yaml")
    apply_overrides(document, [("space.lr.low", "9")])
    assert document.tree["space"]["lr"]["low"] == 1


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("initial.5.lr", "--set: initial.5.lr: initial is a list of 2; write a number from 0 to 2 for 5"),
        ("initial.x", "--set: initial.x: initial is a list of 2; write a number from 0 to 2 for 'x'"),
        ("trials.x", "--set: trials.x: trials is 64, and has no fields"),
        ("space..low", "--set: space..low: a path is names between dots, as in space.lr.low"),
        ("", "--set: a path is names between dots, as in space.lr.low"),
    ],
)
def test_a_path_that_leads_nowhere_is_told(path: str, told: str) -> None:
    assert refused(path) == told


def test_a_value_that_is_no_yaml_is_told() -> None:
    assert refused("trials", "[1, 2").startswith("--set: trials: a ] or a comma is missing")
    assert refused("trials", "010").startswith("--set: trials: 010 is octal to some readers")


def test_problems_of_overridden_values_are_not_blamed_on_the_file() -> None:
    document = apply_overrides(parse(TEXT, "x.yaml"), [("space.lr", "{type: int}")])
    assert str(document.problem(("space", "lr", "low"), "is missing")) == "--set: space.lr.low: is missing"
    assert str(document.problem(("space",), "m")) == "x.yaml:3: space: m"


def test_what_an_override_makes_on_its_way_is_its_own() -> None:
    document = apply_overrides(parse(TEXT, "x.yaml"), [("space.new.low", "3")])
    assert str(document.problem(("space", "new"), "type is missing")) == "--set: space.new: type is missing"
    assert str(document.problem(("space", "lr"), "m")) == "x.yaml:4: space.lr: m"
