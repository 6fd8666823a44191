"""DESIGN.md 7: agents' tokens and the user's secrets are nowhere but where they are needed, here and there."""

from __future__ import annotations

import hmac
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
import pytest
import yaml

from tests.machines.fixture import Machines
from tests.scenarios.lab import EXPERIMENT, Lab, there

if TYPE_CHECKING:
    from tests.conftest import TestHome

SECRET = "correct-horse-battery-5f2c"
PROGRAM = """
import os, sys, time
import clustertune

def train(config):
    found = os.environ.get("MY_SECRET", "none")
    print("out", found, flush=True)
    print("err", found, file=sys.stderr, flush=True)
    for epoch in range(1, 6):
        time.sleep(0.05)
        clustertune.report(epoch, loss=config["x"])
    if config["x"] > 0.5:
        raise ValueError("cannot log in with " + found)
"""


OPENS = """
for path in "$@"; do
    test -w "$path" && echo "$path"
    if test -d "$path"; then ls "$path" >/dev/null 2>&1 && echo "$path"; else test -r "$path" && echo "$path"; fi
done
true
"""
REACHES = """
import socket, sys
for path in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        print(path)
    except OSError:
        pass
"""


class Watch:
    """Looks at the arguments of every process there is, of all machines, again and again."""

    def __init__(self, *words: str) -> None:
        self.words, self.found, self.looks = words, set[str](), 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            self.looks += 1
            for pid in psutil.pids():
                try:
                    line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
                except OSError:
                    continue
                self.found |= {line for word in self.words if word in line}
            self._over.wait(0.02)


@pytest.fixture
def lab(home: TestHome, tmp_path: Path, ssh_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Lab(home, tmp_path, ssh_machines.key, ssh_machines(1))


def files_with(folder: Path, word: str) -> set[str]:
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(folder)) for path in paths if word.encode() in path.read_bytes()}


def test_a_secret_and_the_tokens_are_in_no_argument_file_log_or_answer(lab: Lab) -> None:
    (lab.folder / "train.py").write_text(PROGRAM)
    lab.cluster(setup=["echo setup says $MY_SECRET", "echo >&2 and again $MY_SECRET"], secrets=["MY_SECRET"])
    lab.type("up", "cluster.yaml", MY_SECRET=SECRET)
    secrets = {
        path.name: path.read_text().strip() for path in (lab.place.path / "token", lab.place.path / "launch-secret")
    }
    token = hmac.digest(bytes.fromhex(secrets["launch-secret"]), b"gpu0:1", "sha256").hex()
    hidden = (SECRET, token, *secrets.values())
    with Watch(*hidden) as watch:
        name = tune(lab, "curve")
        lab.until(lambda: lab.experiment(name).state.ended and len(lab.logs(name)) == 4, "the end")
    assert watch.looks > 10
    assert watch.found == set()
    assert any("out [secret]" in text for text in lab.logs(name))
    # What is kept there, and here, in whatever file; the two that hold the coordinator's own are its owner's alone.
    for word in hidden:
        asked = lab.machines[0].run(
            "grep", "-rlaFf", "-", "/home", "/tmp", "/var/tmp", given=word.encode(), check=False
        )
        assert asked.stdout == "", word
        found = files_with(lab.home.path, word)
        assert found <= {"clusters/lab/token", "clusters/lab/launch-secret"}
        assert all((lab.home.path / path).stat().st_mode & 0o077 == 0 for path in found)
        with lab.client() as client:
            assert word not in repr((client.cluster(), client.experiment(name), client.trials(name)))
        for words in (["status", "--cluster", "lab"], ["logs", name, "0", "--cluster", "lab"]):
            ran = lab.type(*words)
            assert word not in ran.stdout + ran.stderr
    # And no crash writes it to a disk.
    here, agents = psutil.Process(lab.coordinator_pid()), lab.machines[0].processes("agent")
    assert agents
    for process in [here, *agents]:
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        assert next(line for line in limits if "core file" in line).split()[4] == "0", process.cmdline()
    lab.down()


def tune(lab: Lab, name: str) -> str:
    plain = {**EXPERIMENT, "name": name, "trials": 4, "secrets": ["MY_SECRET"], "retries": 0}
    (lab.folder / f"{name}.yaml").write_text(yaml.safe_dump(plain))
    told = lab.type("tune", f"{name}.yaml", "--cluster", "cluster.yaml", "--detach", "--json", MY_SECRET=SECRET).stdout
    return str(json.loads(told)["experiment"])


def test_another_user_of_the_machine_or_of_the_laptop_reads_and_reaches_nothing(lab: Lab) -> None:
    """DESIGN.md 7: files are 0600, sockets their owner's alone."""
    lab.type("up", "cluster.yaml")
    lab.tune(trials=2)
    lab.end_of()
    machine = lab.machines[0]
    ours = "-user ubuntu \\( -type f -o -type s -o -type d \\)"
    places = there(machine, f"find $HOME/.clustertune /tmp {ours} 2>/dev/null").split()
    assert any(".clustertune" in place for place in places)
    stranger = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", "--"]
    assert machine.run(*stranger, "sh", "-c", OPENS, "sh", *places, user="root").stdout == ""
    sockets = there(machine, "find $HOME /run /tmp -type s -user ubuntu 2>/dev/null").split()
    assert sockets
    assert machine.run(*stranger, "python3", "-c", REACHES, *sockets, user="root").stdout == ""
    mine = [path for path in (lab.home.path, *lab.home.path.rglob("*")) if not path.is_symlink()]
    assert [str(path) for path in mine if path.stat().st_mode & 0o077] == []
    lab.down()
