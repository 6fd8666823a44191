"""tune, watch and resume, against a real coordinator, agent and trials."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from clustertune.client.home import Home
from tests.cli.conftest import QUICK, SLOW, STUBBORN, Cli, read_until
from tests.conftest import TestHome


@pytest.mark.parametrize("template", ["c", "command", "digits", "json", "minimal", "pytorch", "shell"])
def test_each_template_runs_as_it_is(cli: Cli, template: str) -> None:
    cli("init", template)
    done = cli("tune", f"{template}/experiment.yaml", "--plain", "--set", "trials=4")
    assert "completed after" in done.stdout
    folder = Path(cli("results", template, "--path").stdout.strip())
    summary = json.loads((folder / "results.json").read_text())
    assert summary["state"] == "completed"
    assert sum(summary["trials"].values()) == 4
    assert {path.name for path in folder.iterdir()} >= {"best.yaml", "trials.csv", "reports.csv"}


def test_the_end_tells_the_best_and_what_to_type_next(cli: Cli) -> None:
    shown = cli("tune", cli.experiment(QUICK)).stdout
    assert "best loss 0." in shown
    assert "results " in shown
    assert "-m clustertune.cli results trying" in shown


def test_json_lines_end_with_the_result(cli: Cli) -> None:
    lines = [json.loads(line) for line in cli("tune", cli.experiment(QUICK), "--json").stdout.splitlines()]
    assert {line["type"] for line in lines[:-1]} == {"event"}
    assert lines[-1]["type"] == "result"
    assert lines[-1]["state"] == "completed"
    assert set(lines[-1]["best"]) == {"trial", "value", "resource", "config"}
    assert Path(lines[-1]["folder"], "results.json").exists()


def test_tuning_again_is_a_new_experiment(cli: Cli) -> None:
    definition = cli.experiment(QUICK)
    cli("tune", definition)
    cli("tune", definition)
    assert [one["name"] for one in json.loads(cli("list", "--json").stdout)] == ["trying", "trying-2"]


def test_detached_it_runs_alone_and_can_be_watched(cli: Cli) -> None:
    assert json.loads(cli("tune", cli.experiment(QUICK), "--detach", "--json").stdout)["experiment"] == "trying"
    assert "completed after" in cli("watch", "trying", "--plain").stdout


def test_a_program_that_always_fails_ends_with_1_and_its_traceback(cli: Cli) -> None:
    definition = cli.experiment("def train(config):\n    raise ValueError('shapes differ')\n")
    done = cli("tune", definition, "--plain", check=1)
    assert "ValueError: shapes differ" in done.stdout
    assert "train.py" in done.stdout


def test_mistakes_are_listed_with_their_lines_and_nothing_is_started(cli: Cli, home: TestHome) -> None:
    definition = cli.experiment(QUICK, more="trails: 5\nretries: never\n")
    done = cli("tune", definition, check=2)
    assert done.stderr.splitlines()[0].startswith("trying.yaml:6: trails: ")
    assert done.stderr.splitlines()[1].startswith("trying.yaml:7: retries: ")
    assert home.processes() == []


def test_everything_wrong_with_both_files_is_told_at_once(cli: Cli, home: TestHome) -> None:
    definition = cli.experiment(QUICK, more="trails: 5\nsecrets: [CT_ONE]\npython: ./none\n")
    text = (cli.folder / definition).read_text().replace("train:train'}", "train:trian', shel: true}")
    (cli.folder / definition).write_text(text)
    (cli.folder / "lab.yaml").write_text("provider: lokal\nidle_timeout: soon\nsecrets: [CT_TWO]\npython: /no/python\n")
    told = cli("tune", definition, "--cluster", "lab.yaml", "--set", "nothing", check=2).stderr.splitlines()
    assert [": ".join(line.split(": ")[:2]) for line in told] == [
        "trying.yaml:2: run.shel", "trying.yaml:2: run.call", "trying.yaml:6: trails", "trying.yaml:7: secrets.0",
        "trying.yaml:8: python", "--set: takes path=value, as in --set trials=20, but got 'nothing'",
        "lab.yaml:1: provider", "lab.yaml:2: idle_timeout", "lab.yaml:3: secrets.0", "lab.yaml:4: python",
    ]  # fmt: skip
    assert "did you mean 'train'?" in told[1]
    assert home.processes() == []
    assert list(home.path.iterdir()) == []


def test_an_override_that_is_wrong_says_so(cli: Cli) -> None:
    done = cli("tune", cli.experiment(QUICK), "--set", "trials=many", check=2)
    assert done.stderr.startswith("--set: trials: ")
    assert "path=value" in cli("tune", cli.experiment(QUICK), "--set", "trials", check=2).stderr


def test_a_secret_that_is_not_set_is_named(cli: Cli) -> None:
    definition = cli.experiment(QUICK, more="secrets: [CT_SECRET]\n")
    assert "export CT_SECRET=" in cli("tune", definition, check=2).stderr
    assert "completed" in cli("tune", definition, "--plain", CT_SECRET="hush").stdout


def test_ctrl_c_pauses_and_resume_goes_on(cli: Cli, home: TestHome) -> None:
    process = cli.begin("tune", cli.experiment(SLOW), "--plain")
    read_until(process, lambda line: "is the best" in line)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "trying is paused" in rest
    assert "resume trying" in rest
    with home.connect() as coordinator:
        paused = coordinator.experiment("trying")
        assert (paused.state.value, paused.running) == ("paused", ())
    again = cli.begin("resume", "--plain")
    read_until(again, lambda line: "resumed by" in line)
    cli("stop", "trying")
    assert again.wait(timeout=60) == 0


def test_a_second_ctrl_c_leaves_at_once_and_says_how_to_go_on(cli: Cli) -> None:
    process = cli.begin("tune", cli.experiment(STUBBORN, more="grace: 3s\n"), "--plain")
    read_until(process, lambda line: "is the best" in line)
    process.send_signal(signal.SIGINT)
    read_until(process, lambda line: "Ctrl-C again" in line)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "left at once" in rest
    assert "resume trying" in rest


def test_ctrl_c_in_watch_only_leaves(cli: Cli, home: TestHome) -> None:
    cli("tune", cli.experiment(SLOW), "--detach")
    process = cli.begin("watch", "--plain")
    read_until(process, lambda line: "is the best" in line)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    with home.connect() as coordinator:
        assert coordinator.experiment("trying").state.value == "running"
        coordinator.stop("trying")


def test_a_coordinator_that_is_killed_is_started_again_and_nothing_is_missing(cli: Cli, home: TestHome) -> None:
    process = cli.begin("tune", cli.experiment(SLOW), "--plain")
    read_until(process, lambda line: "is the best" in line)
    before = home.cluster.record()
    assert home.kill("clustertune.coordinator") == 1
    read_until(process, lambda line: "the coordinator is back" in line)
    after = home.cluster.record()
    assert before is not None
    assert after is not None
    assert before.pid != after.pid
    cli("stop", "trying")
    assert process.wait(timeout=60) == 0


def test_a_view_that_is_killed_changes_nothing(cli: Cli, home: TestHome) -> None:
    process = cli.begin("tune", cli.experiment(SLOW), "--plain")
    read_until(process, lambda line: "is the best" in line)
    process.kill()
    process.wait()
    with home.connect() as coordinator:
        assert coordinator.experiment("trying").state.value == "running"
        coordinator.stop("trying")


def test_a_cluster_file_is_remembered_by_its_name(cli: Cli, home: TestHome) -> None:
    (cli.folder / "lab.yaml").write_text("name: lab\nprovider: local\nslots: 1\n")
    cli("tune", cli.experiment(QUICK), "--cluster", "lab.yaml")
    cli("tune", cli.experiment(QUICK), "--cluster", "lab")
    assert [folder.name for folder in Home(home.path).clusters()] == ["lab"]
    assert {one["cluster"] for one in json.loads(cli("list", "--json").stdout)} == {"lab"}


def test_a_changed_cluster_file_replaces_an_idle_coordinator(cli: Cli) -> None:
    file = cli.folder / "lab.yaml"
    file.write_text("name: lab\nprovider: local\nslots: 1\n")
    cli("tune", cli.experiment(QUICK), "--cluster", "lab.yaml")
    file.write_text("name: lab\nprovider: local\nslots: 3\n")
    done = cli("tune", cli.experiment(QUICK), "--cluster", "lab.yaml")
    assert "definition of cluster 'lab' has changed" in done.stderr


def test_a_cluster_that_nobody_defined_is_a_mistake(cli: Cli) -> None:
    assert "no cluster called 'labb'" in cli("tune", cli.experiment(QUICK), "--cluster", "labb", check=2).stderr


def test_resuming_what_has_completed_shows_its_result(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    assert "best loss 0." in cli("resume", "trying").stdout
