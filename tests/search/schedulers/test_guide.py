"""The guide's examples are definitions that work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clustertune.definition import load_experiment
from clustertune.search.registry import Registry
from clustertune.search.schedulers.ladder import hyperband_brackets

GUIDE = (Path(__file__).parents[3] / "docs" / "guide" / "schedulers.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
[LEARNED] = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
REST = "run: {call: 'train:train'}\nspace: {lr: {type: float, low: 0, high: 1}}\nobjective: {metric: error}\n"


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_a_sound_definition(example: str, tmp_path: Path) -> None:
    (tmp_path / "schedule.json").write_text(LEARNED)
    file = tmp_path / "experiment.yaml"
    file.write_text(REST + example)
    definition = load_experiment(file, registry=Registry.default())
    assert definition.scheduler.type in example
    made = Registry.default().make_scheduler(
        definition.scheduler.type,
        definition.scheduler.options,
        space=definition.space,
        min_resource=definition.resource.min,
        max_resource=definition.resource.max,
        seed=0,
    )
    assert made.next() is not None


def test_every_scheduler_stands_in_the_table_and_all_but_the_simplest_have_an_example() -> None:
    table = re.findall(r"^\| `([\w-]+)` \|", GUIDE, re.MULTILINE)
    assert sorted(table) == sorted(Registry.default().scheduler_names())
    shown = {load.group(1) for example in EXAMPLES if (load := re.search(r"(?:type|scheduler): ([\w-]+)", example))}
    assert shown == set(table) - {"fifo"}


def test_the_table_says_which_of_them_pause() -> None:
    registry = Registry.default()
    for name, pauses in re.findall(r"^\| `([\w-]+)` \|[^|]*\| ([^|]*) \|", GUIDE, re.MULTILINE):
        options = {"schedule": LEARNED} if name == "population-based-replay" else {}
        assert registry.scheduler_pauses(name, options) == pauses.startswith("yes")


def test_the_numbers_of_a_loop_are_those_of_the_algorithm() -> None:
    sizes = [bracket.sizes[0] for bracket in hyperband_brackets(1, 81, 3)]
    assert sizes == [81, 34, 15, 8, 5]
    assert "143" in GUIDE
    assert sum(sizes) == 143
    assert sum(bracket.sizes[0] for bracket in hyperband_brackets(1, 27, 3)) == 49
