"""The environment of a trial's processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clustertune.agent.ranks import free_port, group_environment
from clustertune.agent.saving import checkpoint_path, saving_paths
from clustertune.model.messages import RunSpec, Start
from clustertune.model.trial import split_attempt_id

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Numerical libraries start a thread for each CPU of the machine unless told; several trials share it."""

FOLDER = "CLUSTERTUNE_FOLDER"
"""Marks every process that this agent started, and what those start, for the next agent to find."""

_OURS = (
    *("CONFIG", "TRIAL", "ATTEMPT", "TARGET", "METRICS", "SOCKET", "KEY", "CALLABLE", "PROCESSES", "PAUSES"),
    *("CHECKPOINT", "CHECKPOINT_LEVEL", "CHECKPOINTS", "SAVE", "RESULT"),
)
_OF_A_GROUP = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"),
)
_OF_ONE_ATTEMPT = frozenset([*(f"CLUSTERTUNE_{name}" for name in _OURS), *_OF_A_GROUP])
"""Where clustertune itself was started by a trial, or by torchrun, these are not for the trials that it starts."""


def shared_environment(
    own: Mapping[str, str], run: RunSpec, *, cpus: float, interpreter: str, folder: Path, sdk: Path
) -> dict[str, str]:
    """What all trials of an experiment have in common; a warm parent is started with it.

    ``own`` is the agent's environment, ``interpreter`` the path of the trials' Python.
    """
    found = {name: value for name, value in own.items() if name not in _OF_ONE_ATTEMPT}
    each = max(1, int(cpus / run.processes))
    found.update({name: str(each) for name in THREADS if name not in found})
    found["PYTHONUNBUFFERED"] = "1"
    found.update(run.env)
    found.update(run.secrets)
    found["PATH"] = _first(str(Path(interpreter).parent), found.get("PATH", os.defpath))
    found["PYTHONPATH"] = _first(str(sdk), found.get("PYTHONPATH", ""))
    found[FOLDER] = str(folder)
    return found


def attempt_environment(
    start: Start, *, folder: Path, temporary: Path, socket: Path, key: str, machine_has_gpus: bool
) -> dict[str, str]:
    """What one attempt has of its own. ``key`` proves to the agent that a report comes from it.

    ``temporary`` goes with the attempt, as what its program leaves in it.
    """
    checkpoints, save, result = saving_paths(folder)
    found = {
        "CLUSTERTUNE_CONFIG": str(folder / "config.json"),
        "CLUSTERTUNE_TRIAL": str(split_attempt_id(start.attempt)[1]),
        "CLUSTERTUNE_ATTEMPT": start.attempt,
        "CLUSTERTUNE_METRICS": str(folder / "metrics.jsonl"),
        "CLUSTERTUNE_SOCKET": str(socket),
        "CLUSTERTUNE_KEY": key,
        "CLUSTERTUNE_CHECKPOINTS": str(checkpoints),
        "CLUSTERTUNE_SAVE": str(save),
        "CLUSTERTUNE_RESULT": str(result),
    }
    if start.checkpoint is not None:
        found["CLUSTERTUNE_CHECKPOINT"] = str(checkpoint_path(folder))
        found["CLUSTERTUNE_CHECKPOINT_LEVEL"] = str(start.checkpoint.resource)
    if start.run.pauses:
        found["CLUSTERTUNE_PAUSES"] = "1"
    if "TMPDIR" not in start.run.env:
        found["TMPDIR"] = str(temporary)
    if start.run.processes > 1:
        found.update(group_environment(start.run.processes, free_port()))
    if start.target is not None:
        found["CLUSTERTUNE_TARGET"] = str(start.target)
    if machine_has_gpus:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, start.gpus))
    return found


def _first(entry: str, path: str) -> str:
    return entry + os.pathsep + path if path else entry
