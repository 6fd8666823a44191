"""A definition on disk to what a coordinator is handed."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clustertune.model.errors import DefinitionMistake, Mistake, Problem
from clustertune.model.snapshot import Submission

if TYPE_CHECKING:
    from clustertune.cli.cluster_choice import ClusterChoice
    from clustertune.definition import ClusterDefinition, ExperimentDefinition


@dataclass(frozen=True)
class Prepared:
    """A checked definition, ready to be submitted."""

    submission: Submission
    secrets: Mapping[str, str]
    workdir: Path


def prepare(path: Path, overrides: Sequence[str], cluster: ClusterChoice) -> Prepared:
    """Reads and checks everything that can be checked before anything is launched.

    Raises DefinitionMistake with all that is wrong with the experiment, then all that is wrong with the cluster.
    """
    from clustertune.definition import saves_when_asked

    definition, problems = _checked(path, overrides, elsewhere=cluster.elsewhere)
    problems += _cluster_problems(cluster)
    if definition is None or cluster.definition is None or problems:
        raise DefinitionMistake(problems)
    workdir = (path.parent / definition.workdir).resolve()
    secrets = secrets_from_environment([*definition.secrets, *cluster.definition.secrets])
    named = definition.python or cluster.definition.python
    python = _interpreter_there(named) if cluster.elsewhere else _interpreter(named, path.parent)
    plain = definition.to_plain()
    if definition.python is not None:
        plain["python"] = python or None  # absolute, for its reader may be in another folder
    plain["checkpoints"]["supported"] = saves_when_asked(definition, workdir)
    submission = Submission(definition=plain, workdir=str(workdir), secrets=secrets, python=python)
    return Prepared(submission, secrets, workdir)


def _checked(
    path: Path, overrides: Sequence[str], *, elsewhere: bool
) -> tuple[ExperimentDefinition | None, list[Problem]]:
    """The experiment, None where there is nothing to read, and everything that is wrong with it."""
    from clustertune.definition import check_program, in_order, inspect_experiment
    from clustertune.search.registry import Registry

    pairs, misspelt = _pairs(overrides)
    try:
        registry = Registry.default()
        inspected = inspect_experiment(path, registry=registry, overrides=pairs)
    except DefinitionMistake as mistake:
        return None, [*mistake.problems, *misspelt]
    definition, told = inspected.definition, {problem.path for problem in inspected.problems}
    workdir = (path.parent / definition.workdir).resolve()
    later = check_program(definition, workdir, registry=registry, beside=path.parent, told=told, elsewhere=elsewhere)
    later += _missing_secrets(definition, told)
    return definition, list(in_order([*inspected.problems, *later, *misspelt]))


def _cluster_problems(cluster: ClusterChoice) -> list[Problem]:
    from clustertune.definition import in_order, interpreter_problem

    definition, told = cluster.definition, {problem.path for problem in cluster.problems}
    if definition is None:
        return list(cluster.problems)
    here = definition.origin.problem
    python = None if cluster.elsewhere else definition.python
    later = [here(("python",), message) for message in interpreter_problem(python, Path.cwd())]
    later += _missing_secrets(definition, told)
    return list(in_order([*cluster.problems, *later]))


def _missing_secrets(definition: ExperimentDefinition | ClusterDefinition, told: Collection[str]) -> list[Problem]:
    """Those that the environment does not have, each at its entry; not those whose name is wrong already."""
    missing = [
        (index, name)
        for index, name in enumerate(definition.secrets)
        if name not in os.environ and not {"secrets", f"secrets.{index}"} & set(told)
    ]
    message = "{0} is not set in the environment, where secrets come from: export {0}=…"
    return [definition.origin.problem(("secrets", index), message.format(name)) for index, name in missing]


def secrets_of_cluster(cluster: Mapping[str, object]) -> list[str]:
    """The names that a cluster's definition adds to those of each experiment."""
    names = cluster.get("secrets")
    return [str(name) for name in names] if isinstance(names, list) else []


def secrets_from_environment(names: Iterable[str]) -> dict[str, str]:
    """Values by name. Raises Mistake that names all the missing ones."""
    wanted = list(dict.fromkeys(names))
    missing = [name for name in wanted if name not in os.environ]
    if missing:
        exports = "; ".join(f"export {name}=…" for name in missing)
        raise Mistake(f"secrets come from the environment, and {', '.join(missing)} is not set there: {exports}")
    return {name: os.environ[name] for name in wanted}


def _interpreter(named: object, folder: Path) -> str:
    """Relative paths start at the definition's file. Symbolic links stay: an environment is found through them."""
    if not isinstance(named, str) or named == "auto":
        return sys.executable
    return str((folder / named).absolute()) if "/" in named else named


def _interpreter_there(named: str | None) -> str:
    """On machines elsewhere a name or path means what it means there; empty: the one that is made ready there."""
    return "" if named is None or named == "auto" else named


def _pairs(overrides: Sequence[str]) -> tuple[list[tuple[str, str]], list[Problem]]:
    """Paths and values, and what was given that is no such pair."""
    pairs, problems = [], []
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or not path.strip():
            problems.append(Problem(f"takes path=value, as in --set trials=20, but got {override!r}"))
        else:
            pairs.append((path.strip(), value))
    return pairs, problems
