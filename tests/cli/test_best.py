"""best, against a real coordinator, agent and program."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.cli.conftest import QUICK, Cli

SAVING = """
import clustertune

def train(config):
    clustertune.describe(data="made up here")
    clustertune.report(1, loss=config["x"] ** 2)
    with clustertune.new_checkpoint(1) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "state.txt").write_text(repr(config["x"]))
        (folder / "big.bin").write_bytes(b"0123456789abcdef" * 65536)
        (folder / "empty").mkdir()
    with clustertune.new_result() as folder:
        (folder / "model.txt").write_text("a model")
"""


def test_the_best_trial_comes_home_with_all_that_it_left(cli: Cli) -> None:
    cli("tune", cli.experiment(SAVING))
    shown = cli("best").stdout
    assert "checkpoint" in shown
    assert "made up here" in shown
    assert "--to DIR" in shown
    done = cli("best", "trying", "--to", "home/best")
    assert "all of it is in home/best" in done.stdout
    folder = cli.folder / "home" / "best"
    config = json.loads((folder / "config.json").read_text())
    assert (folder / "checkpoint" / "deep" / "state.txt").read_text() == repr(config["x"])
    assert (folder / "checkpoint" / "big.bin").stat().st_size == 2**20
    assert (folder / "checkpoint" / "empty").is_dir()
    assert (folder / "result" / "model.txt").read_text() == "a model"
    about = json.loads((folder / "provenance.json").read_text())
    assert about["told"] == {"data": "made up here"}
    assert about["provenance"]["code"]["digest"]
    assert any(package.startswith("pytest ") for package in about["provenance"]["packages"])
    assert about["provenance"]["run"] == "train:train"
    assert about["loss"] == config["x"] ** 2
    best = json.loads(cli("best", "--json").stdout)
    assert {artifact["kind"] for artifact in best["artifacts"]} == {"checkpoint", "result"}
    assert all(artifact["stored"] for artifact in best["artifacts"])


def test_another_trial_is_named_by_its_number(cli: Cli) -> None:
    cli("tune", cli.experiment(SAVING))
    best = json.loads(cli("best", "--json").stdout)
    other = next(number for number in (0, 1) if number != best["trial"])
    shown = cli("best", "--trial", str(other)).stdout
    assert shown.startswith(f"trial {other}: loss ")
    assert "none is kept of it" in shown
    cli("best", "--trial", str(best["trial"]), "--to", "named")
    assert json.loads((cli.folder / "named" / "config.json").read_text()) == best["config"]
    assert (cli.folder / "named" / "checkpoint" / "deep").is_dir()
    assert "has no trial 99; its trials are 0 to " in cli("best", "--trial", "99", check=2).stderr


def test_only_the_best_trials_checkpoint_is_kept(cli: Cli) -> None:
    cli("tune", cli.experiment(SAVING))
    cli("best", "--to", "best")
    checkpoints = Path(os.environ["CLUSTERTUNE_HOME"]) / "clusters" / "local" / "checkpoints"
    [experiment] = checkpoints.iterdir()
    assert len(list((experiment / "manifests").iterdir())) == 2


def test_a_folder_that_holds_something_is_left_alone(cli: Cli) -> None:
    cli("tune", cli.experiment(SAVING))
    (cli.folder / "full").mkdir()
    (cli.folder / "full" / "mine.txt").write_text("mine")
    assert "not an empty folder" in cli("best", "--to", "full", check=2).stderr
    assert [path.name for path in (cli.folder / "full").iterdir()] == ["mine.txt"]


def test_a_program_that_saves_nothing_has_its_configuration_and_provenance_all_the_same(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    assert "none: the program took none" in cli("best").stdout
    cli("best", "--to", "best")
    assert {path.name for path in (cli.folder / "best").iterdir()} == {"config.json", "provenance.json"}


def test_without_any_value_it_says_so(cli: Cli) -> None:
    cli("tune", cli.experiment("def train(config):\n    raise ValueError('no')\n"), check=1)
    assert "no trial of trying has reported a finite loss" in cli("best", check=2).stderr
