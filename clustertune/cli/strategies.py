"""Which strategies are compared in virtual time, and on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from clustertune.coordinator.simulation.comparison import Strategy
from clustertune.coordinator.simulation.task import Task
from clustertune.coordinator.simulation.tasks.named import named_task
from clustertune.coordinator.simulation.tasks.recorded import Recorded, read_recorded
from clustertune.definition import AlgorithmChoice, ExperimentDefinition, load_experiment
from clustertune.model.errors import DefinitionMistake, Mistake, Problem
from clustertune.search.registry import Registry

DEFAULT_TASK = "curves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command was told. ``time``: every strategy gets so much virtual time, and trials without limit."""

    searchers: Sequence[str]
    schedulers: Sequence[str]
    overrides: Sequence[str]
    time: str | None


def strategies(path: Path, wanted: Wanted) -> list[Strategy]:
    """Each searcher with each scheduler; where neither is named, the definition's own, and random with fifo and asha.

    Raises DefinitionMistake with all that is wrong.
    """
    own = _load(path, wanted)
    if wanted.searchers or wanted.schedulers:
        named = product(wanted.searchers or (None,), wanted.schedulers or (None,))
        return _named([_load(path, wanted, *pair) for pair in named])
    plain = [("random", "fifo"), *([("random", "asha")] if own.resource.max is not None else [])]
    others = [_load(path, wanted, *pair) for pair in plain]
    different = [x for x in others if _chosen(x) != _chosen(own)]
    return _named([own, *different])


def stand_in(task: str | None, recorded: str | None, definition: ExperimentDefinition) -> tuple[Task, str]:
    """What is tuned instead of the program, and a line that says so. Raises Mistake."""
    if task is not None and recorded is not None:
        raise Mistake("--task and --recorded exclude each other: leave one of them out")
    if definition.objectives:
        raise Mistake("strategies are compared by one best value: simulate knows no objectives, only an objective")
    if recorded is not None:
        found = _recorded(recorded, definition)
        left = f", {found.left_out} more lie outside of this search space" if found.left_out else ""
        left += f", {found.clones} more are clones, which went on from another's checkpoint" if found.clones else ""
        return found, f"{len(found.trials)} recorded trials of {recorded}{left}; others report what the nearest did"
    return named_task(task or DEFAULT_TASK, definition), f"task {task or DEFAULT_TASK}"


def among_recorded(chosen: Sequence[Strategy], task: Task) -> list[Strategy]:
    """The same strategies, which try the recorded configurations alone, in their order. Raises Mistake."""
    if not isinstance(task, Recorded):
        raise Mistake("--only-recorded is for recorded trials: add --recorded EXPERIMENT")
    configs = [dict(trial.config) for trial in task.trials]
    update = {"initial": configs, "trials": len(configs)}
    return [Strategy(name=one.name, definition=one.definition.model_copy(update=update)) for one in chosen]


def _load(
    path: Path, wanted: Wanted, searcher: str | None = None, scheduler: str | None = None
) -> ExperimentDefinition:
    pairs = []
    for override in wanted.overrides:
        field, equals, value = override.partition("=")
        if not equals:
            raise Mistake(f"--set takes path=value, as in --set trials=20, but got {override!r}")
        pairs.append((field.strip(), value))
    options = {
        "--searcher": ("searcher", searcher),
        "--scheduler": ("scheduler", scheduler),
        "--time": ("stop.time", wanted.time),
    }
    given = {option: (field, value) for option, (field, value) in options.items() if value is not None}
    try:
        definition = load_experiment(path, registry=Registry.default(), overrides=[*pairs, *given.values()])
    except DefinitionMistake as mistake:
        fields = {field: option for option, (field, _) in given.items()}
        raise DefinitionMistake([_by_option(problem, fields) for problem in mistake.problems]) from mistake
    # Only now: what auto stands for depends on the trials, and is to be that of the experiment as it would run.
    return definition if wanted.time is None else definition.model_copy(update={"trials": None})


def _by_option(problem: Problem, fields: Mapping[str, str]) -> Problem:
    """What is wrong with a field that an option set is wrong with the option."""
    for field, option in fields.items():
        if problem.file is None and f"{problem.path}.".startswith(f"{field}."):
            return replace(problem, option=option, path=problem.path[len(field) + 1 :])
    return problem


def _named(definitions: Sequence[ExperimentDefinition]) -> list[Strategy]:
    """By searcher and scheduler, and their options where that does not tell one from another."""
    short = [f"{x.searcher.type} + {x.scheduler.type}" for x in definitions]
    long = [f"{_with_options(x.searcher)} + {_with_options(x.scheduler)}" for x in definitions]
    names = [brief if short.count(brief) == 1 else full for brief, full in zip(short, long, strict=True)]
    return [Strategy(name=name, definition=x) for name, x in zip(names, definitions, strict=True)]


def _chosen(definition: ExperimentDefinition) -> object:
    return [(choice.type, choice.options) for choice in (definition.searcher, definition.scheduler)]


def _with_options(choice: AlgorithmChoice) -> str:
    options = ", ".join(f"{name} {value}" for name, value in choice.options.items() if value is not None)
    return f"{choice.type} ({options})" if options else choice.type


def _recorded(name: str, definition: ExperimentDefinition) -> Recorded:
    folder = Path(name)
    if (folder / "trials.csv").is_file():
        texts = [_text(folder / filename) for filename in ("trials.csv", "reports.csv")]
    else:
        from clustertune.cli.places import TO_LOOK_AT, find

        found = find(name, None, TO_LOOK_AT)
        texts = [found.coordinator.file(found.name, filename) for filename in ("trials.csv", "reports.csv")]
    return read_recorded(
        *texts,
        space=definition.space,
        metric=definition.objective.metric,
        max_resource=definition.resource.max,
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror}") from error
