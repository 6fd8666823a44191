"""A YAML file to a definition, or to all that is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from clustertune.definition.algorithms import AUTO, Registry, options_model, resolve_choice
from clustertune.definition.automatic import with_algorithms_chosen
from clustertune.definition.checks import environment_problems, experiment_problems, name_problem, valid_name
from clustertune.definition.cluster import ClusterDefinition
from clustertune.definition.document import Document, FieldPath, read_document
from clustertune.definition.experiment import NO_OBJECTIVE, ExperimentDefinition
from clustertune.definition.fields import found
from clustertune.definition.hosts import Host
from clustertune.definition.origin import Origin
from clustertune.definition.overrides import apply_overrides
from clustertune.definition.providers import BuiltInProviders, Providers
from clustertune.definition.storage import storage_problem
from clustertune.definition.translation import NOT_YET, field_names, translate, unknown_field
from clustertune.model.errors import DefinitionMistake, Mistake, Problem

Overrides = Sequence[tuple[str, str]]
T = TypeVar("T")


@dataclass(frozen=True)
class Inspected(Generic[T]):
    """A definition, and all that is wrong with it. Where something is, defaults or stand-ins take its place."""

    definition: T
    problems: tuple[Problem, ...]


_STAND_INS: Mapping[str, Any] = {"run": {"call": "stand:in"}, "objective": {"metric": "stand-in", "goal": "minimize"}}
_ITEM_STAND_INS: Mapping[str, Any] = {
    "metrics": {"name": "stand-in", "regex": "()"},
    "initial": {},
    "constraints": "1 == 1",
    "secrets": "STAND_IN",
}
"""These take the place of what is required and broken, so that the rest can be checked all the same."""

_IN_PARTS = ("space", "run")
"""Of these a broken part alone is taken out, so that the rest of them can be checked."""

_OWN_FIELDS = frozenset(field_names(ClusterDefinition)) - {"options"}
"""Those of every cluster; the others are its provider's."""

_LATER_PROVIDERS = frozenset({"aws", "gcp"})


def load_experiment(source: Path | str, *, registry: Registry, overrides: Overrides = ()) -> ExperimentDefinition:
    """The experiment at a path, or in a text of several lines, with ``(path, value)`` pairs put over it.

    Raises DefinitionMistake with everything that is wrong.
    """
    inspected = inspect_experiment(source, registry=registry, overrides=overrides)
    if inspected.problems:
        raise DefinitionMistake(inspected.problems)
    return inspected.definition


def inspect_experiment(
    source: Path | str, *, registry: Registry, overrides: Overrides = ()
) -> Inspected[ExperimentDefinition]:
    """What ``load_experiment`` reads, with what is wrong beside it, for a caller that has more to check.

    Raises DefinitionMistake where there is nothing to look at: no such file, no YAML.
    """
    document = _with_defaults(_normalized(apply_overrides(read_document(source), overrides)), source)
    document, broken = _resolve_algorithms(document, registry)
    declared = document.tree.get("space")
    definition, document, broken = _validate(document, broken)
    definition = with_algorithms_chosen(definition, registry, broken=broken)
    names = declared if isinstance(declared, dict) else ()
    document = _with_found(document, experiment_problems(definition, registry, broken=broken, declared=names))
    return Inspected(definition.from_origin(Origin(document)), in_order(document.problems))


def check_experiment(definition: ExperimentDefinition, *, registry: Registry) -> list[Problem]:
    """Everything that is wrong across the fields of a definition that did not come from ``load_experiment``."""
    return [definition.origin.problem(path, message) for path, message in experiment_problems(definition, registry)]


def load_cluster(
    source: Path | str, *, providers: Providers | None = None, overrides: Overrides = ()
) -> ClusterDefinition:
    """The cluster at a path, or in a text of several lines. Raises DefinitionMistake with everything that is wrong."""
    inspected = inspect_cluster(source, providers=providers, overrides=overrides)
    if inspected.problems:
        raise DefinitionMistake(inspected.problems)
    return inspected.definition


def inspect_cluster(
    source: Path | str, *, providers: Providers | None = None, overrides: Overrides = ()
) -> Inspected[ClusterDefinition]:
    """What ``load_cluster`` reads, with what is wrong beside it. Raises DefinitionMistake as ``inspect_experiment``."""
    document = _normalized(apply_overrides(read_document(source), overrides))
    document = _named(document, source, "cluster")
    document, options = _resolve_provider(document, providers or BuiltInProviders())
    tree = {name: value for name, value in document.tree.items() if name in _OWN_FIELDS}
    try:
        definition = ClusterDefinition.model_validate({**tree, **options})
    except ValidationError as error:
        document = document.with_problems(translate(error, document, ClusterDefinition))
        spoiled = {item["loc"][:2] for item in error.errors(include_url=False)}
        definition = ClusterDefinition.model_validate(_without(tree, spoiled))
    if isinstance(source, Path):
        definition = definition.model_copy(update={"workdir": str((source.parent / definition.workdir).resolve())})
    document = _with_found(document, _cluster_problems(definition))
    return Inspected(definition.from_origin(Origin(document)), in_order(document.problems))


def _normalized(document: Document) -> Document:
    """A field without a value is as good as left out; only ``trials: null`` says something."""
    tree = {name: value for name, value in document.tree.items() if value is not None or name == "trials"}
    return replace(document, tree=tree)


def _with_defaults(document: Document, source: Path | str) -> Document:
    """Defaults that depend on other fields."""
    document = _named(document, source, "experiment")
    tree = dict(document.tree)
    tree.setdefault("scheduler", AUTO)
    tree.setdefault("searcher", AUTO)
    searcher = tree["searcher"]
    if "trials" not in tree and "grid" in (searcher, searcher.get("type") if isinstance(searcher, dict) else None):
        tree["trials"] = None
    return replace(document, tree=tree)


def _named(document: Document, source: Path | str, otherwise: str) -> Document:
    if "name" in document.tree:
        return document
    stem = otherwise if isinstance(source, str) and "\n" in source else Path(source).stem
    return replace(document, tree={"name": valid_name(stem, otherwise), **document.tree})


def _resolve_algorithms(document: Document, registry: Registry) -> tuple[Document, set[str]]:
    """The document with complete choices; those with a problem are taken out and named."""
    tree, broken = dict(document.tree), set[str]()
    for kind in ("searcher", "scheduler"):
        choice, problems = resolve_choice(kind, tree.pop(kind), registry, document)
        document = document.with_problems(problems)
        if choice is None:
            broken.add(kind)
        else:
            tree[kind] = choice
    return replace(document, tree=tree), broken


def _validate(document: Document, broken: set[str]) -> tuple[ExperimentDefinition, Document, set[str]]:
    """The definition; where it has problems, without the fields that have them."""
    try:
        return ExperimentDefinition.model_validate(document.tree), document, broken
    except ValidationError as error:
        document = document.with_problems(translate(error, document, ExperimentDefinition))
        spoiled = {item["loc"][:2] for item in error.errors(include_url=False)}
    if not {"objective", "objectives"} & set(document.tree):
        document = _with_found(document, [(("objective",), NO_OBJECTIVE)])
    tree = _without(document.tree, spoiled)
    broken = broken | (set(document.tree) - set(tree)) | {str(path[0]) for path in spoiled if path[0] in _IN_PARTS}
    missing = {name for name in ("run", "space") if name not in tree}
    stand_ins = {**_STAND_INS, "space": {}}
    if "objectives" in tree:
        stand_ins.pop("objective")
    elif "objective" not in tree:
        missing.add("objective")
    definition = ExperimentDefinition.model_validate({**stand_ins, **tree})
    return definition, document, broken | missing


def _without(tree: Mapping[str, Any], spoiled: Collection[tuple[int | str, ...]]) -> dict[str, Any]:
    """The tree without what is spoiled: one parameter, one item of a list, or a field."""
    sound = dict(tree)
    for path in spoiled:
        name, part = str(path[0]), path[-1]
        if name in _ITEM_STAND_INS and isinstance(part, int) and isinstance(sound.get(name), list):
            sound[name] = [*sound[name][:part], _ITEM_STAND_INS[name], *sound[name][part + 1 :]]
        elif name in _IN_PARTS and len(path) > 1 and isinstance(sound.get(name), dict):
            sound[name] = {key: value for key, value in sound[name].items() if key != part}
        else:
            sound.pop(name, None)
    return sound


def _resolve_provider(document: Document, providers: Providers) -> tuple[Document, dict[str, Any]]:
    try:
        model = options_model(_provider_options(document.tree.get("provider", "local"), providers))
    except Mistake as mistake:
        document = document.with_problems([document.problem(("provider",), str(mistake))])
        return document.with_problems(_option_problems_anywhere(document, providers)), {}
    known = {*_OWN_FIELDS, *field_names(model)}
    unknown = [name for name in document.tree if name not in known]
    document = _with_found(document, [((name,), unknown_field(name, ClusterDefinition, known)) for name in unknown])
    given = {name: value for name, value in document.tree.items() if name in known - _OWN_FIELDS}
    try:
        return document, model.model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        return document.with_problems(translate(error, document, model)), {}


def _option_problems_anywhere(document: Document, providers: Providers) -> list[Problem]:
    """What is wrong with the fields of a cluster whose provider is unknown: wrong for every provider that there is."""
    models = [options_model(providers.provider_options(name)) for name in providers.provider_names()]
    problems = []
    for name in document.tree.keys() - _OWN_FIELDS:
        takers = [model for model in models if name in field_names(model)]
        told = [_option_problems(document, name, model) for model in takers]
        if not takers:
            known = {*_OWN_FIELDS, *(field for model in models for field in field_names(model))}
            message = unknown_field(name, ClusterDefinition, known)
            problems += [] if message == NOT_YET else [document.problem((name,), message)]
        elif all(told):
            problems += told[0]
    return problems


def _option_problems(document: Document, name: str, model: type[Any]) -> list[Problem]:
    try:
        model.model_validate({name: document.tree[name]})
    except ValidationError as error:
        return [problem for problem in translate(error, document, model) if problem.path.split(".")[0] == name]
    return []


def _provider_options(name: object, providers: Providers) -> type[Any]:
    if not isinstance(name, str):
        raise Mistake(f"expected the name of a provider, found {found(name)}")
    if name in _LATER_PROVIDERS and name not in providers.provider_names():
        raise Mistake(f"{name} {NOT_YET}; write local (this machine) or ssh (machines that you can log in to)")
    return providers.provider_options(name)


def _cluster_problems(definition: ClusterDefinition) -> Iterable[tuple[FieldPath, str]]:
    if problem := name_problem(definition.name):
        yield ("name",), problem
    yield from environment_problems(definition.env, definition.secrets)
    if definition.setup and not definition.elsewhere:
        yield ("setup",), "is for machines elsewhere; on this one, run the commands yourself, once"
    yield from _host_problems(definition)
    if definition.storage is not None and (problem := storage_problem(definition.storage)):
        yield ("storage",), problem
    if not Path(definition.workdir).is_dir():
        yield ("workdir",), f"there is no folder {definition.workdir}"


def _host_problems(definition: ClusterDefinition) -> Iterable[tuple[FieldPath, str]]:
    hosts = [Host.model_validate(host) for host in definition.options.get("hosts", ())]
    if not hosts and "hosts" in definition.options:
        yield ("hosts",), "names no machine"
    written = [host.written for host in hosts]
    for index, name in enumerate(written):
        if name in written[:index]:
            yield ("hosts", index), f"{name} is there twice; slots says how many trials run at once on a machine"


def _with_found(document: Document, problems: Iterable[tuple[FieldPath, str]]) -> Document:
    return document.with_problems([document.problem(path, message) for path, message in problems])


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In the order of the file; what has no line comes first, what was given on the command line last."""
    return tuple(sorted(problems, key=lambda problem: (problem.file is None, problem.line)))
