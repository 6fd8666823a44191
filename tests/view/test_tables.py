"""Tables that are printed once."""

from __future__ import annotations

import math

from clustertune.model.snapshot import ExperimentSummary, InstanceRow
from clustertune.model.trial import ExperimentState
from clustertune.view.tables import best_first, experiments, instances, trials
from tests.client.coordinator_api import row
from tests.view.screens import lines


def summary(name: str, created: float, cluster: str = "local") -> ExperimentSummary:
    return ExperimentSummary(
        name=name, state=ExperimentState.RUNNING, created=created, elapsed_s=61.0, trials=5, limit=64,
        metric="loss", goal="minimize", best=0.5, cluster=cluster,
    )  # fmt: skip


def test_experiments_are_listed_oldest_first() -> None:
    shown = lines(experiments([summary("b", 50.0), summary("a", 10.0)], now=100.0), 120)
    assert shown[0].split() == ["experiment", "state", "trials", "metric", "best", "ran", "begun"]
    assert shown[1].split() == ["a", "running", "5/64", "loss", "(minimize)", "0.5", "1m", "01s", "1m", "30s", "ago"]
    assert shown[2].startswith("b ")


def test_clusters_are_named_where_there_are_several() -> None:
    shown = lines(experiments([summary("a", 1.0), summary("a", 2.0, "lab")], now=3.0), 120)
    assert [line.split()[1] for line in shown] == ["cluster", "local", "lab"]


def test_machines_show_what_they_have() -> None:
    rows = [InstanceRow(instance="local-0", state="ready", epoch=1, cpus=2.0, memory_bytes=8 * 2**30, problem="[b]hot")]
    assert lines(instances(rows), 120)[1].split() == ["local-0", "ready", "2", "8.0", "GiB", "0", "0", "[b]hot"]


def test_trials_have_a_column_for_each_parameter_that_any_has() -> None:
    rows = [row(1, config={"lr": 0.1}), row(2, config={"lr": 0.2, "momentum": 0.9})]
    shown = lines(trials(rows, "epoch"), 120)
    assert shown[0].split() == ["trial", "state", "epoch", "value", "last", "time", "lr", "momentum"]
    assert shown[1].split()[-1] == "0.1"
    assert shown[2].split()[-2:] == ["0.2", "0.9"]


def test_the_best_trial_is_first_whatever_the_goal() -> None:
    rows = [row(0, value=0.5), row(1, value=None), row(2, value=0.9), row(3, value=0.1), row(4, value=math.nan)]
    assert [found.trial for found in best_first(rows, "minimize")] == [3, 0, 2, 4]
    assert [found.trial for found in best_first(rows, "maximize")] == [2, 0, 3, 4]


def test_ties_go_to_the_lower_number() -> None:
    assert [found.trial for found in best_first([row(5, value=1.0), row(2, value=1.0)], "maximize")] == [2, 5]


def test_the_last_value_has_a_column_only_where_it_is_another() -> None:
    assert "last" not in lines(trials([row(1, value=0.3, last_value=0.3)], "epoch"), 120)[0].split()
    assert lines(trials([row(1, value=0.25, last_value=0.3)], "epoch"), 120)[1].split()[3:5] == ["0.25", "0.3"]
