"""The result files of an experiment."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from clustertune.coordinator.core.lineage import schedule
from clustertune.coordinator.core.snapshots import snapshot
from clustertune.coordinator.results import ResultFiles, Written
from clustertune.search.registry import Registry
from tests.coordinator.core.driving import drive
from tests.coordinator.core.test_schedulers import loss, submitted
from tests.coordinator.core.world import World


def files(folder: Path, world: World) -> Path:
    """What is written of a world's experiment, curves left out."""
    journal = folder / "journal.sqlite"
    with sqlite3.connect(journal) as connection:
        connection.execute("CREATE TABLE reports (id, experiment, trial, attempt, resource, metrics)")
    connection.close()
    experiment = world.experiment()
    told = snapshot(world.core, experiment, cluster="local", now=world.now, folder="")
    written = Written(snapshot=told, rows=(), parameters=("lr",), schedule=schedule(experiment))
    ResultFiles(folder / "digits", journal).write(written)
    return folder / "digits"


def test_a_populations_schedule_is_written_as_its_replay_and_a_plot_need_it(tmp_path: Path) -> None:
    world = submitted({"type": "population-based", "population": 6, "interval": 1}, trials=6, slots=6)
    world = drive(world, loss, slots=6)
    text = (files(tmp_path, world) / "schedule.json").read_text()
    found: dict[str, Any] = json.loads(text)
    experiment = world.experiment()
    assert (found["experiment"], found["resource"]) == ("digits", "epoch")
    assert found["value"] == experiment.best_loss
    assert len(found["schedule"]) > 1
    last = found["schedule"][-1]
    assert (last["trial"], last["resource_to"]) == (experiment.best, 9)
    assert last["config"] == experiment.trials[last["trial"]].config
    space = experiment.definition.space
    problems = Registry.default().scheduler_problems(
        "population-based-replay", {"schedule": text}, space=space, min_resource=1, max_resource=9
    )
    assert problems == []


def test_an_experiment_without_clones_has_no_schedule(tmp_path: Path) -> None:
    folder = files(tmp_path, drive(submitted({"type": "asha"}), loss))
    assert (folder / "results.json").exists()
    assert not (folder / "schedule.json").exists()
