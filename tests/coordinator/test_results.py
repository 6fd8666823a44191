"""The result files of an experiment."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

from clustertune.coordinator.core.lineage import schedule
from clustertune.coordinator.core.snapshots import front, row, snapshot
from clustertune.coordinator.results import ResultFiles, Written
from clustertune.model.trial import EndReason
from clustertune.search.registry import Registry
from tests.coordinator.core.driving import drive
from tests.coordinator.core.test_schedulers import loss, submitted
from tests.coordinator.core.world import World


def files(folder: Path, world: World) -> Path:
    """What is written of a world's experiment, curves left out."""
    journal = folder / "journal.sqlite"
    with sqlite3.connect(journal) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS reports (id, experiment, trial, attempt, resource, metrics)")
    connection.close()
    experiment = world.experiment()
    told = snapshot(world.core, experiment, cluster="local", now=world.now, folder="")
    rows = [row(experiment, trial, world.now) for trial in experiment.trials]
    written = Written(
        snapshot=told, rows=rows, parameters=("lr",), schedule=schedule(experiment), front=front(experiment)
    )
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


def test_of_a_clone_is_written_whose_it_is_and_where_it_went_on(tmp_path: Path) -> None:
    world = submitted({"type": "population-based", "population": 6, "interval": 1}, trials=6, slots=6)
    world = drive(world, loss, slots=6)
    trials = world.experiment().trials
    rows = list(csv.DictReader((files(tmp_path, world) / "trials.csv").read_text().splitlines()))
    assert list(rows[0])[6:] == ["cloned_from", "begins_at", "lr"]
    assert [row["cloned_from"] for row in rows] == ["" if t.parent is None else str(t.parent) for t in trials]
    assert [int(row["begins_at"]) for row in rows] == [t.origin.resource if t.origin else 0 for t in trials]
    assert {row["begins_at"] == "0" for row in rows} == {True, False}


def test_an_experiment_without_clones_has_no_schedule(tmp_path: Path) -> None:
    folder = files(tmp_path, drive(submitted({"type": "asha"}), loss))
    assert (folder / "results.json").exists()
    assert (folder / "trials.csv").read_text().splitlines()[0] == "trial,state,attempts,resource,value,elapsed_s,lr"
    assert not (folder / "schedule.json").exists()


def test_where_the_only_trial_with_a_value_ends_infeasible_its_files_go(tmp_path: Path) -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.ran(0)
    world.report(0, 1, error=0.5)
    assert (files(tmp_path, world) / "best.yaml").exists()
    (tmp_path / "digits" / "schedule.json").write_text("of the trial, had it been cloned")
    world.end(0, EndReason.INFEASIBLE, "too wide")
    folder = files(tmp_path, world)
    assert json.loads((folder / "results.json").read_text())["best"] is None
    assert not (folder / "best.yaml").exists()
    assert not (folder / "schedule.json").exists()


def several(**changes: Any) -> World:
    world = World()
    aims = [{"metric": "error"}, {"metric": "lr", "goal": "maximize"}]
    bounds = [{"metric": "memory", "at_most": 8}]
    world.submit(objective=None, objectives=aims, metric_constraints=bounds, **changes)
    world.join(slots=4)
    for trial, (error, speed, memory) in enumerate(
        [(0.1, 1.0, 2.0), (0.2, 7.0, 2.0), (0.9, 9.0, 2.0), (0.0, 9.0, 16.0)]
    ):
        world.ran(trial)
        world.report(trial, 1, error=error, lr=speed, memory=memory)
    return world


def test_the_front_is_written_with_its_values_and_the_best_is_called_the_compromise(tmp_path: Path) -> None:
    world = several()
    found: dict[str, Any] = json.loads((files(tmp_path, world) / "results.json").read_text())
    assert found["objectives"] == [{"metric": "error", "goal": "minimize"}, {"metric": "lr", "goal": "maximize"}]
    assert "objective" not in found
    assert [(point["trial"], point["values"]["lr"]) for point in found["front"]] == [(0, 1.0), (1, 7.0), (2, 9.0)]
    assert found["best"] == {"chosen_as": "compromise", **found["front"][1]}


def test_each_metric_that_counts_has_a_column_under_a_name_that_no_parameter_has(tmp_path: Path) -> None:
    header, first, *_ = (files(tmp_path, several()) / "trials.csv").read_text().splitlines()
    assert header == "trial,state,attempts,resource,value,elapsed_s,error,metric.lr,memory,lr"
    assert first.split(",")[:5] == ["0", "running", "1", "1", "0.1"]
    assert first.split(",")[6:9] == ["0.1", "1.0", "2.0"]


def test_with_one_objective_and_constraints_there_is_a_value_and_what_is_broken_where_none_keeps_them(
    tmp_path: Path,
) -> None:
    world = World()
    world.submit(metric_constraints=[{"metric": "recall", "at_least": 0.9}])
    world.join(slots=1)
    world.ran(0)
    world.report(0, 1, error=0.5, recall=0.45)
    best = json.loads((files(tmp_path, world) / "results.json").read_text())["best"]
    assert (best["value"], best["breaks"]) == (0.5, ["recall 0.45 is not at least 0.9"])
