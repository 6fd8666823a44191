"""The program itself, run as a user would, in a folder and a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import TestHome

PROGRAM = (sys.executable, "-m", "clustertune.cli")
SLOW = """
import time
import clustertune

def train(config):
    print("trial begins", flush=True)
    for step in range(1, 2000):
        clustertune.report(step, loss=config["x"] + 1 / step)
        time.sleep(0.02)
"""
STUBBORN = """
import signal
import time
import clustertune

def train(config):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for step in range(1, 2000):
        clustertune.report(step, loss=config["x"] + 1 / step)
        time.sleep(0.02)
"""
QUICK = """
import clustertune

def train(config):
    print("x is", config["x"])
    clustertune.report(1, loss=config["x"] ** 2)
"""


class Cli:
    """Runs commands in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._begun: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str, check: int | None = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*PROGRAM, *arguments], cwd=self.folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        if check is not None:
            assert done.returncode == check, done.stdout + done.stderr
        return done

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on; its output is read by lines."""
        process = subprocess.Popen(
            [*PROGRAM, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._begun.append(process)
        return process

    def experiment(self, program: str, *, name: str = "trying", more: str = "") -> str:
        """Writes a program and its definition; returns the definition's path."""
        (self.folder / "train.py").write_text(program)
        definition = self.folder / f"{name}.yaml"
        definition.write_text(
            f"name: {name}\n"
            "run: {call: 'train:train'}\n"
            "space: {x: {type: float, low: 0, high: 1}}\n"
            "objective: {metric: loss, goal: minimize}\n"
            f"trials: 4\n{more}"
        )
        return definition.name

    def close(self) -> None:
        for process in self._begun:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def read_until(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> list[str]:
    """Lines of its output up to the wanted one."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line.rstrip("\n"))
        if wanted(line):
            return seen
    raise AssertionError("it ended, having said:\n" + "\n".join(seen))


@pytest.fixture
def cli(home: TestHome, tmp_path: Path) -> Iterator[Cli]:
    program = Cli(tmp_path)
    yield program
    program.close()
