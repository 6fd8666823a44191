"""What a scenario with two machines sees and does: coordinator and agents are processes, so that kill -9 is real."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from clustertune.client.coordinator import Coordinator
from clustertune.client.nearby import running
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.snapshot import ExperimentSnapshot, Submission
from tests.scenarios.two_machines import INSTANCES

if TYPE_CHECKING:
    from tests.conftest import TestHome

LIMIT_S = 60.0
REPOSITORY = Path(__file__).parents[2]
ENDED = ("completed", "stopped", "failed", "infeasible")
_LAST_FACTS = "SELECT now, kind, body FROM facts ORDER BY seq DESC LIMIT 30"

Facts = list[dict[str, Any]]


class Machines:
    """Two agents, one slot each. Everything that is waited for is a fact in the journal, or lies on a disk."""

    def __init__(self, home: TestHome, **cluster: object) -> None:
        self.home = home
        self.folder = home.cluster.path
        self._process: subprocess.Popen[bytes] | None = None
        self._killed: set[tuple[str, int]] = set()
        plain = {"name": "local", "provider": "local", "slots": 1, "idle_timeout": "10m"}
        home.cluster.store_definition({**plain, **cluster})

    # What is done

    def start(self) -> None:
        """Starts the coordinator, and waits until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "coordinator.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.scenarios.two_machines", str(self.home.path)]
            self._process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        wait_for(self._answers, "the coordinator's first answer")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        record = self.home.cluster.record()
        if record is None or record.pid != self._process.pid:
            return False
        found = running(self.home.cluster)
        if found is not None:
            found.close()
        return found is not None

    def client(self) -> Coordinator:
        found = running(self.home.cluster)
        assert found is not None, self.log()
        return found

    def submit(self, folder: Path, **definition: Any) -> str:
        plain = ExperimentDefinition.from_plain(definition).to_plain()
        with self.client() as client:
            return client.submit(Submission(definition=plain, workdir=str(folder), python=sys.executable))

    def kill_coordinator(self) -> None:
        assert self._process is not None
        self.home.killed = True
        self._process.kill()
        self._process.wait()

    def kill_agent(self, instance: str) -> None:
        """Of a killed agent the processes end by themselves, a moment later."""
        self.home.killed = True
        with contextlib.suppress(psutil.NoSuchProcess, OSError, ValueError, KeyError):
            agent = json.loads((self.folder / "instances" / instance / "agent.json").read_text())
            self._killed.add((instance, agent["epoch"]))
            psutil.Process(agent["pid"]).kill()

    def end(self) -> None:
        """Coordinator and agents leave."""
        with self.client() as client:
            client.shutdown(stop_agents=True)
        assert self._process is not None
        self._process.wait(LIMIT_S)
        wait_for(lambda: not self.home.processes(), "the end of all processes")

    def unharmed(self) -> list[Path]:
        """The folders of those machines whose last agent came to work and was not killed."""
        last = {fact["instance"]: fact["epoch"] for fact in self.facts("InstanceLaunched")}
        ready = {(fact["instance"], fact["epoch"]) for fact in self.facts("InstanceReady")} - self._killed
        return [self.folder / "instances" / name for name in last if (name, last[name]) in ready]

    def reap(self) -> None:
        """Whatever the test left of the coordinator."""
        if self._process is not None and self._process.poll() is None:
            self.kill_coordinator()

    # What is seen

    def last_fact(self) -> int:
        """How many there are."""
        found = self.query("SELECT MAX(seq) FROM facts")
        return int(found[0][0] or 0) if found else 0

    def facts(self, *kinds: str, experiment: str | None = None, after: int = 0) -> Facts:
        rows = self.query(f"SELECT kind, now, body FROM facts WHERE seq > {after} ORDER BY seq")
        found = [{"fact": kind, "now": now, **json.loads(body)} for kind, now, body in rows if kind in kinds]
        return [fact for fact in found if experiment in (None, fact.get("experiment"))]

    def query(self, query: str) -> list[Any]:
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder / 'journal.sqlite'}?mode=ro", uri=True, timeout=5)
        ) as reader:
            try:
                return reader.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []  # it is being created, or recovered

    def curve(self, experiment: str, trial: int = 0) -> dict[int, str]:
        """The metrics that count, as they were reported, by level."""
        rows = self.query("SELECT experiment, trial, resource, metrics FROM reports WHERE observed")
        return {level: metrics for name, number, level, metrics in rows if (name, number) == (experiment, trial)}

    def placed(self, experiment: str) -> Facts:
        return self.facts("AttemptPlaced", experiment=experiment)

    def saved(self, experiment: str) -> Facts:
        return self.facts("CheckpointSaved", experiment=experiment)

    def stored(self, experiment: str) -> Facts:
        return self.facts("CheckpointStored", experiment=experiment)

    def ended(self, experiment: str) -> dict[int, str]:
        """Trials that are over for good; asserts that none was so twice."""
        facts = self.facts("AttemptEnded", "TrialMoved", experiment=experiment)
        over = [(fact["trial"], fact["state"]) for fact in facts if fact["state"] in ENDED]
        assert len(dict(over)) == len(over), over
        return dict(over)

    def snapshot(self, experiment: str) -> ExperimentSnapshot:
        with self.client() as client:
            return client.experiment(experiment)

    def is_over(self, experiment: str) -> bool:
        changes = self.facts("ExperimentChanged", experiment=experiment)
        return bool(changes) and changes[-1]["state"] in ("completed", "failed", "stopped")

    def wait_for_end(self, experiment: str, limit_s: float = LIMIT_S) -> ExperimentSnapshot:
        wait_for(lambda: self.is_over(experiment), f"the end of {experiment}", limit_s, self.log)
        snapshot = self.snapshot(experiment)
        assert snapshot.state.value == "completed", (snapshot.reason, snapshot.failure, self.log())
        return snapshot

    def log(self) -> str:
        """The last facts, and the ends of all logs."""
        facts = [f"{now:.3f} {kind} {body[:300]}" for now, kind, body in self.query(_LAST_FACTS)]
        logs = [self.folder / "coordinator.log", *self.folder.glob("instances/*/agent.log")]
        texts = [f"{path.parent.name}: {path.read_text()[-2000:]}" for path in logs if path.exists()]
        return "\n".join([*reversed(facts), *texts])


def wait_for(
    condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S, more: Callable[[], str] = lambda: ""
) -> Any:
    """What ``condition`` gave once it was true."""
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come in {limit_s:g} s\n{more()}"
        time.sleep(0.005)
    return found


def other(instance: str) -> str:
    return next(name for name in INSTANCES if name != instance)
