"""status, list, results, logs, pause and stop, against a real coordinator."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, QUICK, SLOW, STUBBORN, Cli, read_until
from tests.conftest import TestHome


def test_with_no_experiment_each_says_where_to_begin(cli: Cli) -> None:
    assert "clustertune init" in cli("list").stdout
    assert "clustertune init" in cli("status").stdout
    assert "clustertune init" in cli("results", check=2).stderr


def test_an_unknown_name_gets_the_nearest(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    for command in ("status", "watch", "logs", "pause", "stop", "resume", "results"):
        assert "did you mean 'trying'?" in cli(command, "tryng", check=2).stderr


def test_the_only_experiment_needs_no_name(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    assert cli("status").stdout.startswith("trying  completed")
    assert "4 completed" in cli("results").stdout


def test_several_experiments_are_listed_by_status_and_the_newest_is_looked_at(cli: Cli) -> None:
    definition = cli.experiment(QUICK)
    cli("tune", definition)
    cli("tune", definition)
    shown = cli("status").stdout
    assert "trying-2" in shown
    assert "local-0" in shown
    done = cli("results")
    assert done.stderr == "trying-2, the newest of 2 experiments:\n"
    assert "trying-2 completed" in done.stdout
    for command in ("pause", "stop", "resume"):
        assert "there are: trying-2 (completed), trying (completed)" in cli(command, check=2).stderr


def test_results_are_a_table_best_first(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    rows = cli("results", "trying").stdout.splitlines()
    assert rows[0].split() == ["trial", "state", "step", "value", "time", "x"]
    values = [float(line.split()[3]) for line in rows[1:5]]
    assert values == sorted(values)


def test_each_has_json(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    assert json.loads(cli("status", "--json").stdout)["name"] == "trying"
    assert json.loads(cli("list", "--json").stdout)[0]["name"] == "trying"
    assert json.loads(cli("results", "--json").stdout)["state"] == "completed"
    assert json.loads(cli("logs", "trying", "0", "--json").stdout)["attempt"] == "trying:0:1"


def test_logs_are_what_the_trial_wrote(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    assert cli("logs", "trying", "2").stdout.startswith("x is 0.")
    assert "from 0 on" in cli("logs", "trying", "99", check=2).stderr


def test_logs_without_a_trial_are_those_of_a_failed_one(cli: Cli) -> None:
    failing = "def train(config):\n    print('so it goes')\n    raise ValueError('no')\n"
    cli("tune", cli.experiment(failing), check=1)
    done = cli("logs")
    assert "so it goes" in done.stdout
    assert done.stderr.startswith("trial ")


def test_logs_without_a_trial_are_those_of_the_best_where_none_failed(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    best = json.loads(cli("results", "--json").stdout)["best"]["trial"]
    assert cli("logs").stderr == f"trial {best} of trying:\n"


def test_where_nothing_was_written_logs_are_not_offered_and_say_so(cli: Cli) -> None:
    shown = cli("tune", cli.experiment("def train(config):\n    return config['x']\n")).stdout
    assert "results trying" in shown
    assert "logs" not in shown
    assert cli("logs").stderr == "no trial of trying wrote anything\n"


def test_trials_that_all_report_nan_are_told_as_such(cli: Cli) -> None:
    shown = cli("tune", cli.experiment("def train(config):\n    return float('nan')\n"), "--plain", check=None).stdout
    ending = shown[shown.rindex("trying ") :]
    assert shown.count("no trial reported a finite loss") >= 1
    assert "no trial has reported" not in ending


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_output_that_cannot_be_written_is_an_error(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    with open("/dev/full", "w") as full:
        for command in ("results", "list", "schema experiment"):
            done = subprocess.run(
                [*PROGRAM, *command.split()],
                cwd=cli.folder,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            assert done.stderr == "error: standard output cannot be written: No space left on device\n"
            assert done.returncode == 1


def test_logs_can_be_followed_to_the_end(cli: Cli) -> None:
    cli("tune", cli.experiment(SLOW), "--detach")
    process = cli.begin("logs", "trying", "0", "-f")
    read_until(process, lambda line: "trial begins" in line)
    cli("stop", "trying")
    assert process.wait(timeout=60) == 0


def test_an_experiment_is_paused_and_then_stopped(cli: Cli) -> None:
    cli("tune", cli.experiment(SLOW), "--detach")
    assert "is paused" in cli("pause").stdout
    assert json.loads(cli("stop", "trying", "--json").stdout) == {"experiment": "trying", "state": "stopped"}
    assert "cannot be resumed" in cli("resume", "trying", check=2).stderr


def test_a_command_without_a_name_means_what_it_can_be_done_to(cli: Cli) -> None:
    definition = cli.experiment(SLOW)
    for _ in range(3):
        cli("tune", definition, "--detach")
    assert "3 experiments can be paused; name one of them: trying-3 (running), " in cli("pause", check=2).stderr
    cli("stop", "trying-3")
    cli("pause", "trying-2")
    assert "trying is paused" in cli("pause").stdout
    assert "name one of them: trying-2 (paused), trying (paused)" in cli("resume", check=2).stderr
    cli("stop", "trying-2")
    assert json.loads(cli("resume", "--detach", "--json").stdout)["experiment"] == "trying"
    assert "trying was stopped" in cli("stop").stdout


def test_pause_answers_when_the_trials_have_ended(cli: Cli) -> None:
    process = cli.begin("tune", cli.experiment(STUBBORN, more="grace: 1s\n"), "--plain")
    read_until(process, lambda line: "is the best" in line)
    paused = cli("pause").stdout
    assert "trying is paused" in paused
    assert "running" not in paused.splitlines()[0]
    assert json.loads(cli("status", "--json").stdout)["running"] == []
    process.wait(timeout=60)


def test_a_reader_that_goes_away_is_no_error(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    command = " ".join(PROGRAM) + " schema experiment | head -1; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", command], cwd=cli.folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] in ("0", "141")


def test_a_coordinator_that_hangs_is_named_with_what_to_do(cli: Cli, home: TestHome) -> None:
    cli("tune", cli.experiment(QUICK))
    coordinator = home.processes("clustertune.coordinator")[0]
    coordinator.suspend()
    try:
        assert f"kill -9 {coordinator.pid}" in cli("list", check=1).stderr
    finally:
        coordinator.resume()


def test_a_coordinator_that_cannot_start_shows_the_end_of_its_log(cli: Cli, home: TestHome) -> None:
    home.cluster.store_definition({"name": "local", "provider": "local"})
    (home.cluster.path / "journal.sqlite").write_text("this is no database, and long enough to look like one" * 20)
    done = cli("list", check=1)
    assert "ended at once" in done.stderr
    assert "journal.sqlite" in done.stderr
