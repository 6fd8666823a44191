"""The examples of the guides to searchers and spaces are definitions that work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clustertune.definition import load_experiment
from clustertune.model.constraint_text import FUNCTIONS, LONGEST
from clustertune.search.registry import Registry

GUIDES = Path(__file__).parents[3] / "docs" / "guide"
SEARCHERS, SPACES = ((GUIDES / name).read_text("utf-8") for name in ("searchers.md", "spaces.md"))
REST = "run: {call: 'train:train'}\nobjective: {metric: error}\n"
SPACE = "space: {lr: {type: float, low: 0, high: 1}}\n"
REGISTRY = Registry.default()


def examples(guide: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)


@pytest.mark.parametrize("example", examples(SEARCHERS))
def test_each_searcher_of_the_guide_proposes_something(example: str) -> None:
    definition = load_experiment(REST + SPACE + example, registry=REGISTRY)
    choice = definition.searcher
    assert choice.type in example
    made = REGISTRY.make_searcher(choice.type, choice.options, space=definition.space, seed=0)
    if REGISTRY.searcher_design(choice.type, choice.options, space=definition.space) is None:
        assert definition.space.check(made.suggest(0)) == []  # type: ignore[arg-type]
    else:
        assert len(made.propose(1)) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("example", examples(SPACES))
def test_each_space_of_the_guide_is_sound_and_searched(example: str) -> None:
    definition = load_experiment(REST + example, registry=REGISTRY)
    assert definition.constraints
    searcher = REGISTRY.make_searcher("random", {}, space=definition.space, seed=0, initial=definition.initial)
    for trial in range(20):
        config = searcher.suggest(trial)
        assert isinstance(config, dict)
        assert definition.space.check(config) == []


def test_every_searcher_stands_in_the_table_which_says_whether_it_is_slow() -> None:
    table = dict(re.findall(r"^\| `([\w-]+)` \|[^|]*\| ([^|]*) \|", SEARCHERS, re.MULTILINE))
    assert sorted(table) == sorted(REGISTRY.searcher_names())
    space = load_experiment(REST + SPACE, registry=REGISTRY).space
    for name, learns in table.items():
        slow = REGISTRY.searcher_design(name, {}, space=space) is not None
        assert slow is ("process of its own" in learns)


def test_the_guide_names_every_function_and_the_limit() -> None:
    assert all(f"`{name}`" in SPACES for name in FUNCTIONS)
    assert f"At most {LONGEST} characters" in SPACES


def test_what_the_guide_says_of_parameters_that_are_not_there_is_so() -> None:
    definition = load_experiment(REST + examples(SPACES)[0], registry=REGISTRY)
    space = type(definition.space)(
        definition.space.parameters, definition.space.conditions, ["momentum > lr", "momentum > lr and lr < 0.5"]
    )
    adam = {"hidden": 8, "depth": 1, "solver": "adam"}
    assert space.allows({**adam, "lr": 0.4})
    assert not space.allows({**adam, "lr": 0.6})
