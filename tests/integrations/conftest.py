"""Runs a training program as an agent would: with the folders, the file and the variables that decision 9 names."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass
class Run:
    """What one attempt printed as its reports, and what it left."""

    reports: dict[int, dict[str, float]]
    code: int
    output: str
    checkpoints: dict[int, Path] = field(default_factory=dict)


class Bench:
    """One trial, attempt by attempt. Trials that share a ``workdir`` run side by side in it, under their names."""

    def __init__(self, folder: Path, program: str, name: str = "", workdir: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self._name, self._workdir = folder, name, workdir
        self.program = folder / "program.py"
        self.program.write_text(program)
        self._attempts = 0

    def run(self, config: Mapping[str, object], *, pause: bool = False, resume: tuple[int, Path] | None = None) -> Run:
        """``pause``: a checkpoint is wanted from the beginning, and the program is to end once it has saved."""
        self._attempts += 1
        attempt = self.folder / f"attempt-{self._attempts}"
        (attempt / "checkpoints").mkdir(parents=True)
        (attempt / "config.json").write_text(json.dumps(config))
        if pause:
            (attempt / "save").write_text("exit")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("CLUSTERTUNE_")},
            "PYTHONPATH": str(REPOSITORY),
            "CLUSTERTUNE_CONFIG": str(attempt / "config.json"),
            "CLUSTERTUNE_CHECKPOINTS": str(attempt / "checkpoints"),
            "CLUSTERTUNE_SAVE": str(attempt / "save"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        if self._name:
            environment["CLUSTERTUNE_ATTEMPT"] = f"{self._name}:{self._attempts}"
        if resume is not None:
            environment["CLUSTERTUNE_CHECKPOINT_LEVEL"] = str(resume[0])
            environment["CLUSTERTUNE_CHECKPOINT"] = str(resume[1])
        done = subprocess.run(
            [sys.executable, str(self.program)],
            cwd=self._workdir or attempt, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=110, check=False,
        )  # fmt: skip
        kept = {int(p.name): p for p in (attempt / "checkpoints").iterdir() if p.name.isdecimal()}
        return Run(_reports(done.stdout), done.returncode, done.stdout, kept)


def _reports(output: str) -> dict[int, dict[str, float]]:
    """Without an agent the SDK prints what it would report."""
    found = {}
    for line in output.splitlines():
        if match := re.match(r"step (\d+): (.*)", line):
            found[int(match.group(1))] = {k: float(v) for k, v in re.findall(r"(\S+)=(\S+)", match.group(2))}
    return found


@pytest.fixture
def bench(tmp_path: Path):  # type: ignore[no-untyped-def]
    return lambda program: Bench(tmp_path, program)


@pytest.fixture
def side_by_side(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Two trials of one program in one working directory."""
    workdir = tmp_path / "work"
    workdir.mkdir()
    return lambda program: [Bench(tmp_path / str(n), program, f"digits:{n}", workdir) for n in range(2)]
