"""Decides what exactly a spawner is to start for an attempt."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustertune.agent.command import fill
from clustertune.agent.nursery import Place
from clustertune.agent.spawner_link import CannotStart
from clustertune.model.messages import Start
from clustertune.model.trial import split_attempt_id

_PYTHON = ("python", "python3")
_FRESH_PROGRAM = "from clustertune.agent.warm import main; main()"


def order_for(start: Start, place: Place, own: Mapping[str, str], sdk: Path) -> dict[str, Any]:
    """A fork of a warm parent, a command, or a fresh process that runs the callable.

    ``own`` is the part of the environment that is this attempt's alone. Raises CannotStart.
    """
    order: dict[str, Any] = {"attempt": start.attempt}
    if start.run.processes > 1:
        order["group"] = {"size": start.run.processes, "grace_s": start.run.grace_s}
    environment = {**place.environment, **own}
    if start.run.command is not None:
        return order | _command(start, start.run.command, place.interpreter, environment)
    if place.fresh:
        return order | _fresh(start, place.interpreter, environment, sdk)
    return order | {"environment": own, "trial": _trial(start)}


def _trial(start: Start) -> dict[str, Any]:
    return {
        "seed": start.seed,
        "number": split_attempt_id(start.attempt)[1],
        "objective": start.run.objective,
        "resource": start.run.resource,
    }


def _fresh(start: Start, interpreter: str, environment: Mapping[str, str], sdk: Path) -> dict[str, Any]:
    """Begins in the SDK's folder, as spawners do: the user's modules must not stand in for what it imports first."""
    settings = json.dumps({"call": start.run.call, "workdir": start.run.workdir, **_trial(start)})
    return {
        "argv": [interpreter, "-c", _FRESH_PROGRAM],
        "program": interpreter,
        "workdir": str(sdk),
        "environment": {**environment, "CLUSTERTUNE_CALLABLE": settings},
    }


def _command(start: Start, command: str, interpreter: str, environment: Mapping[str, str]) -> dict[str, Any]:
    workdir, path = start.run.workdir, environment["PATH"]
    if not Path(workdir).is_dir():
        raise CannotStart(f"the working directory {workdir} does not exist")
    try:
        argv = fill(command, start.config, shell=start.run.shell)
    except ValueError as error:
        raise CannotStart(str(error)) from error
    if argv[0] in _PYTHON:
        argv[0] = interpreter
    program = _find(argv[0], workdir, path)
    if program is None:
        raise CannotStart(f"no such program: {argv[0]}; {_looked(argv[0], workdir, path)}")
    return {"argv": argv, "program": program, "workdir": workdir, "environment": environment}


def _find(program: str, workdir: str, path: str) -> str | None:
    """Where a shell in ``workdir`` would find it."""
    if os.sep in program:
        found = Path(workdir, program)
        return str(found) if os.access(found, os.X_OK) and not found.is_dir() else None
    entries = (str(Path(workdir, entry)) for entry in path.split(os.pathsep))
    return shutil.which(program, path=os.pathsep.join(entries))


def _looked(program: str, workdir: str, path: str) -> str:
    if os.sep not in program:
        return f"PATH was {path}"
    found = Path(workdir, program)
    if found.is_file():
        return f"{found} is there, and may not be executed: chmod +x {shlex.quote(str(found))}"
    return f"the working directory was {workdir}"
