"""What must be true of an experiment beyond the type of each field."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from clustertune.definition.algorithms import Kind, Registry
from clustertune.definition.command import PARAMETER_NAME, command_problems
from clustertune.definition.document import FieldPath
from clustertune.definition.experiment import NAME_PATTERN, NO_OBJECTIVE, ExperimentDefinition
from clustertune.definition.parameters import space_problems
from clustertune.definition.sections import Aim, Objective
from clustertune.definition.storage import storage_problem
from clustertune.model.errors import Mistake
from clustertune.model.placeholders import ALL_ARGUMENTS
from clustertune.model.space import Space
from clustertune.model.tightness import completable, too_tight

Found = Iterator[tuple[FieldPath, str]]

_RESULT_COLUMNS = frozenset(
    {"trial", "state", "attempts", "attempt", "resource", "value", "elapsed_s", "cloned_from", "begins_at"}
)
"""What the columns of trials.csv are called; the parameters stand beside them."""

_LARGER_IS_BETTER = frozenset({"acc", "accuracy", "auc", "score", "reward", "f1", "r2", "precision", "recall", "bleu"})

_ONE_VALUE = frozenset({"plateau"})
"""Schedulers that do not compare trials with each other."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CALL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def experiment_problems(
    definition: ExperimentDefinition,
    registry: Registry,
    *,
    broken: Collection[str] = (),
    declared: Collection[str] = (),
) -> Found:
    """Everything that is wrong across fields.

    ``broken`` are top-level fields that have a problem already and hold stand-ins here; ``declared`` are all the
    parameters that the file names, broken ones too.
    """
    broken = set(broken)
    for needs, check in _CHECKS:
        if not broken & needs:
            yield from check(definition)
    names = {*definition.parameters, *declared}
    if names and "run" not in broken:  # where no parameter is named, that alone is said
        yield from _placeholders(definition, names)
    yield from _space(definition, registry, broken, declared)
    if not broken & {"scheduler", "resource"}:
        space = None if "space" in broken else _space_if_sound(definition)
        yield from _scheduler(definition, registry, space, None if "trials" in broken else definition.trials)


def name_problem(name: str) -> str | None:
    """What is wrong with the name of an experiment or a cluster."""
    if re.fullmatch(NAME_PATTERN, name):
        return None
    return f"{name!r} is not a name: lower-case letters, digits, - _ and ., at most 63; write {valid_name(name)}"


def valid_name(text: str, otherwise: str = "experiment") -> str:
    """The nearest valid name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-")[:63].rstrip("-")
    return name or otherwise


def environment_problems(env: Collection[str], secrets: Collection[str]) -> Found:
    """What is wrong with the names of environment variables."""
    for name in env:
        if problem := _variable_problem(name):
            yield ("env", name), problem
    for index, name in enumerate(secrets):
        if problem := _variable_problem(name):
            yield ("secrets", index), problem
        elif name in env:
            yield ("secrets", index), f"{name} is under env too; keep one of them"


def _variable_problem(name: str) -> str | None:
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is no name of an environment variable: letters, digits and _"
    if name.startswith("CLUSTERTUNE_"):
        return f"{name} is set by clustertune itself; choose another name"
    return None


def _name(definition: ExperimentDefinition) -> Found:
    if problem := name_problem(definition.name):
        yield ("name",), problem


def _run(definition: ExperimentDefinition) -> Found:
    run = definition.run
    if (run.call is None) == (run.command is None):
        has = "neither" if run.call is None else "both"
        yield ("run",), f'found {has} of call and command; write one, as {{call: "train:train"}}'
    elif run.call is not None and run.shell:
        yield ("run", "shell"), "goes with command, and not with call; leave it out"
    if run.call is not None and (not _CALL.fullmatch(run.call) or ".py:" in run.call):
        yield ("run", "call"), f"{run.call!r} is not module:function{_call_hint(run.call)}"


def _call_hint(call: str) -> str:
    module, colon, function = call.replace("/", ".").partition(":")
    module = module.strip(".").removesuffix(".py")
    if not colon and "." in module:
        module, _, function = module.rpartition(".")
    guess = f"{module}:{function}"
    return f"; did you mean {guess!r}?" if _CALL.fullmatch(guess) else "; write for example train:train"


def _placeholders(definition: ExperimentDefinition, declared: Collection[str]) -> Found:
    if definition.run.command is not None:
        for message in command_problems(definition.run.command, declared, shell=definition.run.shell):
            yield ("run", "command"), message


def _objective(definition: ExperimentDefinition) -> Found:
    aims: list[tuple[FieldPath, Objective | Aim]] = []
    if definition.one_objective is not None:
        aims = [(("objective",), definition.one_objective)]
    if definition.objectives and aims:
        yield ("objectives",), "exclude the objective: write either one objective, or objectives"
    elif len(definition.objectives) == 1:
        yield ("objectives",), "is one alone; write it as objective, or add another"
    elif not definition.objectives and not aims:
        yield ("objective",), NO_OBJECTIVE
    aims += [(("objectives", index), aim) for index, aim in enumerate(definition.objectives)]
    for path, aim in aims:
        yield from _aim(path, aim, definition.resource.name)
    yield from _twice(("objectives",), [aim.metric for aim in definition.objectives])


def _aim(path: FieldPath, aim: Objective | Aim, resource: str) -> Found:
    if problem := _metric_problem(aim.metric, resource):
        yield (*path, "metric"), problem
    words = set(re.split(r"[^a-z0-9]+", aim.metric.lower()))
    if "goal" not in aim.model_fields_set and words & _LARGER_IS_BETTER:
        yield path, f"is {aim.metric} to be large or small? Write goal: maximize, or goal: minimize"


def _metric_problem(metric: str, resource: str) -> str | None:
    if metric == resource:
        return f"{metric!r} is the resource, too; a trial reports the metric at each {resource}"
    return None


def _twice(path: FieldPath, metrics: list[str]) -> Found:
    for index, metric in enumerate(metrics):
        if metric in metrics[:index]:
            yield (*path, index, "metric"), f"{metric!r} is named twice; keep one of them"


def _metric_constraints(definition: ExperimentDefinition) -> Found:
    for index, constraint in enumerate(definition.metric_constraints):
        path = ("metric_constraints", index)
        low, high = constraint.at_least, constraint.at_most
        if problem := _metric_problem(constraint.metric, definition.resource.name):
            yield (*path, "metric"), problem
        if low is None and high is None:
            yield path, "found no bound; write at_most, at_least, or both"
        elif low is not None and high is not None and low > high:
            yield (*path, "at_least"), f"at_least is {low:g} and at_most is {high:g}; nothing is both"
    yield from _twice(("metric_constraints",), [one.metric for one in definition.metric_constraints])


def _only_with_one_objective(definition: ExperimentDefinition) -> Found:
    if definition.objectives and definition.stop.target is not None:
        yield ("stop", "target"), "needs one objective; with several take flat: trials without a change of the front"
    if definition.objectives and definition.warm_start:
        yield ("warm_start",), "needs one objective: what earlier experiments came to is one number for each trial"


def _standings(definition: ExperimentDefinition) -> Found:
    """A scheduler that looks at how one value falls learns nothing from how a trial stands among the others."""
    if definition.scheduler.type in _ONE_VALUE and (definition.objectives or definition.metric_constraints):
        field = "objectives" if definition.objectives else "metric_constraints"
        yield ("scheduler",), f"{definition.scheduler.type} looks at one value alone and knows no {field}; take asha"


def _resource(definition: ExperimentDefinition) -> Found:
    resource = definition.resource
    if resource.max is not None and resource.min > resource.max:
        yield ("resource", "min"), f"min is {resource.min} and max is {resource.max}; min must not be more than max"


def _trials(definition: ExperimentDefinition) -> Found:
    if definition.trials is None and not definition.stop.is_set and definition.searcher.type != "grid":
        yield ("trials",), "without a limit the experiment never ends; give a number, or stop: {time: 2h}"


def _per_trial(definition: ExperimentDefinition) -> Found:
    asked = definition.per_trial
    if asked.gpus > 1 and not asked.gpus.is_integer():
        yield ("per_trial", "gpus"), f"found {asked.gpus:g}; a share of one GPU (0.25), or a whole number of them"
    if asked.gpus > 1 and asked.processes is not None and asked.processes not in (1, asked.gpus):
        yield ("per_trial", "processes"), f"found {asked.processes} for {asked.gpus:g} GPUs; one, or one for each GPU"
    if asked.gpu_memory_bytes and not asked.gpus:
        yield ("per_trial", "gpu_memory"), "needs gpus: a share of one GPU (0.25), or a whole number of them"


def _metrics(definition: ExperimentDefinition) -> Found:
    for index, metric in enumerate(definition.metrics):
        try:
            pattern = re.compile(metric.regex)
        except (re.error, RecursionError, OverflowError) as error:
            yield ("metrics", index, "regex"), f"is no regular expression: {error}"
            continue
        if pattern.groups != 1 and "value" not in pattern.groupindex:
            remedy = "put ( ) around the number alone, (?: ) around anything else, or name it (?P<value>…)"
            yield ("metrics", index, "regex"), f"has {pattern.groups} groups; {remedy}"


def _storage(definition: ExperimentDefinition) -> Found:
    if definition.storage is not None and (problem := storage_problem(definition.storage)):
        yield ("storage",), problem


def _warm_start(definition: ExperimentDefinition) -> Found:
    for index, name in enumerate(definition.warm_start):
        if name == definition.name:
            yield ("warm_start", index), f"{name!r} is this experiment itself; give this one another name"
        elif name in definition.warm_start[:index]:
            yield ("warm_start", index), f"{name!r} is named twice; keep one of them"


def _environment(definition: ExperimentDefinition) -> Found:
    yield from environment_problems(definition.env, definition.secrets)


def _space(definition: ExperimentDefinition, registry: Registry, broken: set[str], declared: Collection[str]) -> Found:
    for name in definition.parameters:
        if problem := _parameter_name_problem(name):
            yield ("space", name), problem
    if not definition.parameters and "space" not in broken:
        yield ("space",), "names no parameter; write for example {lr: {type: float, low: 0.001, high: 1.0, log: true}}"
    problems = list(space_problems(definition.parameters, definition.constraints, declared))
    yield from problems
    if problems or "space" in broken:
        return
    if message := too_tight(definition.space):
        yield ("constraints",), message
        return
    if "initial" not in broken:
        yield from _initial(definition)
    if "searcher" not in broken:
        yield from _searcher(definition, registry)


def _parameter_name_problem(name: str) -> str | None:
    if name == ALL_ARGUMENTS:
        return "{args} stands for all the parameters; choose another name"
    if name in _RESULT_COLUMNS:
        return f"trials.csv has a column {name!r} already; choose another name"
    if not PARAMETER_NAME.fullmatch(name):
        return f"{name!r} is no name of a parameter: letters, digits, - _ and ., beginning with a letter"
    return None


def _initial(definition: ExperimentDefinition) -> Found:
    for index, config in enumerate(definition.initial):
        problems = definition.space.check(config)
        for problem in problems:
            name, _, message = problem.partition(": ")
            yield ("initial", index, name), message
        if not problems and not completable(definition.space, config):
            yield ("initial", index), "found no values for the rest that the constraints allow together with these"


def _searcher(definition: ExperimentDefinition, registry: Registry) -> Found:
    choice = definition.searcher
    try:
        problems = registry.searcher_problems(choice.type, choice.options, space=definition.space)
    except Mistake as mistake:
        problems = [("", str(mistake))]
    yield from _located("searcher", problems)


def _scheduler(definition: ExperimentDefinition, registry: Registry, space: Space | None, trials: int | None) -> Found:
    choice, resource = definition.scheduler, definition.resource
    try:
        problems = registry.scheduler_problems(
            choice.type,
            choice.options,
            space=space,
            trials=trials,
            min_resource=resource.min,
            max_resource=resource.max,
        )
    except Mistake as mistake:
        problems = [("", str(mistake))]
    yield from _located("scheduler", problems)


def _space_if_sound(definition: ExperimentDefinition) -> Space | None:
    """What is wrong with it is said elsewhere."""
    try:
        return definition.space
    except ValueError:
        return None


def _located(kind: Kind, problems: Collection[tuple[str, str]]) -> Found:
    for option, message in problems:
        yield (kind, option) if option else (kind,), message


_CHECKS: tuple[tuple[set[str], Callable[[ExperimentDefinition], Found]], ...] = (
    ({"name"}, _name),
    ({"run"}, _run),
    ({"objective", "objectives", "resource"}, _objective),
    ({"metric_constraints", "resource"}, _metric_constraints),
    ({"objectives", "stop", "warm_start"}, _only_with_one_objective),
    ({"objectives", "metric_constraints", "scheduler"}, _standings),
    ({"resource"}, _resource),
    ({"trials", "stop", "searcher"}, _trials),
    ({"per_trial"}, _per_trial),
    ({"metrics"}, _metrics),
    ({"warm_start", "name"}, _warm_start),
    ({"env", "secrets"}, _environment),
    ({"storage"}, _storage),
)
"""Each check, and the fields that must be sound for it to mean anything."""
