"""kill -9 of anything, at seeded random moments, then `clustertune resume`: nothing lost, nothing twice."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.conftest import TestHome

TRIALS, STEPS = 60, 12

PROGRAM = """
import os, time
import clustertune

def train(config):
    with open("ran.log", "a") as log:
        for step in range(1, STEPS + 1):
            time.sleep(0.05 if os.path.exists("strikes") else 0.01)
            print(os.environ["CLUSTERTUNE_TRIAL"], step, file=log, flush=True)
            clustertune.report(step, error=config["x"] / step)
""".replace("STEPS", str(STEPS))

EXPERIMENT = f"""
name: torn
run: {{call: "program:train"}}
space:
  x: {{type: float, low: 0.1, high: 1.0}}
objective: {{metric: error, goal: minimize}}
searcher: random
trials: {TRIALS}
seed: 5
"""

KINDS = {
    "trial": ("spawner", "CLUSTERTUNE_TRIAL"),
    "agent": ("clustertune.agent --folder",),
    "coordinator": ("clustertune.coordinator",),
    "everything": (),
}


def write_program(folder: Path) -> Path:
    (folder / "program.py").write_text(PROGRAM)
    path = folder / "experiment.yaml"
    path.write_text(EXPERIMENT)
    return path


def clustertune(home: TestHome, *arguments: str, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clustertune.cli", *arguments],
        env=home.environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def journal(home: TestHome, query: str) -> list[Any]:
    path = home.cluster.path / "journal.sqlite"
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []  # it is being created
    finally:
        connection.close()


def ended_trials(home: TestHome) -> Counter[int]:
    bodies = [json.loads(body) for (body,) in journal(home, "SELECT body FROM facts WHERE kind = 'AttemptEnded'")]
    return Counter(b["trial"] for b in bodies if b["state"] in ("completed", "stopped", "failed", "infeasible"))


def wait_until(condition: Any, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def strike(home: TestHome, kind: str, chance: random.Random) -> None:
    if kind == "trial":
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
            spawners = home.processes("clustertune.agent.spawner")
            children = [child for spawner in spawners for child in spawner.children()]
            chance.choice(children or spawners).kill()
        return
    home.kill(*KINDS[kind])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", ["trial", "agent", "coordinator", "everything"])
def test_whatever_is_killed_every_trial_ends_once_and_no_report_is_missing(
    kind: str, home: TestHome, tmp_path: Path
) -> None:
    chance = random.Random(f"1 {kind}")
    definition = write_program(tmp_path)
    # Trials take their time until the last strike: on a busy machine they would be over before the commands in between.
    (tmp_path / "strikes").touch()
    retries = ["--set", "retries=20"] if kind == "trial" else []
    assert clustertune(home, "tune", str(definition), "--detach", *retries).returncode == 0
    seen_reports: set[tuple[int, int, int]] = set()
    seen_ended: dict[int, int] = {}
    for _ in range(4):
        before = len(seen_reports)
        wait_until(lambda: len(journal(home, "SELECT id FROM reports")) > before + chance.randint(10, 50))  # noqa: B023
        strike(home, kind, chance)
        seen_reports |= set(journal(home, "SELECT trial, attempt, resource FROM reports"))
        for trial in ended_trials(home):
            seen_ended.setdefault(trial, len((tmp_path / "ran.log").read_text().splitlines()))
        clustertune(home, "status")
    (tmp_path / "strikes").unlink()
    resumed = clustertune(home, "resume", "torn", "--plain")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr

    assert ended_trials(home) == Counter(range(TRIALS))
    reports = journal(home, "SELECT trial, attempt, resource FROM reports")
    assert seen_reports <= set(reports)
    observed = Counter(journal(home, "SELECT trial, resource FROM reports WHERE observed"))
    assert observed == Counter((trial, step) for trial in range(TRIALS) for step in range(1, STEPS + 1))
    ran = [tuple(map(int, line.split())) for line in (tmp_path / "ran.log").read_text().splitlines()]
    for trial, line in seen_ended.items():
        assert not [r for r in ran[line + 4 :] if r[0] == trial], f"trial {trial} ran again after it had ended"
    results = json.loads((home.cluster.path / "experiments" / "torn" / "results.json").read_text())
    assert results["trials"] == {"completed": TRIALS}
    best = min(journal(home, "SELECT loss, trial FROM reports"))
    assert (results["best"]["value"], results["best"]["trial"]) == best
    lines = (home.cluster.path / "experiments" / "torn" / "reports.csv").read_text().splitlines()
    assert len(lines) == len(reports) + 1


def test_a_killed_cli_leaves_the_experiment_running(home: TestHome, tmp_path: Path) -> None:
    definition = write_program(tmp_path)
    cli = subprocess.Popen(
        [sys.executable, "-m", "clustertune.cli", "tune", str(definition), "--plain"],
        env=home.environment(),
        stdout=subprocess.DEVNULL,
    )
    wait_until((home.cluster.path / "journal.sqlite").exists)
    wait_until(lambda: len(journal(home, "SELECT id FROM reports")) > 5)
    cli.kill()
    cli.wait()
    resumed = clustertune(home, "resume", "torn", "--plain")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert ended_trials(home) == Counter(range(TRIALS))
