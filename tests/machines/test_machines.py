"""The machines that other tests stand on do what they say: log-in, power, links, hanging, and what an image says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.machines.fixture import Machines
from tests.machines.machine import Machine
from tests.machines.slots import SLOTS

ROOT = Path(__file__).parents[2]


def words(machine: Machine, command: str, *, limit_s: int = 10, program: str = "ssh") -> list[str]:
    known = machine.place.folder / "known_hosts"
    known.write_text(machine.known_hosts)
    options = [f"UserKnownHostsFile={known}", f"ConnectTimeout={limit_s}", "BatchMode=yes", "LogLevel=ERROR"]
    said = [program, "-F", "none", "-i", str(machine.key), *(f"-o{option}" for option in options)]
    return [*said, f"{machine.user}@{machine.address}", *([command] if command else [])]


def ssh(machine: Machine, command: str, *, limit_s: int = 10) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words(machine, command, limit_s=limit_s), capture_output=True, text=True, check=False)


def sftp_code(machine: Machine) -> int:
    said = words(machine, "", program="sftp")
    return subprocess.run(said, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode


def test_each_is_a_machine_of_its_own_for_whoever_logs_in(ssh_machines: Machines) -> None:
    first, second = ssh_machines(2)
    ssh(first, "echo one > /tmp/left; echo one > ~/left; sleep 100 >/dev/null 2>&1 &")
    assert ssh(first, "whoami; cat /tmp/left ~/left").stdout == "ubuntu\none\none\n"
    seen = ssh(second, "cat /tmp/left ~/left; ps axo comm; hostname; ls /home").stdout
    assert "sleep" not in seen
    assert "one" not in seen.split()
    assert second.name in seen
    assert len(first.processes("sleep", "100")) == 1
    assert not second.processes("sleep")


def test_the_systems_python_and_those_of_the_test_run_are_there(ssh_machines: Machines) -> None:
    machine = ssh_machines.one()
    assert ssh(machine, "python3 -c 'print(1)'").stdout == "1\n"
    assert ssh(machine, f"{sys.executable} -c 'import websockets; print(2)'").stdout == "2\n"
    assert "No module named 'clustertune'" in ssh(machine, f"{sys.executable} -c 'import clustertune'").stderr


@pytest.mark.parametrize("again", ["same key", "new key", "reinstalled"])
def test_power_off_ends_all_and_power_on_keeps_what_a_disk_keeps(ssh_machines: Machines, again: str) -> None:
    machine = ssh_machines.one()
    ssh(machine, "echo kept > ~/kept; sleep 100 >/dev/null 2>&1 &")
    running, key = machine.processes("sleep")[0], machine.host_key
    machine.kill()
    assert not running.is_running()
    assert ssh(machine, "true", limit_s=1).returncode == 255
    machine.start(new_host_key=again == "new key", reinstalled=again == "reinstalled")
    assert (machine.host_key == key) == (again == "same key")
    assert ssh(machine, "cat ~/kept").stdout == ("" if again == "reinstalled" else "kept\n")


def test_a_link_that_is_cut_lets_nothing_through_until_it_is_healed(ssh_machines: Machines) -> None:
    machine = ssh_machines.one()
    machine.cut()
    assert ssh(machine, "true", limit_s=1).returncode == 255
    machine.heal()
    assert ssh(machine, "echo back").stdout == "back\n"


def test_a_frozen_machine_takes_connections_and_says_nothing(ssh_machines: Machines) -> None:
    machine = ssh_machines.one()
    machine.freeze()
    assert "banner exchange" in ssh(machine, "true", limit_s=1).stderr
    machine.thaw()
    assert ssh(machine, "echo back").stdout == "back\n"


def test_dropped_connections_leave_what_is_detached(ssh_machines: Machines) -> None:
    machine = ssh_machines.one()
    ssh(machine, "setsid sleep 100 >/dev/null 2>&1 &")
    held = subprocess.Popen(
        words(machine, "echo here; sleep 50"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"here\n"
        machine.drop_connections()
        assert held.wait(20) == 255
    assert machine.processes("sleep", "100")
    assert ssh(machine, "echo back").stdout == "back\n"


def test_commands_can_be_run_from_outside(ssh_machines: Machines) -> None:
    machine = ssh_machines.one()
    assert machine.run("sh", "-c", "pwd; cat", given=b"given").stdout == "/home/ubuntu\ngiven"
    assert machine.run("id", "-un", user="root").stdout == "root\n"
    with pytest.raises(AssertionError, match="no-such-folder"):
        machine.run("ls", "/no-such-folder")


def test_images_differ_in_shell_python_sftp_and_room(ssh_machines: Machines) -> None:
    bare = ssh_machines.one(python="none", shell="/bin/dash", sftp=False)
    assert ssh(bare, "command -v python3 python; echo $0").stdout == "dash\n"
    assert sftp_code(bare) != 0
    old = ssh_machines.one(python="old")
    asks = "import sys; print(sys.version_info[:2], sys.argv[1:])"
    assert ssh(old, f"python3 -c '{asks}' word").stdout == "(3, 8) ['word']\n"
    assert sftp_code(old) == 0
    assert ssh(old, f"echo '{asks}' | python3 - word; python3 --version").stdout == "(3, 8) ['word']\nPython 3.8.18\n"
    small = ssh_machines.one(home_bytes=1 << 20, bashrc="echo hello\n")
    full = ssh(small, "head -c 2000000 /dev/zero > ~/large")
    assert full.stdout == "hello\n"
    assert "No space left" in full.stderr


def test_lines_for_sshd_win_over_ours(ssh_machines: Machines) -> None:
    machine = ssh_machines.one(sshd=("PubkeyAuthentication no",))
    assert "Permission denied" in ssh(machine, "true").stderr


HOLD = """
import sys
from tests.machines.rack import Rack
from tests.machines.image import Image
rack = Rack()
machine, = rack.make(1, Image())
print(rack.number, rack.folder, machine.address, flush=True)
sys.stdin.read()
rack.close()
"""


@pytest.fixture
def another_session() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.kill()


def test_sessions_at_once_do_not_meet_and_a_killed_ones_things_go_when_the_next_begins(
    ssh_machines: Machines, another_session: subprocess.Popen[str]
) -> None:
    machine = ssh_machines.one()
    assert another_session.stdout is not None
    number, folder, address = another_session.stdout.readline().split()
    assert address != machine.address
    another_session.send_signal(signal.SIGKILL)
    another_session.wait()
    assert (Path(folder) / "10").exists()

    subprocess.run([sys.executable, "-c", HOLD], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert not Path(folder).exists()
    left = [process for process in psutil.process_iter() if any(folder in word for word in _words(process))]
    assert not left
    assert f"ctr{number}" not in os.listdir("/sys/class/net") or _held(number)
    assert ssh(machine, "echo unharmed").stdout == "unharmed\n"


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _held(number: str) -> bool:
    """By yet another session, meanwhile."""
    return shutil.which("ip") is not None and (SLOTS / number).read_text() != ""
