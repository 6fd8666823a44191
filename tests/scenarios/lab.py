"""A cluster over SSH as its user has it: files on a laptop, the program typed, and machines that can be looked into."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from clustertune.client.coordinator import Coordinator
from clustertune.client.home import ClusterFolder, Home
from clustertune.client.nearby import connect, running
from clustertune.model.snapshot import ClusterSnapshot, ExperimentSnapshot
from tests.machines.machine import Machine
from tests.scenarios.machines import wait_for

if TYPE_CHECKING:
    from tests.conftest import TestHome

LIMIT_S = 90.0
CURVE = """
import os
import time
import clustertune

def train(config):
    print("on", os.uname().nodename, "says {word}", flush=True)
    for epoch in range(1, {epochs} + 1):
        time.sleep({step_s})
        clustertune.report(epoch, loss=(config["x"] - 0.3) ** 2 + 1 / epoch)
"""
EXPERIMENT: dict[str, Any] = {
    "run": {"call": "train:train"},
    "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
    "objective": {"metric": "loss", "goal": "minimize"},
    "scheduler": "fifo",
    "searcher": "random",
}


class Lab:
    """``hosts`` are called gpu0, gpu1, …, as the user's ssh_config has them."""

    def __init__(self, home: TestHome, folder: Path, key: Path, machines: list[Machine]) -> None:
        self.home, self.folder, self.machines = home, folder, machines
        self.hosts = [f"gpu{number}" for number in range(len(machines))]
        self.known_hosts = folder / "known_hosts"
        self.know()
        hosts = "".join(
            f"Host {name}\n  HostName {machine.address}\n" for name, machine in zip(self.hosts, machines, strict=True)
        )
        usual = f"  User ubuntu\n  IdentityFile {key}\n  UserKnownHostsFile {self.known_hosts}\n"
        (folder / "ssh_config").write_text(f"{hosts}Host *\n{usual}  GlobalKnownHostsFile /dev/null\n")
        self.cluster()
        self.program()

    # What the user writes

    def know(self) -> None:
        """Whoever answers at the addresses now is trusted."""
        self.known_hosts.write_text("".join(machine.known_hosts for machine in self.machines))

    def cluster(self, **more: object) -> None:
        usual = {"name": "lab", "provider": "ssh", "hosts": self.hosts, "ssh_config": "ssh_config", "slots": 2}
        (self.folder / "cluster.yaml").write_text(yaml.safe_dump({**usual, "idle_timeout": "10m", **more}))

    def program(self, *, word: str = "hello", epochs: int = 3, step_s: float = 0.01) -> None:
        (self.folder / "train.py").write_text(CURVE.format(word=word, epochs=epochs, step_s=step_s))

    def type(self, *words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs ``clustertune WORDS`` in the folder; it must end with ``code``."""
        ran = subprocess.run(
            [sys.executable, "-m", "clustertune.cli", *words],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode == code, (ran.returncode, ran.stdout, ran.stderr, self.log())
        return ran

    def tune(self, name: str = "curve", **definition: object) -> str:
        """Submits and leaves; the experiment's name."""
        plain = {**EXPERIMENT, "name": name, "trials": 8, **definition}
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(plain))
        told = self.type("tune", f"{name}.yaml", "--cluster", "cluster.yaml", "--detach", "--json").stdout
        return str(json.loads(told)["experiment"])

    # What is seen

    @property
    def place(self) -> ClusterFolder:
        return Home(self.home.path).cluster("lab")

    def client(self) -> Coordinator:
        return connect(self.place)

    def look(self) -> ClusterSnapshot:
        with self.client() as client:
            return client.cluster()

    def rows(self) -> dict[str, Any]:
        return {row.instance: row for row in self.look().instances}

    def experiment(self, name: str = "curve") -> ExperimentSnapshot:
        with self.client() as client:
            return client.experiment(name)

    def end_of(self, name: str = "curve", limit_s: float = LIMIT_S) -> ExperimentSnapshot:
        found: ExperimentSnapshot = wait_for(
            lambda: (found := self.experiment(name)).state.ended and not found.running and found,
            f"the end of {name}", limit_s, self.log,
        )  # fmt: skip
        assert found.state.value == "completed", (found.reason, found.failure, self.log())
        return found

    def until(self, condition: Any, what: str, limit_s: float = LIMIT_S) -> Any:
        return wait_for(condition, what, limit_s, self.log)

    def logs(self, name: str = "curve") -> list[str]:
        """What each trial wrote, whose log has come home."""
        paths = sorted((self.place.path / "experiments" / name / "logs").glob("*.log"))
        return [path.read_text() for path in paths]

    def query(self, query: str) -> list[Any]:
        path = self.place.path / "journal.sqlite"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as reader:
            return reader.execute(query).fetchall()

    def facts(self, *kinds: str) -> list[dict[str, Any]]:
        rows = self.query("SELECT kind, body FROM facts ORDER BY seq")
        return [{"fact": kind, **json.loads(body)} for kind, body in rows if kind in kinds]

    def reports(self, name: str = "curve") -> int:
        return int(self.query(f"SELECT COUNT(*) FROM reports WHERE experiment = '{name}'")[0][0])

    def log(self) -> str:
        path = self.place.log
        return path.read_text()[-6000:] if path.exists() else ""

    # What befalls it

    def coordinator_pid(self) -> int:
        record = self.place.record()
        assert record is not None
        return int(record.pid)

    def kill_coordinator(self) -> None:
        self.home.killed = True
        pid = self.coordinator_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: running(self.place) is None, "the end of the coordinator")

    def down(self) -> None:
        """Everything ends, and nothing of ours is left on any machine that answers."""
        self.type("down", "lab", "--yes")
        for machine in self.machines:
            if machine.alive:
                wait_for(lambda machine=machine: not machine.processes(), f"the end of all processes on {machine.name}")


def there(machine: Machine, script: str) -> str:
    """What a shell script says on the machine, in the user's home."""
    return str(machine.run("sh", "-c", script).stdout)
