"""The agent as one file: it runs wherever there is a Python, and says so where there is none that fits."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest

from clustertune.provisioner.bootstrap.agent_file import agent_file
from tests.agent.conftest import Coordinator
from tests.agent.host import Host, pythons, until

NEW, OLD = list(pythons()), list(pythons(new_enough=False))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for sockets lie in it."""
    path = Path(tempfile.mkdtemp(prefix="ct-"))
    yield path
    shutil.rmtree(path)


def names() -> list[str]:
    with zipfile.ZipFile(io.BytesIO(agent_file().data)) as archive:
        return archive.namelist()


def test_the_same_sources_give_the_same_bytes_in_another_process() -> None:
    code = "from clustertune.provisioner.bootstrap.agent_file import agent_file; print(agent_file().digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == agent_file().digest == hashlib.sha256(agent_file().data).hexdigest()


def test_it_is_built_without_importing_the_agent() -> None:
    code = (
        "import sys; from clustertune.provisioner.bootstrap.agent_file import agent_file; agent_file(); "
        "print([name for name in sys.modules if name.startswith(('clustertune.agent', 'websockets'))])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_it_holds_source_only_and_no_server() -> None:
    assert all(name.endswith(".py") for name in names())
    assert {"__main__.py", "clustertune/training.py", "websockets/asyncio/client.py"} <= set(names())
    assert not [name for name in names() if "server" in name and name.startswith("websockets")]
    assert not [name for name in names() if name.startswith(("clustertune/coordinator", "clustertune/cli"))]
    assert len(agent_file().data) < 500_000


def test_what_it_carries_is_made_for_python_3_10() -> None:
    assert metadata("websockets")["Requires-Python"] in (">=3.8", ">=3.9", ">=3.10")


@pytest.mark.parametrize("python", NEW, ids=lambda path: path.parts[-3])
def test_an_agent_of_the_file_runs_trials_with_nothing_installed(python: Path, folder: Path) -> None:
    from clustertune.model.messages import RunSpec, Start

    async def main() -> None:
        host, coordinator = Host(folder, python), Coordinator(folder / "c.sock")
        await coordinator.open()
        (folder / "program.py").write_text(
            "import clustertune\n\n\ndef train(config):\n    clustertune.report(loss=2)\n"
        )
        enrolment = {"socket": str(coordinator.socket), "instance": "ssh-0", "epoch": 1, "token": "t0ken"}
        try:
            assert (await asyncio.to_thread(host.ask, "start", enrolment))["started"]
            await coordinator.connected()
            run = RunSpec(workdir=str(folder), call="program:train", objective="loss")
            ending = await coordinator.run(Start(attempt="digits:0:1", config={}, run=run))
            assert (ending.reason, ending.exit_code) == ("returned", 0), ending
            assert coordinator.values("digits:0:1") == [(1, 2.0)]
            assert coordinator.hellos[0].inventory.python == (await asyncio.to_thread(host.ask, "look"))["python"]
        finally:
            await coordinator.want_nothing()
            await asyncio.to_thread(host.ask, "stop")
            await coordinator.close()

    asyncio.run(main())


@pytest.mark.skipif(not OLD, reason="no Python older than 3.10 is on this machine")
@pytest.mark.parametrize("python", OLD, ids=lambda path: path.parts[-3])
def test_a_python_that_is_too_old_says_so_and_what_is_needed(python: Path, folder: Path) -> None:
    answer = Host(folder, python).run("look")
    version = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    found = subprocess.run([python, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
    expected = f"agent.pyz needs Python 3.10 or newer, this is {found}"
    assert (answer.error, answer.errors.strip()) == (expected, expected)


def test_it_is_unpacked_once_beside_itself_for_nobody_else_to_enter(folder: Path) -> None:
    host = Host(folder)
    host.ask("look")
    (unpacked,) = [path for path in folder.glob("agent-*") if path.is_dir()]
    assert unpacked.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in unpacked.rglob("*.py"))
    assert list(unpacked.rglob("*.pyc"))
    before = unpacked.stat().st_mtime_ns
    host.ask("look")
    assert unpacked.stat().st_mtime_ns == before


def test_many_first_starts_at_once_all_succeed_and_leave_one_folder(folder: Path) -> None:
    host = Host(folder)
    host.root.mkdir(mode=0o700)
    running = [host.open("look") for _ in range(6)]
    assert [json.loads(process.communicate()[0])["agent"] for process in running] == [None] * 6
    assert len([path for path in folder.iterdir() if "agent-" in path.name]) == 2


def test_where_nothing_can_be_written_beside_it_it_runs_from_the_file(folder: Path) -> None:
    host = Host(folder)
    host.file.with_suffix("").with_name(f"{host.file.stem}-{digest_inside()}").write_text("in the way")
    assert host.ask("look")["agent"] is None


def test_a_folder_that_others_may_write_to_is_not_trusted(folder: Path) -> None:
    host = Host(folder)
    unpacked = host.file.with_name(f"{host.file.stem}-{digest_inside()}")
    (unpacked / "clustertune" / "agent").mkdir(parents=True)
    (unpacked / "clustertune" / "__init__.py").write_text("raise SystemExit('taken over')")
    unpacked.chmod(0o777)
    assert host.ask("look")["agent"] is None


def digest_inside() -> str:
    with zipfile.ZipFile(io.BytesIO(agent_file().data)) as archive:
        return archive.read("__main__.py").decode().split('run("')[1].partition('"')[0]


def test_neither_the_environment_nor_what_is_installed_gets_in_its_way(folder: Path) -> None:
    host = Host(folder)
    foreign = folder / "foreign"
    for name in ("websockets", "clustertune", "json", "logging", "argparse", "asyncio"):
        (foreign / name).mkdir(parents=True)
        (foreign / name / "__init__.py").write_text(f"raise SystemExit('{name} of somebody else')")
    (foreign / "c").mkdir()
    host.environment |= {
        "PYTHONPATH": str(foreign), "PYTHONPYCACHEPREFIX": str(foreign / "c"), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    host.ask("look")
    assert list(folder.glob("agent-*/**/*.pyc"))
    assert list((foreign / "c").rglob("*clustertune*")) == []


@pytest.mark.parametrize("name", ["mit Leerzeichen und ü.pyz", "-dash.pyz", "no-ending"])
def test_its_name_does_not_matter(name: str, folder: Path) -> None:
    host = Host(folder)
    host.file = host.file.rename(folder / name)
    host.environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    assert host.ask("look")["agent"] is None


def test_names_that_are_not_ascii_are_the_same_bytes_under_any_locale(folder: Path) -> None:
    host = Host(folder)
    host.environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    laid = host.lay(host.send({"größe/日本.txt": b"x"}))
    assert os.listdir(os.fsencode(laid)) == ["größe".encode()]


def test_the_trials_side_is_copied_out_of_the_file_itself_too(folder: Path) -> None:
    host = Host(folder)
    host.file.with_name(f"{host.file.stem}-{digest_inside()}").write_text("in the way")
    code = (
        f"import sys; sys.path.insert(0, {str(host.file)!r}); from pathlib import Path; "
        f"from clustertune.agent.sdk import copy_sdk; copy_sdk(Path({str(folder / 'sdk')!r}))"
    )
    subprocess.run([host.python, "-I", "-S", "-c", code], check=True)
    imports = "import clustertune.training, clustertune.saving, clustertune.group, clustertune.agent.spawner"
    check = f"import sys; sys.path.insert(0, {str(folder / 'sdk')!r}); {imports}"
    subprocess.run([host.python, "-I", "-S", "-c", check], check=True)


def test_an_agent_starts_with_the_python_of_an_environment(folder: Path) -> None:
    subprocess.run([NEW[0], "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    host = Host(folder, folder / "env" / "bin" / "python")
    try:
        host.ask("start", {"socket": "", "instance": "ssh-0", "epoch": 1, "token": "t0ken"})
        until(lambda: "was not told yet" in host.ask("words")["text"])
        assert host.ask("look")["agent"]["lives"]
    finally:
        host.ask("stop")
