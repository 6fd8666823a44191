"""One of our strategies on a task: the coordinator's own core, simulated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from benchmarks.search.suite import Measurable
from benchmarks.search.virtual_time import ROUNDING, Course
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.simulation import simulate
from clustertune.definition import load_experiment
from clustertune.model.parameters import Choice, Constant, Float, Int, Ordinal, Parameter
from clustertune.model.space import Space
from clustertune.search.registry import Registry

_TYPES = {Float: "float", Int: "int", Choice: "choice", Ordinal: "ordinal", Constant: "constant"}


def search(task: Measurable, options: Mapping[str, Any], *, slots: int, limit_s: float, seed: int) -> Course:
    """Nothing takes time but training, not even a slow searcher's answer: the same holds for peers."""
    written = {
        "name": "search-quality",
        "run": {"call": "no:thing"},
        "space": plain(task.space),
        "objective": {"metric": task.metric},
        "resource": {"name": "epoch", "max": task.max_resource},
        "trials": "unlimited",
        "stop": {"time": f"{limit_s * ROUNDING:.12f}s"},
        "checkpoints": {"supported": True},
        "seed": seed,
        **options,
    }
    # As a user's file is read, which is where defaults are chosen.
    definition = load_experiment(json.dumps(written, indent=1), registry=Registry.default())
    conditions = Conditions(machines=(Machine(slots=slots),), suggest_s=0.0, seed=seed)
    outcome = simulate(definition, task, conditions)
    path = [(incumbent.time_s, incumbent.value) for incumbent in outcome.path]
    idle_s = slots * outcome.time_s - outcome.compute_s
    return Course(path=path, trials=outcome.trials, reports=outcome.results, idle_s=idle_s)


def plain(space: Space) -> dict[str, Any]:
    """A search space as a definition has it."""
    return {
        name: {**_plain(parameter), **({"when": dict(condition)} if (condition := _when(space, name)) else {})}
        for name, parameter in space.parameters.items()
    }


def _plain(parameter: Parameter) -> dict[str, Any]:
    found = {field.name: getattr(parameter, field.name) for field in fields(parameter)}
    lists = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    return {"type": _TYPES[type(parameter)], **{name: value for name, value in lists.items() if value is not None}}


def _when(space: Space, name: str) -> dict[str, Any]:
    return {parent: list(values) for parent, values in space.conditions.get(name, {}).items()}
