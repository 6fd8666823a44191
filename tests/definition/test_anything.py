"""Whatever is written, there is a definition that works, or a mistake that says why not."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from clustertune.definition import ExperimentDefinition, check_program, load_experiment
from clustertune.model.errors import DefinitionMistake
from clustertune.search.registry import Registry

TEXT = """\
name: digits
run: {command: "python train.py {args}"}
space:
  lr: {type: float, low: 1e-4, high: 1.0, log: true}
  hidden: {type: int, low: 8, high: 256, step: 8}
  solver: {type: choice, values: [sgd, adam]}
  momentum: {type: float, low: 0.0, high: 0.9, when: {solver: sgd}}
objective: {metric: error, goal: minimize}
resource: {name: epoch, min: 1, max: 81}
scheduler: {type: asha, reduction_factor: 3}
searcher: {type: grid, points: 3}
per_trial: {cpus: 1, memory: 1GiB}
stop: {time: 2h, flat: 20}
metrics: [{name: error, regex: "error (.*)"}]
initial: [{lr: 0.1}]
env: {A: b}
secrets: [B]
"""

PATHS = (
    "name", "run", "run.call", "run.command", "run.shell", "space", "space.lr", "space.lr.low", "space.lr.high",
    "space.lr.log", "space.hidden.step", "space.lr.type", "space.solver.values", "space.solver.values.0",
    "space.momentum.when", "space.momentum.when.solver", "objective", "objective.metric", "objective.goal", "resource",
    "resource.min", "resource.max", "scheduler", "scheduler.type", "scheduler.reduction_factor", "searcher",
    "searcher.type", "searcher.points", "trials", "per_trial", "per_trial.gpus", "per_trial.memory", "stop",
    "stop.time", "stop.target", "stop.flat", "seed", "metrics", "metrics.0", "metrics.0.regex", "trial_time", "grace",
    "initial", "initial.0", "initial.0.lr", "env", "env.A", "secrets", "secrets.0", "python", "workdir", "parallel",
    "foo", "a..b", "",
)  # fmt: skip

VALUES = (
    "", "null", "1", "-1", "0", "2.5", "1e400", "-1e400", "9" * 400, "9" * 5000, ".nan", ".inf", "[]", "{}", "[1]",
    "{a: 1}", "true", "yes", "'x'", "''", "[[]]", "{type: float}", "{type: int, low: 1, high: 9007199254740993}",
    "asha", "grid", "sobol", "{type: [1]}", "{type: {}}", "[{lr: 1}]", "[{name: a, regex: (a)}]", "1e-320", '"\\ud800"',
    '"a\\0b"', "2h", "8GiB", "{lr: {type: choice, values: [.nan]}}", "{'': 1}", "!!binary aGk=", "&a [*a]", "*a",
    "[1", "010",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.one_of(st.sampled_from(VALUES), st.text(max_size=8))), max_size=3))
def test_a_definition_with_anything_in_it_works_or_says_why_not(overrides: list[tuple[str, str]]) -> None:
    registry = Registry.default()
    try:
        definition = load_experiment(TEXT, registry=registry, overrides=overrides)
    except DefinitionMistake as caught:
        mistake = caught
    else:
        works(definition, registry)
        return
    assert all(0 < len(problem.message) <= 600 for problem in mistake.problems)


def works(definition: ExperimentDefinition, registry: Registry) -> None:
    plain = json.loads(json.dumps(definition.to_plain(), allow_nan=False))
    assert ExperimentDefinition.from_plain(plain) == definition
    searcher, scheduler, resource = definition.searcher, definition.scheduler, definition.resource
    made = registry.make_searcher(
        searcher.type, searcher.options, space=definition.space, seed=definition.seed, initial=definition.initial
    )
    assert made.propose(1) if hasattr(made, "propose") else made.suggest(0)
    registry.make_scheduler(
        scheduler.type,
        scheduler.options,
        space=definition.space,
        min_resource=resource.min,
        max_resource=resource.max,
        seed=definition.seed,
    ).target(0)
    check_program(definition, Path("/"), registry=registry)
