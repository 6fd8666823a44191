"""Tasks by name and options, as in ``curves:number=3,late=0.3``, made to fit an experiment or refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustertune.coordinator.simulation.task import Task
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.coordinator.simulation.tasks.hartmann import DIFFICULTIES, Hartmann
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.errors import Mistake, NoSuchName
from clustertune.model.parameters import Float
from clustertune.model.space import Space

_CURVES = {
    "number": int,
    "misleading": float,
    "late": float,
    "diverging": float,
    "noise": float,
    "step_seconds": float,
}
_HARTMANN = {"difficulty": str, "step_seconds": float}
_OPTIONS: Mapping[str, Mapping[str, type]] = {"hartmann3": _HARTMANN, "hartmann6": _HARTMANN, "curves": _CURVES}


def named_task(text: str, definition: ExperimentDefinition) -> Task:
    """The task called ``text``, which reports the experiment's metric up to its highest level.

    Raises NoSuchName, Mistake where an option is wrong or the task does not fit the experiment's search space, or the
    experiment wants more than one metric.
    """
    if len(definition.wanted_metrics) > 1:
        raise Mistake(
            f"task {text} reports one metric, and the experiment wants {', '.join(definition.wanted_metrics)}; the "
            "curves of an earlier experiment have them all: --recorded EXPERIMENT"
        )
    name, _, written = text.partition(":")
    if name not in _OPTIONS:
        raise NoSuchName("task", name, _OPTIONS)
    options = _read_options(name, written)
    options |= {"metric": definition.objective.metric, "sign": definition.objective.sign}
    if definition.resource.max is not None:
        options["max_resource"] = definition.resource.max
    try:
        task: Task = _make(name, options, definition.space)
    except ValueError as error:
        raise Mistake(f"task {name}: {error}") from error
    if problem := misfit(task.space, definition.space):
        raise Mistake(
            f"task {name} does not fit the experiment's search space: {problem}; the task curves fits every space"
        )
    return task


def misfit(wanted: Space, space: Space) -> str:
    """Why configurations of ``space`` are none for a task over ``wanted``; empty where they are."""
    if wanted == space:
        return ""
    if set(wanted.names) != set(space.names) or space.conditions:
        return f"it has the parameters {', '.join(wanted.names)}, and the experiment {', '.join(space.names) or 'none'}"
    for name in wanted.names:
        inner, outer = space.parameters[name], wanted.parameters[name]
        if not (
            isinstance(inner, Float) and isinstance(outer, Float) and outer.low <= inner.low <= inner.high <= outer.high
        ):
            return f"{name} must be {outer}, or a part of that, and is {inner}"
    return ""


def _make(name: str, options: dict[str, Any], space: Space) -> Task:
    if name == "curves":
        return Curves(space=space, **options)
    if (difficulty := options.pop("difficulty", None)) is not None:
        if difficulty not in DIFFICULTIES:
            raise NoSuchName("difficulty", difficulty, DIFFICULTIES)
        options["difficulty"] = DIFFICULTIES[difficulty]
    return Hartmann(dimensions=int(name.removeprefix("hartmann")), **options)


def _read_options(name: str, written: str) -> dict[str, Any]:
    known, found = _OPTIONS[name], {}
    for part in filter(None, written.split(",")):
        option, _, value = part.partition("=")
        if option not in known:
            raise NoSuchName(f"option of task {name}", option, known)
        try:
            found[option] = known[option](value)
        except ValueError as error:
            raise Mistake(f"task {name}: {option} takes {_KINDS[known[option]]}, found {value!r}") from error
    return found


_KINDS = {int: "an integer", float: "a number", str: "a word"}
