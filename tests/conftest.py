"""A clustertune home of its own for each test that asks, and nothing left of it afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clustertune.client.coordinator import Coordinator
from clustertune.client.home import ClusterFolder, Home
from clustertune.client.nearby import connect
from clustertune.model.errors import ClustertuneError
from tests.machines.fixture import any_machines, rack, ssh_machines

__all__ = ["any_machines", "home", "rack", "ssh_machines"]

LEAVE_LIMIT_S = 20.0

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background with Ctrl-C ignored, children included; the tests press it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What the shell says of threads would reach the trials, which are told so by us.
os.environ.pop("OMP_NUM_THREADS", None)


class TestHome:
    """``path`` is CLUSTERTUNE_HOME. Processes that belong to it are found by their environment or arguments."""

    __test__ = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.killed = False

    @property
    def cluster(self) -> ClusterFolder:
        return Home(self.path).cluster("local")

    def connect(self) -> Coordinator:
        return connect(self.cluster)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CLUSTERTUNE_HOME": str(self.path)}

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those of this home whose arguments hold all of ``words``."""
        return [process for process in psutil.process_iter() if self._owns(process) and _says(process, words)]

    def kill(self, *words: str) -> int:
        """kill -9 of matching processes; how many there were. What they leave behind is then no mistake."""
        self.killed = True
        found = self.processes(*words)
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=LEAVE_LIMIT_S)
        return len(found)

    def sockets(self) -> list[Path]:
        return [path for path in self.path.rglob("*") if stat.S_ISSOCK(path.lstat().st_mode)]

    def _owns(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        with contextlib.suppress(psutil.Error):
            if any(str(self.path) in argument for argument in process.cmdline()):
                return True
            return process.environ().get("CLUSTERTUNE_HOME") == str(self.path)
        return False


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestHome]:
    # Socket paths are short, and pytest's own folders are long.
    path = Path(tempfile.mkdtemp(prefix="ct-"))
    monkeypatch.setenv("CLUSTERTUNE_HOME", str(path))
    test_home = TestHome(path)
    yield test_home
    left = _leave(test_home)
    sockets = [] if test_home.killed else test_home.sockets()
    shutil.rmtree(path, ignore_errors=True)
    assert not left, f"processes were left behind: {left}"
    assert not sockets, f"sockets were left behind: {sockets}"


def _leave(home: TestHome) -> list[str]:
    """Asks coordinators and agents to end; kills and returns those that do not.

    Asked again and again: a coordinator that is just starting cannot hear the first time. Agents whose coordinator
    was killed have nobody to tell them, and get the signal.
    """
    deadline = time.monotonic() + LEAVE_LIMIT_S
    asked: set[int] = set()
    while (found := _alive(home)) and time.monotonic() < deadline:
        _ask_to_end(home, asked)
        if home.killed and not home.processes("clustertune.coordinator"):
            _terminate(home.processes("clustertune.agent", "--folder"), asked)
        psutil.wait_procs(found, timeout=0.1)
    left = [f"{process.pid} {' '.join(process.cmdline())}" for process in found]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return left


def _ask_to_end(home: TestHome, asked: set[int]) -> None:
    for folder in Home(home.path).clusters():
        record = folder.record()
        if record is None or record.pid in asked or not psutil.pid_exists(record.pid):
            continue
        with (
            contextlib.suppress(ClustertuneError),
            Coordinator(record.port, folder.token(), timeout_s=5) as coordinator,
        ):
            coordinator.shutdown(stop_agents=True)
            asked.add(record.pid)


def _terminate(processes: list[psutil.Process], asked: set[int]) -> None:
    for process in processes:
        if process.pid not in asked:
            asked.add(process.pid)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)


def _alive(home: TestHome) -> list[psutil.Process]:
    found = []
    for process in home.processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _says(process: psutil.Process, words: tuple[str, ...]) -> bool:
    try:
        arguments = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return all(word in arguments for word in words)
