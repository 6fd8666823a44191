"""From a login to what an agent needs: a Python, the agent's file, the program, its environment."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from clustertune.model.checkpoint import FileEntry, Manifest, Part
from clustertune.model.errors import ProviderError, ProviderFatal
from clustertune.provisioner.bootstrap.agent_file import agent_file
from clustertune.provisioner.bootstrap.connection import Connection
from clustertune.provisioner.bootstrap.outfitting import fingerprint, outfit
from clustertune.provisioner.bootstrap.probe import Probed, probe
from clustertune.provisioner.bootstrap.verbs import Verbs
from clustertune.provisioner.contracts import Outfit, Snapshot
from tests.machines.fixture import Machines
from tests.machines.machine import Machine
from tests.provisioner.bootstrap.ssh_user import SshUser, run

T = TypeVar("T")
ROOT = ".clustertune/machines/lab/gpu"


def over(user: SshUser, machine: Machine, work: Callable[[Connection], Awaitable[T]]) -> T:
    """What ``work`` gives over a connection to the machine."""
    user.introduce(machine)

    async def main() -> T:
        async with await user.connect() as connection:
            return await work(connection)

    return run(main())


def ready(work: Callable[[Verbs], Awaitable[T]]) -> Callable[[Connection], Awaitable[T]]:
    """With the agent's file in place."""

    async def main(connection: Connection) -> T:
        found = await probe(connection, root=ROOT, agent="agent.pyz")
        verbs = Verbs(remote=connection, root=found.root, python=found.python, agent="agent.pyz")
        await verbs.put_agent(agent_file().data)
        return await work(verbs)

    return main


def snapshot(folder: Path, **files: str) -> Snapshot:
    """Of files with these contents; an underscore in a name is a dot."""
    folder.mkdir(exist_ok=True)
    entries = []
    for name, text in files.items():
        digest = hashlib.sha256(text.encode()).hexdigest()
        (folder / digest).write_text(text)
        entries.append(FileEntry(path=name.replace("_", "."), parts=(Part(digest, len(text.encode())),)))
    manifest = Manifest(tuple(entries))
    return Snapshot(digest=manifest.digest(), manifest=manifest, part=lambda digest: folder / digest)


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash"])
def test_a_machine_with_python_is_found_fit_whatever_its_shell_says(
    ssh_machines: Machines, user: SshUser, shell: str
) -> None:
    machine = ssh_machines.one(shell=shell, bashrc='echo welcome to the lab; echo \'{"error": "no"}\'\n')

    def look(connection: Connection) -> Awaitable[Probed]:
        return probe(connection, root=ROOT, agent="agent.pyz")

    found = over(user, machine, look)
    assert found.root == f"{machine.home}/{ROOT}"
    assert found.python.endswith("python3")
    assert not found.has_agent
    assert machine.run("stat", "-c", "%a", found.root).stdout.strip() == "700"


@pytest.mark.parametrize(("python", "told"), [("none", "there is no Python"), ("old", "python3 is 3.8.18")])
def test_a_machine_without_a_fitting_python_is_told_with_the_remedy(
    ssh_machines: Machines, user: SshUser, python: str, told: str
) -> None:
    machine = ssh_machines.one(python=python)
    with pytest.raises(ProviderFatal, match=told) as caught:
        over(user, machine, lambda connection: probe(connection, root=ROOT, agent="agent.pyz"))
    assert "install one (on Debian and Ubuntu: sudo apt install python3" in str(caught.value)


def test_a_home_that_cannot_be_written_is_told(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    machine.run("touch", f"{machine.home}/.clustertune")
    with pytest.raises(ProviderFatal, match=r"machines/lab/gpu cannot be made there: .*Not a directory"):
        over(user, machine, lambda connection: probe(connection, root=ROOT, agent="agent.pyz"))


def test_the_agents_file_comes_whole_and_is_known_the_next_time(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()

    async def again(verbs: Verbs) -> Probed:
        return await probe(verbs.remote, root=ROOT, agent="agent.pyz")

    assert over(user, machine, ready(again)).has_agent
    held = machine.run("sha256sum", f"{ROOT}/agent.pyz").stdout.split()[0]
    assert held == agent_file().digest
    assert machine.run("ls", ROOT).stdout.split() == ["agent.pyz"]


def test_a_full_disk_leaves_no_half_agent(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one(home_bytes=256 * 1024)
    with pytest.raises(ProviderError, match=r"the agent cannot be put into .*No space left"):
        over(user, machine, ready(lambda verbs: verbs.ask("look")))
    assert machine.run("ls", ROOT).stdout == ""


def test_a_verb_that_fails_says_why(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    with pytest.raises(ProviderFatal, match="enrolment"):
        over(user, machine, ready(lambda verbs: verbs.ask("start", {"epoch": 1})))
    with pytest.raises(ProviderError, match="exit code 2"):
        over(user, machine, ready(lambda verbs: verbs.ask("dance")))


def test_a_program_is_brought_once_and_only_what_changed_afterwards(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine, told = ssh_machines.one(), list[str]()
    first = snapshot(tmp_path / "parts", train_py="print(1)\n", data_txt="x" * 100_000)
    second = snapshot(tmp_path / "parts", train_py="print(2)\n", data_txt="x" * 100_000)

    async def bring(verbs: Verbs) -> tuple[str, str]:
        one = await outfit(verbs, Outfit(snapshot=first), told.append)
        told.append("again")
        await outfit(verbs, Outfit(snapshot=first), told.append)
        told.append("changed")
        two = await outfit(verbs, Outfit(snapshot=second, keep=(first.digest,)), told.append)
        return one.workdir, two.workdir

    one, two = over(user, machine, ready(bring))
    assert machine.run("cat", f"{one}/train.py", f"{two}/train.py").stdout == "print(1)\nprint(2)\n"
    assert told[told.index("again") + 1] == "changed"
    assert told[-1] == "sending the program: 9 B of 9 B"


def test_a_program_that_nobody_keeps_goes_with_the_next(ssh_machines: Machines, user: SshUser, tmp_path: Path) -> None:
    machine = ssh_machines.one()
    first, second = (snapshot(tmp_path / "parts", train_py=f"print({number})\n") for number in (1, 2))

    async def bring(verbs: Verbs) -> tuple[str, str]:
        one = await outfit(verbs, Outfit(snapshot=first), print)
        two = await outfit(verbs, Outfit(snapshot=second), print)
        return one.workdir, two.workdir

    one, two = over(user, machine, ready(bring))
    held = machine.run("ls", os.path.dirname(one)).stdout.split()
    assert held == [os.path.basename(two)]


def test_what_setup_says_is_told_as_it_comes(ssh_machines: Machines, user: SshUser, tmp_path: Path) -> None:
    machine, told = ssh_machines.one(), list[str]()
    program = snapshot(tmp_path / "parts", train_py="pass\n")
    wanted = Outfit(snapshot=program, setup=("echo installing $WHAT",), env={"WHAT": "this"}, python="python3")
    over(user, machine, ready(lambda verbs: outfit(verbs, wanted, told.append)))
    assert "setting up: installing this" in told


def test_connections_that_are_lost_meanwhile_raise_what_may_pass(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine = ssh_machines.one()
    program = snapshot(tmp_path / "parts", train_py="pass\n")
    begun = asyncio.Event()
    wanted = Outfit(snapshot=program, setup=("echo begun; sleep 100",), python="python3")

    async def lose(verbs: Verbs) -> Any:
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(outfit(verbs, wanted, lambda text: "begun" in text and begun.set()))  # type: ignore[func-returns-value]
        await begun.wait()
        await loop.run_in_executor(None, machine.drop_connections)
        return await work

    with pytest.raises(ProviderError) as caught:
        over(user, machine, ready(lose))
    assert not isinstance(caught.value, ProviderFatal)


def test_setup_depends_on_its_commands_and_on_the_files_that_it_may_read(tmp_path: Path) -> None:
    parts = tmp_path / "parts"

    def mark(setup: tuple[str, ...] = ("pip install -r requirements.txt", "sh make.sh"), **files: str) -> str:
        usual = {"requirements_txt": "a", "make_sh": "b", "train_py": "c"}
        return fingerprint(Outfit(snapshot=snapshot(parts, **{**usual, **files}), setup=setup))

    assert mark() == mark(train_py="changed")
    assert mark() != mark(requirements_txt="changed")
    assert mark() != mark(make_sh="changed")
    assert mark() != mark(setup=("pip install -r requirements.txt",))
    assert mark(setup=("make",)) != mark(setup=("make",), requirements_txt="changed")
    assert mark(setup=("make",)) == mark(setup=("make",), make_sh="changed")
