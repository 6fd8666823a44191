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

LEAVE_LIMIT_S = 20.0


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
    """Asks coordinators and agents to end; kills and returns those that do not."""
    for folder in Home(home.path).clusters():
        record = folder.record()
        if record is not None and psutil.pid_exists(record.pid):
            with contextlib.suppress(ClustertuneError):
                Coordinator(record.port, folder.token(), timeout_s=5).shutdown(stop_agents=True)
    deadline = time.monotonic() + LEAVE_LIMIT_S
    if home.killed:
        _terminate(home.processes())
    while (found := _alive(home)) and time.monotonic() < deadline:
        psutil.wait_procs(found, timeout=0.1)
    left = [f"{process.pid} {' '.join(process.cmdline())}" for process in found]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return left


def _terminate(processes: list[psutil.Process]) -> None:
    for process in processes:
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
