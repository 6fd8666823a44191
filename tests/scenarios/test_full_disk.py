"""The disk under everything fills up in the middle of an experiment, and is freed again."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.scenarios.test_nothing_is_lost import clustertune, journal, wait_until

if TYPE_CHECKING:
    from tests.conftest import TestHome

STEPS = 400

PROGRAM = f"""
import time
import clustertune

def train(config):
    for step in range(1, {STEPS} + 1):
        time.sleep(0.001)
        clustertune.report(step, error=config["x"] / step, **{{f"metric_{{n}}": float(n) for n in range(40)}})
"""

EXPERIMENT = """
name: filling
run: {call: "program:train"}
space:
  x: {type: float, low: 0.1, high: 1.0}
objective: {metric: error}
trials: 6
"""


@pytest.fixture
def small_disk(home: TestHome) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this test fills")
    path = home.path
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k,mode=0700", "small", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_is_said_and_when_it_is_freed_everything_goes_on_and_nothing_is_missing(
    home: TestHome, small_disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    begun = clustertune(home, "tune", str(tmp_path / "experiment.yaml"), "--detach")
    assert begun.returncode == 0, begun.stderr
    with home.connect() as coordinator:
        wait_until(lambda: "free some space" in coordinator.experiment("filling").problem)
    acknowledged = set(journal(home, "SELECT trial, resource FROM reports"))
    status = clustertune(home, "status", "filling")
    assert "free some space" in " ".join((status.stdout + status.stderr).split())
    refused = clustertune(home, "stop", "filling")
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    ended = clustertune(home, "watch", "filling", "--plain")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    reports = journal(home, "SELECT trial, resource FROM reports")
    assert acknowledged <= set(reports)
    assert sorted(reports) == [(trial, step) for trial in range(6) for step in range(1, STEPS + 1)]
    lines = (home.cluster.path / "experiments" / "filling" / "reports.csv").read_text().splitlines()
    assert len(lines) == 6 * STEPS + 1
    with home.connect() as coordinator:
        coordinator.shutdown(stop_agents=True)
    wait_until(lambda: not home.processes())


def test_a_coordinator_that_is_killed_on_a_full_disk_is_waited_for_and_nothing_is_missing(
    home: TestHome, small_disk: Path, tmp_path: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    assert clustertune(home, "tune", str(tmp_path / "experiment.yaml"), "--detach").returncode == 0
    with home.connect() as coordinator:
        wait_until(lambda: "free some space" in coordinator.experiment("filling").problem)
    acknowledged = set(journal(home, "SELECT trial, resource FROM reports"))
    home.kill("clustertune.coordinator")
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(512))
    listed = clustertune(home, "list")
    assert listed.returncode != 0
    assert "free some space" in " ".join(listed.stderr.split())
    assert "Traceback" not in listed.stderr
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    ended = clustertune(home, "resume", "filling", "--plain")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    reports = journal(home, "SELECT trial, resource FROM reports WHERE observed")
    assert acknowledged <= set(reports)
    assert sorted(reports) == [(trial, step) for trial in range(6) for step in range(1, STEPS + 1)]
    with home.connect() as coordinator:
        coordinator.shutdown(stop_agents=True)
    wait_until(lambda: not home.processes())
