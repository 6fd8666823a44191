"""A definition on disk to what a coordinator is handed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clustertune.model.errors import DefinitionMistake, Mistake
from clustertune.model.snapshot import Submission


@dataclass(frozen=True)
class Prepared:
    """A checked definition, ready to be submitted."""

    submission: Submission
    secrets: Mapping[str, str]


def prepare(path: Path, overrides: Sequence[str], cluster: Mapping[str, object]) -> Prepared:
    """Reads and checks everything that can be checked before anything is launched. Raises Mistake.

    ``cluster`` is the cluster's definition, which may name an interpreter and more secrets.
    """
    from clustertune.definition import check_program, load_experiment
    from clustertune.search.registry import Registry

    definition = load_experiment(path, registry=Registry.default(), overrides=_pairs(overrides))
    workdir = (path.parent / definition.workdir).resolve()
    problems = check_program(definition, workdir)
    if problems:
        raise DefinitionMistake(problems)
    secrets = secrets_from_environment([*definition.secrets, *secrets_of_cluster(cluster)])
    python = _interpreter(definition.python or cluster.get("python"), path.parent)
    plain = definition.to_plain()
    if definition.python is not None:
        plain["python"] = python  # absolute, for its reader may be elsewhere
    submission = Submission(definition=plain, workdir=str(workdir), secrets=secrets, python=python)
    return Prepared(submission, secrets)


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


def _pairs(overrides: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals or not path.strip():
            raise Mistake(f"--set takes path=value, as in --set trials=20, but got {override!r}")
        pairs.append((path.strip(), value))
    return pairs
