"""What runs while things break: with and without checkpoints, called and commanded; every value can be foretold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LEVELS = 9
EACH = 30
"""Trials of each experiment; there are three."""

_STEP_S = 0.25

_CARRYING = f"""
import json, time
import clustertune

def train(config):
    level, total = 0, 0.0
    if (saved := clustertune.latest_checkpoint()) is not None:
        level, total = json.loads((saved.path / "state.json").read_text())
        if level != saved.resource:
            raise ValueError(f"the checkpoint of {{saved.resource}} is that of {{level}}")
    while level < {LEVELS}:
        level, total = level + 1, total + config["x"]
        time.sleep({_STEP_S})
        clustertune.report(level, error=(total + 1) / level)
        if clustertune.should_checkpoint():
            with clustertune.new_checkpoint(level) as folder:
                (folder / "state.json").write_text(json.dumps([level, total]))
"""
_FORGETFUL = f"""
import time
import clustertune

def train(config):
    total = 0.0
    for level in range(1, {LEVELS} + 1):
        total += config["x"]
        time.sleep({_STEP_S})
        clustertune.report(level, error=(total + 1) / level)
"""
_PRINTING = f"""
import sys, time

x, total = float(sys.argv[1]), 0.0
for level in range(1, {LEVELS} + 1):
    total += x
    time.sleep({_STEP_S})
    print(f"error={{(total + 1) / level!r}}", flush=True)
"""


def value(x: float, level: int) -> float:
    """What a trial reports that was never interrupted, to the last bit."""
    total = 0.0
    for _ in range(level):
        total += x
    return (total + 1) / level


def write_programs(folder: Path) -> None:
    for name, text in (("carrying", _CARRYING), ("forgetful", _FORGETFUL), ("printing", _PRINTING)):
        (folder / f"{name}.py").write_text(text)


def definitions(seed: int) -> dict[str, dict[str, Any]]:
    """By name. Faults of programs here are faults of machines, so that any number of retries is granted."""
    plain: dict[str, Any] = {
        "space": {"x": {"type": "float", "low": 0.1, "high": 1.0}},
        "objective": {"metric": "error", "goal": "minimize"},
        "resource": {"name": "epoch", "min": 1, "max": LEVELS},
        "searcher": "random",
        "trials": EACH,
        "retries": 50,
        "seed": seed,
    }
    regex = r"error=([-+.\deE]+)"
    return {
        "carrying": {**plain, "run": {"call": "carrying:train"}, "scheduler": "asha-promotion"},
        "forgetful": {**plain, "run": {"call": "forgetful:train"}, "scheduler": "fifo"},
        "printing": {
            **plain,
            "run": {"command": "python3 printing.py {x}"},
            "metrics": [{"name": "error", "regex": regex}],
            "scheduler": "fifo",
        },
    }
