"""The environment of a trial's processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clustertune.model.messages import RunSpec, Start
from clustertune.model.trial import split_attempt_id

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Numerical libraries start a thread for each CPU of the machine unless told; several trials share it."""

FOLDER = "CLUSTERTUNE_FOLDER"
"""Marks every process that this agent started, and what those start, for the next agent to find."""

_OF_ONE_ATTEMPT = ("CONFIG", "TRIAL", "ATTEMPT", "TARGET", "METRICS", "SOCKET", "KEY", "CALLABLE")


def shared_environment(
    own: Mapping[str, str], run: RunSpec, *, cpus: float, interpreter: str, folder: Path, sdk: Path
) -> dict[str, str]:
    """What all trials of an experiment have in common; a warm parent is started with it.

    ``own`` is the agent's environment, ``interpreter`` the path of the trials' Python.
    """
    found = {name: value for name, value in own.items() if name not in _attempt_names()}
    found.update({name: str(max(1, int(cpus))) for name in THREADS if name not in found})
    found["PYTHONUNBUFFERED"] = "1"
    found.update(run.env)
    found.update(run.secrets)
    found["PATH"] = _first(str(Path(interpreter).parent), found.get("PATH", os.defpath))
    found["PYTHONPATH"] = _first(str(sdk), found.get("PYTHONPATH", ""))
    found[FOLDER] = str(folder)
    return found


def attempt_environment(
    start: Start, *, folder: Path, socket: Path, key: str, machine_has_gpus: bool
) -> dict[str, str]:
    """What one attempt has of its own. ``key`` proves to the agent that a report comes from it."""
    found = {
        "CLUSTERTUNE_CONFIG": str(folder / "config.json"),
        "CLUSTERTUNE_TRIAL": str(split_attempt_id(start.attempt)[1]),
        "CLUSTERTUNE_ATTEMPT": start.attempt,
        "CLUSTERTUNE_METRICS": str(folder / "metrics.jsonl"),
        "CLUSTERTUNE_SOCKET": str(socket),
        "CLUSTERTUNE_KEY": key,
    }
    if start.target is not None:
        found["CLUSTERTUNE_TARGET"] = str(start.target)
    if machine_has_gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, start.gpus))
    return found


def _attempt_names() -> frozenset[str]:
    return frozenset(f"CLUSTERTUNE_{name}" for name in _OF_ONE_ATTEMPT)


def _first(entry: str, path: str) -> str:
    return entry + os.pathsep + path if path else entry
