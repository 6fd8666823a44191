"""Experiments from YAML: what is taken, what is refused, and with which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clustertune.definition import ExperimentDefinition, check_experiment, load_experiment
from clustertune.model.errors import DefinitionMistake, Problem
from clustertune.model.instance import Demand
from clustertune.model.space import Choice, Float, Int, Space
from clustertune.search.registry import Registry

DIGITS = """\
name: digits
run: {call: "train:train"}
space:
  lr:       {type: float, low: 1e-4, high: 1.0, log: true}
  hidden:   {type: int, low: 8, high: 256, log: yes}
  solver:   {type: choice, values: [sgd, adam]}
  momentum: {type: float, low: 0.0, high: 0.99, when: {solver: sgd}}
objective: {metric: validation_error, goal: minimize}
resource:  {name: epoch, min: 1, max: 81}
scheduler: {type: asha, reduction_factor: 3}
searcher:  random
trials: 64
per_trial: {cpus: 1, gpus: 0.25, gpu_memory: 8GiB}
stop: {time: 2h, cost: 20 USD, target: 0.01, flat: 20}
retries: 2
seed: 7
"""

SMALL = """\
run: {command: "./train --lr {lr} {args}"}
space: {lr: {type: float, low: 0, high: 1}}
objective: {metric: loss}
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(text: str) -> Path:
        path = tmp_path / "my experiment.yaml"
        path.write_text(text)
        return path

    return to_file


def load(source: Path | str, *overrides: tuple[str, str]) -> ExperimentDefinition:
    return load_experiment(source, registry=Registry.default(), overrides=overrides)


def problems(source: Path | str, *overrides: tuple[str, str]) -> list[Problem]:
    with pytest.raises(DefinitionMistake) as caught:
        load(source, *overrides)
    return list(caught.value.problems)


def problem(source: Path | str, *overrides: tuple[str, str]) -> Problem:
    found = problems(source, *overrides)
    assert len(found) == 1, found
    return found[0]


def test_the_example_of_the_guide_is_read_with_units_in_its_names() -> None:
    definition = load(DIGITS)
    assert definition.space == Space(
        {
            "lr": Float(1e-4, 1.0, log=True),
            "hidden": Int(8, 256, log=True),
            "solver": Choice(("sgd", "adam")),
            "momentum": Float(0.0, 0.99),
        },
        {"momentum": {"solver": ("sgd",)}},
    )
    assert definition.per_trial.demand == Demand(cpus=1, gpus=0.25, gpu_memory_bytes=8 * 2**30)
    assert (definition.stop.time_s, definition.stop.cost_usd) == (7200, 20)
    assert (definition.stop.target, definition.stop.flat) == (0.01, 20)
    assert definition.scheduler.options == {"reduction_factor": 3, "brackets": 1, "loop": None}
    assert definition.objective.sign == 1.0


def test_the_smallest_experiment_gets_sensible_defaults(write: Write) -> None:
    definition = load(write(SMALL))
    assert definition.name == "my-experiment"
    assert (definition.scheduler.type, definition.searcher.type) == ("fifo", "bayesian")
    assert (definition.trials, definition.retries, definition.seed, definition.workdir) == (64, 0, 0, ".")
    assert (definition.resource.name, definition.resource.min, definition.resource.max) == ("step", 1, None)
    assert (definition.grace_s, definition.trial_time_s, definition.parallel) == (10, None, None)


def test_what_is_chosen_automatically_is_complete_and_says_why() -> None:
    scheduler = load(SMALL + "resource: {max: 81}\n").scheduler
    assert scheduler.type == "asha"
    assert scheduler.options == {"reduction_factor": 3, "brackets": 5, "loop": 64}
    assert "take turns" in scheduler.because
    written = load(SMALL + "resource: {max: 81}\nscheduler: {type: auto}\nsearcher: auto\n")
    assert written.scheduler == scheduler
    assert written.searcher.because


def test_a_searcher_of_the_users_own_is_not_explained_and_auto_takes_no_options() -> None:
    definition = load(SMALL + "searcher: random\n")
    assert (definition.searcher.type, definition.searcher.because) == ("random", "")
    assert "because" not in definition.to_plain()["searcher"]
    assert problem(SMALL, ("searcher", "{type: auto, points: 3}")).message.startswith("auto takes no options")
    assert "no such" in problem(SMALL, ("searcher", "{type: random, because: mine}")).message


@pytest.mark.parametrize("broken", ["trials: -3\n", "resource: {max: x}\n", "parallel: 0\n"])
def test_what_an_automatic_choice_depends_on_is_the_only_thing_said_to_be_wrong(broken: str) -> None:
    assert problem(SMALL + broken).path in ("trials", "resource.max", "parallel")


def test_a_grid_has_no_other_limit_than_its_own_unless_one_is_given() -> None:
    assert load(SMALL + "searcher: {type: grid, points: 3}\n").trials is None
    assert load(SMALL + "searcher: grid\ntrials: 10\n").trials == 10


def test_a_larger_value_can_be_the_better() -> None:
    assert load(SMALL + "", ("objective.goal", "maximize")).objective.sign == -1.0


@pytest.mark.parametrize("text", [DIGITS, SMALL], ids=["digits", "small"])
def test_a_definition_survives_the_journal_exactly(text: str) -> None:
    definition = load(text)
    plain = json.loads(json.dumps(definition.to_plain(), allow_nan=False))
    assert ExperimentDefinition.from_plain(plain) == definition
    assert ExperimentDefinition.from_plain(plain).to_plain() == plain
    assert check_experiment(ExperimentDefinition.from_plain(plain), registry=Registry.default()) == []


def test_the_plain_form_has_the_names_of_the_file_and_base_units() -> None:
    plain = load(DIGITS).to_plain()
    assert plain["stop"] == {"time": 7200.0, "cost": 20.0, "target": 0.01, "flat": 20}
    assert plain["per_trial"]["gpu_memory"] == 8 * 2**30
    assert plain["scheduler"] == {"type": "asha", "reduction_factor": 3, "brackets": 1, "loop": None}
    assert plain["space"]["momentum"]["when"] == {"solver": ["sgd"]}


def test_a_plain_form_that_is_none_is_refused_as_a_mistake() -> None:
    with pytest.raises(DefinitionMistake) as caught:
        ExperimentDefinition.from_plain({"run": {"call": "a:b"}, "space": {}, "objectiv": 3})
    assert {found.path for found in caught.value.problems} == {"objective", "objectiv"}


def test_a_checked_definition_tells_what_another_program_got_wrong() -> None:
    plain = {**load(SMALL).to_plain(), "trials": None, "resource": {"name": "loss", "min": 3, "max": 2}}
    found = check_experiment(ExperimentDefinition.from_plain(plain), registry=Registry.default())
    assert [item.path for item in found] == ["objective.metric", "resource.min", "trials"]


def test_all_mistakes_are_told_at_once_each_with_its_line(write: Write) -> None:
    text = DIGITS.replace("low: 1e-4", "lwo: 1e-4").replace("values: [sgd", "values: [sgd, sgd")
    text = text.replace("minimize", "minimise").replace("2h", "2 parsecs").replace("seed: 7", "sed: 7")
    file = write(text.replace("retries: 2", "retries: -1").replace("type: asha", "type: ahsa"))
    assert [str(item) for item in problems(file)] == [
        f"{file}:4: space.lr.low: is missing; for example 0.0001",
        f"{file}:4: space.lr.lwo: no such field; did you mean 'low'?",
        f"{file}:6: space.solver.values: 'sgd' occurs twice",
        f"{file}:8: objective.goal: must be minimize or maximize, found 'minimise'; did you mean 'minimize'?",
        f"{file}:10: scheduler.type: there is no scheduler called 'ahsa'; did you mean 'asha'?",
        f"{file}:14: stop.time: '2 parsecs' is not a duration; write for example 90s, 5m, 1h30m, 2d",
        f"{file}:15: retries: must be at least 0, found -1",
        f"{file}:16: sed: no such field; did you mean 'seed'?",
    ]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("run", "{}", "found neither of call and command"),
        ("run", "{call: 'a:b', command: c}", "found both of call and command"),
        ("run", "{call: 'a:b', shell: true}", "goes with command, and not with call"),
        ("run", "{call: train.py}", "'train.py' is not module:function; write for example train:train"),
        ("run", "{call: 'train.py:fit'}", "did you mean 'train:fit'?"),
        ("run", "{call: 'src/train.py:fit'}", "did you mean 'src.train:fit'?"),
        ("run", "{call: train.fit}", "did you mean 'train:fit'?"),
        ("run", "train:train", "expected a mapping, found 'train:train'; for example {call: \"train:train\"}"),
        ("run.command", "t {lrr}", "{lrr} is no parameter (braces themselves are written {{lrr}}); did you mean 'lr'?"),
        ("run.command", "'t \"x'", "cannot be split into words: no closing quotation"),
        ("run.command", "t {lr} | tee log", "'|' means nothing without a shell; add shell: true"),
        ("run.command", "' '", "is empty"),
        ("space.lr", "0.1", "for a fixed value write {type: constant, value: 0.1}"),
        ("space.lr", "[1, 2]", "write {type: choice, values: [1, 2]}"),
        ("space.lr", "{low: 1, high: 2}", "type is missing; write type: float, int, choice, ordinal or constant"),
        ("space.lr", "{type: flaot, low: 1, high: 2}", "there is no parameter type 'flaot'; did you mean 'float'?"),
        ("space.lr.low", "1", "low is 1 and high is 1; low must be less than high"),
        ("space.lr.low", "'0.5'", "expected a number, found '0.5'"),
        ("space.lr.low", "-.inf", "expected a finite number"),
        ("space.lr.log", "true", "a log scale needs low > 0"),
        ("space.lr.log", "maybe", "expected true or false, found 'maybe'"),
        ("space.lr.step", "0.3", "the last value would be 0.9"),
        ("space.n", "{type: int, low: 0.5, high: 3}", "expected an integer, found 0.5"),
        ("space.n", "{type: choice, values: [a, null]}", "found nothing; a value is text, a number, true or false"),
        ("space.n", "{type: choice, values: []}", "the list is empty"),
        ("space.n", "{type: choice, values: [1, 2], when: {lx: 3}}", "depends on 'lx', which is no parameter"),
        ("space.n", "{type: choice, values: [1], when: {n: 1}}", "depends on itself"),
        ("space.n", "{type: choice, values: [1], when: [lr]}", "expected a mapping such as {solver: sgd}"),
        ("space.args", "{type: choice, values: [1, 2]}", "stands for all the parameters"),
        ("space.value", "{type: choice, values: [1, 2]}", "trials.csv has a column 'value' already"),
        ("space.begins_at", "{type: choice, values: [1, 2]}", "trials.csv has a column 'begins_at' already"),
        ("space.a b", "{type: choice, values: [1, 2]}", "is no name of a parameter"),
        ("objective.metric", "step", "'step' is the resource, too"),
        ("objective.metric", "val_accuracy", "Write goal: maximize, or goal: minimize"),
        ("objective.metric", "3", "expected text, found 3; put it in quotes"),
        ("objective.take", "first", "must be best or last, found 'first'"),
        ("resource", "{min: 10, max: 3}", "min is 10 and max is 3"),
        ("resource.max", "0", "must be at least 1, found 0"),
        ("scheduler", "asha", "add resource: {max: …}, or use fifo"),
        ("scheduler", "{reduction_factor: 4}", "type is missing; known: asha, asha-promotion, async-hyperband, auto"),
        ("scheduler", "hyperbanding", "there is no scheduler called 'hyperbanding'; did you mean 'hyperband'?"),
        ("scheduler", "[asha]", "expected a name or a mapping with a type, found a list"),
        ("searcher", "{type: grid, points: 1}", "must be at least 2, found 1"),
        ("searcher", "{type: grid, point: 3}", "no such field; did you mean 'points'?"),
        ("trials", "unlimited", "without a limit the experiment never ends"),
        ("trials", "0", "must be at least 1, found 0"),
        ("trials", "many", "expected an integer, found 'many'"),
        ("per_trial.gpus", "1.5", "a share of one GPU (0.25), or a whole number of them"),
        ("per_trial.gpu_memory", "1GiB", "needs gpus"),
        ("per_trial.cpus", "0", "must be more than 0, found 0"),
        ("per_trial.memory", "lots", "'lots' is not a size"),
        ("stop.time", "0", "must be more than 0, found 0"),
        ("stop.cost", "5 EUR", "is not an amount of US dollars"),
        ("stop.flats", "5", "no such field; did you mean 'flat'?"),
        ("metrics", "[{name: a, regex: '(a'}]", "is no regular expression: missing )"),
        ("metrics", "[{name: a, regex: '(a)(b)'}]", "has 2 groups"),
        ("metrics", "[{name: a, regex: 'a'}]", "has 0 groups"),
        ("metrics", "{name: a, regex: '(a)'}", "expected a list, found a mapping"),
        ("initial", "[{lr: 3}]", "must lie from 0 to 1, found 3"),
        ("initial", "[{lrr: 3}]", "no such parameter; did you mean 'lr'?"),
        ("initial", "{lr: 3}", "expected a list, found a mapping"),
        ("env", "{A B: 1}", "is no name of an environment variable"),
        ("env", "{CLUSTERTUNE_X: 1}", "is set by clustertune itself"),
        ("env", "{A: [1]}", "expected text, found a list"),
        ("secrets", "[a-b]", "is no name of an environment variable"),
        ("seed", "-1", "must be at least 0"),
        ("seed", "9007199254740993", "must lie within ±2**53"),
        ("name", "My Run!", "write my-run"),
        ("name", "'-'", "write experiment"),
        ("constraints", "lr < 0.5", "expected a list, found 'lr < 0.5'; for example [\"hidden * depth <= 4096\"]"),
        ("constraints", "[3]", "expected text, found 3"),
        ("constraints", "[lrr < 0.5]", "at character 1: there is no parameter 'lrr'; did you mean 'lr'?"),
        ("constraints", "[lr < 0.5, lr * 2]", "lr * 2 is neither true nor false; compare it, as in lr * 2 <= 1"),
        ("constraints", "[lr > 2]", "of 30,000 configurations drawn from the space none can be tried under 'lr > 2'"),
        ("warm_start", "x", "expected a list, found 'x'; for example [digits]"),
        ("warm_start", "[experiment]", "'experiment' is this experiment itself; give this one another name"),
        ("warm_start", "[a, b, a]", "'a' is named twice; keep one of them"),
        ("warm_start", "[3]", "expected text, found 3"),
        ("trails", "3", "no such field; did you mean 'trials'?"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_what_is_allowed(path: str, value: str, message: str) -> None:
    found = problem(SMALL, (path, value))
    assert message in found.message
    assert found.path.startswith(path.partition(".")[0])
    assert "pydantic" not in found.message


def test_a_space_must_hold_something() -> None:
    run = ("run", "{call: 'a:b'}")
    assert problem(SMALL, run, ("space", "{}")).message.startswith("names no parameter; write for example {lr: ")
    assert problem(SMALL, run, ("space", "[]")).message.startswith("expected a mapping, found a list; for example")


def test_two_groups_are_fine_where_one_is_called_value() -> None:
    assert load(SMALL, ("metrics", "[{name: a, regex: '(a|b)=(?P<value>.*)'}]")).metrics[0].name == "a"


def test_unlimited_trials_go_with_a_condition_to_stop() -> None:
    assert load(SMALL, ("trials", "unlimited"), ("stop.time", "1h")).trials is None
    assert load(SMALL, ("trials", ""), ("stop.flat", "5")).trials is None


def test_conditions_in_a_circle_are_told_with_the_way_around() -> None:
    a, b = "{type: choice, values: [1, 2], when: {b: 1}}", "{type: choice, values: [1, 2], when: {a: 1}}"
    assert problem(SMALL, ("space.a", a), ("space.b", b)).message == "its condition goes in a circle: a → b → a"


def test_one_broken_parameter_hides_no_mistake_in_another() -> None:
    found = problems(
        SMALL, ("space.a", "{type: int, low: x, high: 3}"), ("space.lr.low", "7"), ("run.command", "t {b}")
    )
    assert {item.path for item in found} == {"space.a.low", "space.lr.low", "run.command"}


def test_one_broken_list_item_hides_no_mistake_in_another() -> None:
    found = problems(SMALL, ("metrics", "[{name: a}, {name: b, regex: '('}]"))
    assert [item.path for item in found] == ["metrics.0.regex", "metrics.1.regex"]


def test_a_condition_on_a_broken_parameter_is_not_blamed() -> None:
    a, b = "{type: choice, values: []}", "{type: choice, values: [1, 2], when: {a: 1}}"
    assert problem(SMALL, ("space.a", a), ("space.b", b)).path == "space.a.values"


def test_fields_left_empty_are_as_good_as_left_out() -> None:
    definition = load(SMALL + "stop:\nenv:\nmetrics:\nparallel:\n")
    assert not definition.stop.is_set
    assert (definition.env, definition.metrics, definition.parallel) == ({}, [], None)
    assert [item.path for item in problems("run:\nspace:\nobjective:\n")] == ["run", "space", "objective"]


def test_environment_values_are_text_whatever_they_look_like() -> None:
    assert load(SMALL, ("env", "{A: 1, B: true, C: x, D: 0.5}")).env == {"A": "1", "B": "true", "C": "x", "D": "0.5"}


def test_whole_numbers_may_be_written_as_floats() -> None:
    assert load(SMALL, ("trials", "1e3")).trials == 1000


def test_where_a_definition_was_read_makes_it_no_other(write: Write) -> None:
    text = "name: one\n" + SMALL
    assert load(write(text)) == load(text)
    assert load(write(text)).origin.problem(("space", "lr"), "x").line == 3
