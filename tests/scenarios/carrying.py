"""A program whose every value needs all of its past, and which notices a checkpoint that is not what was saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.scenarios.machines import Machines

PROGRAM = """
import hashlib, json, os, time
import clustertune

BULK = 1_000_000

def train(config):
    level, total = 0, 0.0
    if (saved := clustertune.latest_checkpoint()) is not None:
        level, total, digest = json.loads((saved.path / "state.json").read_text())
        bulk = (saved.path / "bulk").read_bytes()
        if level != saved.resource or hashlib.sha256(bulk).hexdigest() != digest or len(bulk) != BULK:
            raise ValueError(f"damaged: {level} at {saved.resource}, {len(bulk)} bytes")
    while level < config.get("levels", LEVELS):
        level, total = level + 1, total + config["x"]
        time.sleep(0.004)
        clustertune.report(level, error=(total + 1) / level)
        if clustertune.should_checkpoint():
            with clustertune.new_checkpoint(level) as folder:
                bulk = os.urandom(BULK)
                (folder / "bulk").write_bytes(bulk)
                state = level, total, hashlib.sha256(bulk).hexdigest()
                (folder / "state.json").write_text(json.dumps(state))
    with clustertune.new_result() as folder:
        (folder / "x").write_text(repr(config["x"]))
"""

TOP = 9


def definition(name: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """Writes the program, and gives an experiment whose trials pause at rungs; the smallest x is best."""
    (folder / "program.py").write_text(PROGRAM.replace("LEVELS", str(TOP)))
    plain: dict[str, Any] = {
        "name": name,
        "run": {"call": "program:train"},
        "space": {"x": {"type": "float", "low": 0.1, "high": 1.0}},
        "objective": {"metric": "error", "goal": "minimize"},
        "resource": {"name": "epoch", "min": 1, "max": TOP},
        "scheduler": "asha-promotion",
        "trials": 12,
        "seed": 3,
    }
    return plain | changes


def value(x: float, level: int) -> float:
    """What a trial reports that was never interrupted, to the last bit."""
    total = 0.0
    for _ in range(level):
        total += x
    return (total + 1) / level


def configs(machines: Machines, experiment: str) -> dict[int, Mapping[str, float]]:
    return {fact["trial"]: fact["config"] for fact in machines.facts("TrialCreated", experiment=experiment)}


def check_curves(machines: Machines, experiment: str) -> None:
    """Every value is that of a trial that ran through."""
    for trial, config in configs(machines, experiment).items():
        for level, metrics in machines.curve(experiment, trial).items():
            assert json.loads(metrics)["error"] == value(config["x"], level), (trial, level)


def check_best(machines: Machines, experiment: str) -> None:
    """The best trial was promoted to the top, as if all had run through."""
    best = machines.snapshot(experiment).best
    assert best is not None
    assert best.value == min(value(config["x"], TOP) for config in configs(machines, experiment).values())
    assert best.resource == TOP
