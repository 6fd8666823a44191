"""clustertune as its users run it: definition files, the command, a coordinator and an agent, in a home of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).resolve().parent / "programs"
_LEAVE_S = 20.0


class Product:
    """A cluster of so many slots on this machine. ``log`` is where trials may write, as ``BENCHMARK_LOG``."""

    def __init__(self, folder: Path, slots: int) -> None:
        self._folder = folder
        self._cluster = folder / "home" / "clusters" / "bench"
        self.log = folder / "log"
        self.log.touch()
        self._file("bench.yaml", {"name": "bench", "provider": "local", "slots": slots, "idle_timeout": "1m"})

    def tune(self, **definition: object) -> float:
        """Runs an experiment to its end with the command; the command's whole time in seconds."""
        plain = {
            "name": "measured",
            "workdir": str(PROGRAMS),
            "objective": {"metric": "loss", "goal": "minimize"},
            "env": {"BENCHMARK_LOG": str(self.log)},
        }
        path, began = self._file("experiment.yaml", plain | definition), time.monotonic()
        command = [str(Path(sys.executable).with_name("clustertune")), "tune", str(path), "--plain"]
        environment = os.environ | {"CLUSTERTUNE_HOME": str(self._folder / "home")}
        subprocess.run(
            [*command, "--cluster", str(self._folder / "bench.yaml")],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return time.monotonic() - began

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the journal."""
        with contextlib.closing(sqlite3.connect(f"file:{self._cluster / 'journal.sqlite'}?mode=ro", uri=True)) as read:
            return read.execute(sql).fetchall()

    def facts(self, kind: str) -> list[tuple[float, Mapping[str, Any]]]:
        """When each fact of this kind was decided, in seconds since 1970, and what it says; oldest first."""
        rows = self.query(f"SELECT now, body FROM facts WHERE kind = '{kind}' ORDER BY seq")
        return [(now, json.loads(body)) for now, body in rows]

    def wall_s(self) -> float:
        """From the experiment's submission to its completion, as the journal has it."""
        changes = [(now, fact["state"]) for now, fact in self.facts("ExperimentChanged")]
        ended = [now for now, state in changes if state == "completed"]
        if not ended:
            raise SystemExit(f"the experiment did not complete: {changes}")
        return ended[-1] - self.facts("ExperimentCreated")[0][0]

    @property
    def coordinator(self) -> int:
        return int(json.loads((self._cluster / "coordinator.json").read_text())["pid"])

    @property
    def agents(self) -> Sequence[int]:
        return [int(json.loads(path.read_text())["pid"]) for path in self._cluster.glob("instances/*/agent.json")]

    def end(self) -> None:
        """Ends coordinator and agent, and waits until they are gone."""
        with contextlib.suppress(FileNotFoundError):
            _end([self.coordinator])
        _end(self.agents)

    def _file(self, name: str, content: Mapping[str, object]) -> Path:
        path = self._folder / name
        path.write_text(json.dumps(content))  # which is YAML too
        return path


@contextlib.contextmanager
def product(*, slots: int) -> Iterator[Product]:
    with tempfile.TemporaryDirectory(prefix="clustertune-benchmark-") as folder:
        running = Product(Path(folder), slots)
        try:
            yield running
        finally:
            running.end()


def _end(pids: Sequence[int]) -> None:
    for number, patience_s in ((signal.SIGTERM, _LEAVE_S), (signal.SIGKILL, _LEAVE_S)):
        for pid in filter(_lives, pids):
            os.kill(pid, number)
        deadline = time.monotonic() + patience_s
        while any(map(_lives, pids)) and time.monotonic() < deadline:
            time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
