"""What must hold after whatever happened."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.machines.machine import Machine
from tests.scenarios.chaos.programs import EACH, LEVELS, value
from tests.scenarios.chaos.stage import Stage
from tests.scenarios.machines import ENDED, wait_for


def check_all(stage: Stage, names: list[str]) -> None:
    """Once all experiments have ended, and before ``down``."""
    for name in names:
        check_ends(stage, name)
        check_curves(stage, name)
        check_best(stage, name)
        check_files(stage, name)
        stage.lab.type("replay", name, "--cluster", "lab")
    check_promises(stage)


def check_ends(stage: Stage, name: str) -> None:
    """Every trial ended exactly once, for good, and as it should."""
    facts = [fact for fact in stage.lab.facts("AttemptEnded", "TrialMoved") if fact["experiment"] == name]
    over = Counter(fact["trial"] for fact in facts if fact["state"] in ENDED)
    assert over == Counter(range(EACH)), over
    failed = [fact for fact in facts if fact["state"] == "failed"]
    assert not failed, failed


def check_curves(stage: Stage, name: str) -> None:
    """No level is missing, none is there twice, and each has the value that its trial was to report there."""
    x = {fact["trial"]: fact["config"]["x"] for fact in stage.lab.facts("TrialCreated") if fact["experiment"] == name}
    levels = Counter((trial, level) for trial, level, _ in observed(stage, name))
    assert set(levels.values()) == {1}, levels
    for trial in range(EACH):
        its = sorted(level for number, level in levels if number == trial)
        assert its == list(range(1, len(its) + 1)), (name, trial, its)
        assert its or name == "carrying", (name, trial)
        assert len(its) == LEVELS or name == "carrying", (name, trial, its)
    for trial, level, loss in observed(stage, name):
        assert loss == value(x[trial], level), (name, trial, level)


def observed(stage: Stage, name: str) -> list[tuple[int, int, float]]:
    query = f"SELECT trial, resource, loss FROM reports WHERE observed AND experiment = '{name}'"
    return [(trial, level, loss) for trial, level, loss in stage.lab.query(query)]


def check_best(stage: Stage, name: str) -> None:
    """The incumbent is the best of what was observed."""
    best = stage.lab.experiment(name).best
    assert best is not None
    lowest = min(loss for _, _, loss in observed(stage, name))
    assert best.value == lowest
    assert (best.trial, best.value) in {(trial, loss) for trial, _, loss in observed(stage, name)}


def check_files(stage: Stage, name: str) -> None:
    """The files say what the journal says."""
    folder, best = stage.lab.place.path / "experiments" / name, stage.lab.experiment(name).best
    results = json.loads((folder / "results.json").read_text())
    assert best is not None
    assert (results["best"]["trial"], results["best"]["value"]) == (best.trial, best.value)
    assert sum(results["trials"].values()) == EACH
    rows = _csv(folder / "trials.csv")
    assert Counter(row["state"] for row in rows) == Counter(results["trials"])
    lowest: dict[int, float] = {}
    for trial, _, loss in observed(stage, name):
        lowest[trial] = min(loss, lowest.get(trial, loss))
    assert {int(row["trial"]): float(row["value"]) for row in rows} == lowest
    written = [tuple(int(row[key]) for key in ("trial", "attempt", "resource")) for row in _csv(folder / "reports.csv")]
    kept = stage.lab.query(f"SELECT trial, attempt, resource FROM reports WHERE experiment = '{name}'")
    assert Counter(written) == Counter(kept)


def _csv(path: Path) -> list[dict[str, Any]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def check_promises(stage: Stage) -> None:
    """What any agent was told to be on disk is there, once; and nothing is there that no agent said."""
    rows = stage.lab.query("SELECT experiment, trial, attempt, resource FROM reports")
    kept = Counter((f"{name}:{trial}:{attempt}", level) for name, trial, attempt, level in rows)
    assert not [each for each, times in kept.items() if times > 1]
    every = stage.proxy.promises.values()
    promised = {each for promises in every for each in promises.kept()}
    assert promised, "no agent was told anything"
    missing = sorted(promised - set(kept))
    assert not missing, told_of(stage, missing)
    said = {each for promises in every for reports in promises.reports.values() for each in reports}
    assert set(kept) <= said, sorted(set(kept) - said)[:20]


def told_of(stage: Stage, missing: list[tuple[str, int]]) -> str:
    """Who said what is missing, in which message, and what the journal has of those trials."""
    lines = [
        f"{attempt} {level}: {name} epoch {epoch} message {number}, acknowledged through {promises.acknowledged}"
        for (name, epoch), promises in stage.proxy.promises.items()
        for number, reports in promises.reports.items()
        for attempt, level in reports
        if (attempt, level) in missing
    ]
    trials = {tuple(attempt.split(":")[:2]) for attempt, _ in missing}
    rows = stage.lab.query("SELECT now, kind, body FROM facts ORDER BY seq")
    for now, kind, body in rows:
        plain = json.loads(body)
        if (plain.get("experiment"), str(plain.get("trial"))) in trials:
            lines.append(f"{now:.2f} {kind} {body[:200]}")
    return "acknowledged, and not in the journal:\n" + "\n".join(lines)


def check_nothing_is_left(stage: Stage) -> None:
    """After ``down``: no process and no socket, there or here.

    A machine that was off, and that nobody has had a reason to visit since, may still have files of dead sockets.
    """
    goings = {fact["instance"]: fact["reason"] for fact in stage.lab.facts("InstanceGone")}
    visited = [stage.lab.hosts.index(name) for name, reason in goings.items() if reason == "the cluster goes down"]
    for number, machine in enumerate(stage.lab.machines):
        wait_for(lambda machine=machine: not machine.processes(), f"the end of all on {machine.name}")  # type: ignore[misc]
        look = listening if number not in visited else sockets
        wait_for(
            lambda machine=machine, look=look: not look(machine),  # type: ignore[misc]
            f"the last socket on {machine.name}",
            10,
            lambda machine=machine: sockets(machine),  # type: ignore[misc]
        )
    assert stage.lab.home.processes("clustertune.") == []


def sockets(machine: Machine) -> str:
    """The files of the user's sockets."""
    found = machine.run("find", "/home", "/tmp", "/run", "-type", "s", "-user", "ubuntu", user="root", check=False)
    return str(found.stdout)


def listening(machine: Machine) -> list[str]:
    """Where something listens."""
    lines = str(machine.run("cat", "/proc/net/unix").stdout).splitlines()[1:]
    return [line for line in lines if line.split()[3] == "00010000"]
