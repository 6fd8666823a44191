"""Algorithms of other packages that go wrong, or go away: what is said of it, and what goes on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import SLOW, Cli
from tests.coordinator.core.wayward import install, put

if TYPE_CHECKING:
    from tests.conftest import TestHome

STEPS = """
import clustertune

def train(config):
    for step in (1, 2, 3):
        clustertune.report(step, loss=config["x"] + 1 / step)
"""
RAISED = (
    r"the (scheduler|searcher) wayward(-slow)? \(of package wayward 0\.1\) raised ZeroDivisionError: in {0} in {1} "
)
LINE = r"\(wayward\.py, line \d+\)"


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return install(tmp_path / "site", monkeypatch)


def with_scheduler(cli: Cli, program: str = STEPS, name: str = "trying", top: int = 3, **options: str) -> str:
    chosen = "".join(f", {name}: {value}" for name, value in options.items())
    more = f"resource: {{name: step, max: {top}}}\nscheduler: {{type: wayward{chosen}}}\n"
    return cli.experiment(program, name=name, more=more)


def test_one_that_raises_fails_its_experiment_and_not_the_next(cli: Cli, home: TestHome) -> None:
    told = cli("tune", with_scheduler(cli, raises="on_report"), check=1).stdout
    assert re.search(RAISED.format("on_report", "on_report") + LINE, told)
    assert "went away" not in told
    log = (home.cluster.path / "coordinator.log").read_text()
    assert "trying fails: the scheduler wayward" in log
    assert "Traceback" in log
    cli("tune", cli.experiment(STEPS, name="next"))
    assert "failed" in cli("list").stdout
    assert "decisions come out as they are in the journal" in cli("replay", "trying").stdout


def test_one_whose_constructor_raises_is_a_mistake_of_the_definition(cli: Cli) -> None:
    told = cli("tune", with_scheduler(cli, raises="__init__"), check=2).stderr
    assert re.search(RAISED.format("__init__", "its constructor") + LINE, told)
    assert "trying" not in cli("list").stdout


@pytest.mark.parametrize("method", ["next", "on_report", "on_end", "__init__"])
def test_a_simulation_names_it_and_calls_it_no_bug_of_ours(cli: Cli, method: str) -> None:
    arguments = ("--slots", "2", "--seeds", "1", "--searcher", "random")
    wanted = f"{{type: wayward, raises: {method}}}"
    told = cli("simulate", cli.experiment(STEPS), *arguments, "--scheduler", wanted, check=2).stderr
    assert re.search(RAISED.format(method, "(its constructor|\\w+)") + LINE, told)
    assert "bug" not in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("raises: propose", "raised ZeroDivisionError: in propose in propose (wayward.py"),
        ("raises: created", "raised ZeroDivisionError: in created in what it was told (wayward.py"),
        ("answers: config outside, method: propose", "lr: no such parameter"),
    ],
)
def test_a_simulation_names_a_slow_searcher_too(cli: Cli, options: str, told: str) -> None:
    wanted = f"{{type: wayward-slow, {options}}}"
    arguments = ("--slots", "2", "--seeds", "1", "--scheduler", "fifo", "--searcher", wanted)
    said = cli("simulate", cli.experiment(STEPS), *arguments, check=2).stderr
    assert "error: the searcher wayward-slow (of package wayward 0.1)" in said
    assert told in said


def test_an_experiment_outlives_the_package_of_its_algorithms(cli: Cli, home: TestHome, package: Path) -> None:
    cli("tune", with_scheduler(cli, name="over"))
    cli("tune", with_scheduler(cli, SLOW, top=2000), "--detach")
    home.kill("clustertune.coordinator")
    shutil.rmtree(package)
    shown = cli("list").stdout
    assert re.search(r"over +completed", shown)
    assert re.search(r"trying +paused", shown)
    assert "4 trials" in cli("results", "over").stdout
    assert "loss" in cli("best", "over").stdout
    install_it = "the scheduler wayward is not installed any more: install package wayward 0.1 again"
    assert install_it in cli("status", "trying", "--json").stdout
    assert f"cannot be resumed: {install_it}; then end the coordinator" in cli("resume", "trying", check=2).stderr
    assert f"over cannot be replayed: {install_it}" in cli("replay", "over", check=2).stderr
    put(package.parent)
    home.kill("clustertune.coordinator")
    cli("resume", "trying", "--detach")
    assert re.search(r"trying +running", cli("list").stdout)
