"""init, schema, doctor, --version, --help, and what happens to a bug."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import typer

from clustertune import __version__
from clustertune.cli.boundary import guarded
from tests.cli.conftest import QUICK, Cli
from tests.conftest import TestHome

HEAVY = {"rich", "pydantic", "fastapi", "uvicorn", "yaml", "websockets", "asyncio", "http.client", "numpy", "sqlite3"}


def test_init_lists_templates(cli: Cli) -> None:
    shown = cli("init").stdout
    names = ["c", "command", "digits", "json", "minimal", "pytorch", "shell"]
    assert [line.split()[0] for line in shown.splitlines()[:7]] == names
    assert list(json.loads(cli("init", "--json").stdout)) == names


def test_init_copies_a_template_and_says_what_is_next(cli: Cli) -> None:
    shown = cli("init", "minimal", "my folder").stdout
    assert {path.name for path in (cli.folder / "my folder").iterdir()} == {"README.md", "experiment.yaml", "train.py"}
    assert "tune 'my folder/experiment.yaml'" in shown


def test_init_overwrites_nothing_unless_forced(cli: Cli) -> None:
    cli("init", "minimal")
    (cli.folder / "minimal" / "train.py").write_text("mine")
    assert "add --force" in cli("init", "minimal", check=2).stderr
    assert (cli.folder / "minimal" / "train.py").read_text() == "mine"
    cli("init", "minimal", "--force")
    assert (cli.folder / "minimal" / "train.py").read_text() != "mine"


def test_init_knows_no_other_template(cli: Cli) -> None:
    assert "did you mean 'digits'?" in cli("init", "digit", check=2).stderr


def test_schemas_are_json(cli: Cli) -> None:
    assert "space" in json.loads(cli("schema", "experiment").stdout)["properties"]
    assert "provider" in json.loads(cli("schema", "cluster").stdout)["properties"]
    assert "known: cluster, experiment" in cli("schema", "trial", check=2).stderr


def test_doctor_finds_a_healthy_machine(cli: Cli) -> None:
    cli("tune", cli.experiment(QUICK))
    findings = json.loads(cli("doctor", "--json").stdout)
    assert {finding["level"] for finding in findings} <= {"ok", "info", "warn"}
    assert any("coordinator of cluster 'local': process" in finding["what"] for finding in findings)


def test_doctor_sees_an_open_home(cli: Cli, home: TestHome) -> None:
    home.path.chmod(0o755)
    assert f"chmod 700 {home.path}" in cli("doctor").stdout


def test_doctor_reads_the_journal_and_leaves_it_as_it_was(cli: Cli, home: TestHome) -> None:
    cli("tune", cli.experiment(QUICK))
    with home.connect() as coordinator:
        coordinator.shutdown()
    psutil.wait_procs(home.processes("clustertune.coordinator"), timeout=20)
    journal = home.cluster.path / "journal.sqlite"
    whole = journal.read_bytes()
    assert f"{journal} is whole" in cli("doctor").stdout
    assert journal.read_bytes() == whole
    journal.write_bytes(whole[:4096] + b"\xff" * 8192 + whole[12288:])
    damaged = cli("doctor", check=1).stdout
    assert f"fail {journal} is damaged" in damaged
    assert "put a copy of journal.sqlite back" in damaged
    journal.write_bytes(b"")
    assert f"{journal} is empty, and " in cli("doctor", check=1).stdout
    journal.unlink()
    assert f"{journal} is missing, and " in cli("doctor", check=1).stdout


def test_doctor_fails_where_the_home_cannot_be(cli: Cli) -> None:
    (cli.folder / "file").write_text("")
    done = cli("doctor", check=1, CLUSTERTUNE_HOME=str(cli.folder / "file"))
    assert "fail " in done.stdout
    assert "set CLUSTERTUNE_HOME to another folder" in done.stdout


def test_a_home_that_cannot_be_made_is_a_mistake(cli: Cli) -> None:
    (cli.folder / "file").write_text("")
    done = cli("tune", cli.experiment(QUICK), check=2, CLUSTERTUNE_HOME=str(cli.folder / "file" / "home"))
    assert "set CLUSTERTUNE_HOME to a folder that is yours" in done.stderr


def test_a_home_that_is_no_folder_is_a_mistake_in_every_command(cli: Cli) -> None:
    (cli.folder / "file").write_text("")
    for command in ("list", "status", "watch", "logs", "results", "pause", "stop", "resume"):
        done = cli(command, check=2, CLUSTERTUNE_HOME=str(cli.folder / "file"))
        assert "set CLUSTERTUNE_HOME to a folder that is yours" in done.stderr


def test_the_version_is_printed(cli: Cli) -> None:
    assert cli("--version").stdout == f"clustertune {__version__}\n"


def test_an_unknown_command_gets_the_nearest_and_2(cli: Cli) -> None:
    assert "'status'" in cli("staus", check=2).stderr


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, clustertune.cli.main; print('\\n'.join(sys.modules))"
    # measuring coverage imports more
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert HEAVY & set(loaded) == set()


def test_a_bug_is_written_down_and_ends_with_70(home: TestHome, capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise ZeroDivisionError("of our own making")

    with pytest.raises(typer.Exit) as ended:
        guarded(broken)()
    assert ended.value.exit_code == 70
    said = capsys.readouterr().err
    assert "this is a bug in clustertune: ZeroDivisionError: of our own making" in said
    (report,) = home.path.glob("bug-*.txt")
    assert str(report) in said
    assert "in broken" in report.read_text()


def test_an_interruption_before_anything_began_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        guarded(interrupted)()
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_templates_hold_no_compiled_files_when_copied(cli: Cli) -> None:
    cli("init", "digits")
    assert not list(Path(cli.folder, "digits").rglob("__pycache__"))
