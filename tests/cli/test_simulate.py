"""simulate: the table, the plot, JSON, recorded experiments, and mistakes."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Cli

CURVES = """
import clustertune

def train(config):
    for epoch in range(1, 5):
        clustertune.report(epoch, loss=config["x"] + 1 / epoch)
"""
MORE = "resource: {name: epoch, max: 9}\nscheduler: {type: fifo}\nsearcher: {type: sobol}\n"


def test_the_definitions_own_strategy_stands_beside_random_search(cli: Cli) -> None:
    shown = cli("simulate", cli.experiment(CURVES, more=MORE), "--slots", "4", "--seeds", "3").stdout
    assert shown.splitlines()[0] == "task curves; 4 slots, 3 seeds each; all times are virtual"
    assert [line.split("  ")[0] for line in shown.splitlines()[2:5]] == [
        "sobol + fifo",
        "random + fifo",
        "random + asha",
    ]
    assert "slot time (log)" in shown


def test_named_strategies_are_crossed_and_json_has_every_simulation(cli: Cli) -> None:
    path = cli.experiment(CURVES, more=MORE)
    arguments = ("--searcher", "random", "--searcher", "sobol", "--scheduler", "asha", "--set", "trials=9", "--json")
    told = json.loads(cli("simulate", path, "--slots", "2", "--seeds", "2", *arguments).stdout)
    assert [one["strategy"] for one in told["strategies"]] == ["random + asha", "sobol + asha"]
    first = told["strategies"][0]["simulations"]
    assert [one["seed"] for one in first] == [0, 1]
    assert first[0]["trials"] == sum(first[0]["states"].values()) == 9
    assert first[0]["value"] == first[0]["path"][-1]["value"]
    again = json.loads(cli("simulate", path, "--slots", "2", "--seeds", "2", *arguments).stdout)
    assert told == again


def test_strategies_of_one_name_are_told_apart_by_their_options(cli: Cli) -> None:
    schedulers = ("--scheduler", "asha", "--scheduler", "{type: asha, reduction_factor: 4}")
    arguments = ("--slots", "2", "--seeds", "1", "--searcher", "random", *schedulers, "--json")
    told = json.loads(cli("simulate", cli.experiment(CURVES, more=MORE), *arguments).stdout)
    names = [one["strategy"] for one in told["strategies"]]
    assert ["reduction_factor 3" in names[0], "reduction_factor 4" in names[1]] == [True, True]


def test_delays_speeds_and_interruptions_show_in_virtual_time(cli: Cli) -> None:
    path = cli.experiment(CURVES, more=MORE)
    plain = ("--slots", "4", "--seeds", "1", "--scheduler", "fifo", "--json")
    late = ("--machine-start", "10m", "--trial-start", "1m", "--machines", "2", "--speeds", "1,0.5")
    taken = ("--slots", "1", "--interruptions", "600", "--return-after", "1m")
    times = []
    for arguments in (plain, (*plain, *late), (*plain, *taken)):
        simulated = json.loads(cli("simulate", path, *arguments).stdout)["strategies"][0]["simulations"][0]
        times.append(simulated["time_s"])
        assert simulated["trials"] == 4
    assert simulated["interruptions"] > 0
    assert times[0] + 660 < times[1]
    assert times[0] + 60 < times[2]


def test_the_same_time_for_each_however_many_trials_that_is(cli: Cli) -> None:
    arguments = ("--slots", "2", "--seeds", "1", "--time", "2m", "--json")
    told = json.loads(cli("simulate", cli.experiment(CURVES, more=MORE), *arguments).stdout)
    assert {one["simulations"][0]["time_s"] for one in told["strategies"]} == {120.0}
    assert len({one["simulations"][0]["trials"] for one in told["strategies"]}) > 1


def test_what_auto_stands_for_is_chosen_for_the_experiments_own_trials_whatever_the_time(cli: Cli) -> None:
    path = cli.experiment(CURVES, more="resource: {name: epoch}\nscheduler: auto\nsearcher: auto\n")
    told = json.loads(cli("simulate", path, "--slots", "2", "--seeds", "1", "--time", "10m", "--json").stdout)
    assert (
        told["strategies"][0]["strategy"] == "random + fifo"
    )  # for its 4 trials; without a limit it would be bayesian
    assert told["strategies"][0]["simulations"][0]["trials"] > 4


def test_an_earlier_experiment_is_replayed_by_name_and_by_folder(cli: Cli) -> None:
    path = cli.experiment(CURVES, more="resource: {name: epoch, max: 4}\nscheduler: {type: fifo}\n")
    cli("tune", path)
    arguments = ("--slots", "2", "--seeds", "1", "--scheduler", "fifo", "--only-recorded", "--json")
    best = json.loads(cli("results", "trying", "--json").stdout)["best"]
    folder = cli("results", "trying", "--path").stdout.strip()
    for recorded in ("trying", folder):
        told = json.loads(cli("simulate", path, "--recorded", recorded, *arguments).stdout)
        simulated = told["strategies"][0]["simulations"][0]
        assert told["task"].startswith("4 recorded trials of")
        assert (simulated["value"], simulated["best"]) == (best["value"], best["config"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "hartman3"), "there is no task called 'hartman3'; did you mean 'hartmann3'?"),
        (("--task", "hartmann3"), "it has the parameters x0, x1, x2, and the experiment x"),
        (("--task", "curves", "--recorded", "x"), "--task and --recorded exclude each other"),
        (("--recorded", "nothing"), "there is no experiment called 'nothing'"),
        (("--only-recorded",), "--only-recorded is for recorded trials"),
        (("--searcher", "rndom"), "--searcher: there is no searcher called 'rndom'; did you mean 'random'"),
        (("--scheduler", "ashaa"), "--scheduler: there is no scheduler called 'ashaa'; did you mean 'asha'"),
        (("--scheduler", "{type: asha, reduction_factor: 1}"), "--scheduler: reduction_factor: must be at least 2"),
        (("--set", "scheduler=ashaa"), "--set: scheduler: there is no scheduler called 'ashaa'"),
        (("--time", "soon"), "--time: 'soon' is not a duration"),
        (
            ("--task", "curves:step_seconds=nan"),
            "task curves: step_seconds is a number above 0, and at most 1e+09, found nan",
        ),
        (("--speeds", "1,inf"), "--speeds takes numbers from 1e-06 to 1e+06, as in 1,0.5, but got '1,inf'"),
        (("--speeds", "fast"), "--speeds takes numbers from 1e-06 to 1e+06, as in 1,0.5, but got 'fast'"),
        (("--machines", "9"), "--machines 9 is more than --slots 4"),
        (("--trial-start", "soon"), "--trial-start"),
        (("--set", "trials"), "--set takes path=value"),
    ],
)
def test_mistakes_are_told_plainly(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    told = cli("simulate", cli.experiment(CURVES, more=MORE), "--slots", "4", *arguments, check=2).stderr
    assert message in told
