"""Finds the coordinator of a cluster on this machine, or starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable

from clustertune.client.coordinator import Coordinator
from clustertune.client.home import DEFAULT_CLUSTER, ClusterFolder, Record, make_private
from clustertune.model.errors import CoordinatorUnreachable, JournalFull

START_LIMIT_S = 20.0
POLL_S = 0.02
RESPAWN_S = 0.25
ANSWER_LIMIT_S = 5.0

LOCK_IS_HELD = 4
"""Exit code of a coordinator that found another one in charge: that one is starting or ending."""

DISK_IS_FULL = 6
"""Exit code of a coordinator whose disk takes no more; the last line of its log says which, and what to do."""

LOG_LINES_SHOWN = 15
LOG_BYTES_READ = 64 * 1024
_LOG_PREFIX = re.compile(r"\S+ \S+ [A-Z]+ [\w.]+: ")


def connect(folder: ClusterFolder, *, starting: Callable[[], None] = lambda: None) -> Coordinator:
    """The cluster's coordinator, started where none answers; ``starting`` is called before that.

    Raises CoordinatorUnreachable with the end of its log when it cannot be started, JournalFull when its disk takes
    no more, and Mistake when the one that runs speaks another protocol.
    """
    found = running(folder)
    if found is not None:
        return found
    starting()
    return _Start(folder).wait()


def running(folder: ClusterFolder) -> Coordinator | None:
    """The coordinator that answers now. Raises CoordinatorUnreachable when its process lives and does not answer."""
    record = folder.record()
    if record is None or not _alive(record.pid):
        return None
    coordinator = Coordinator(record.port, folder.token(), timeout_s=ANSWER_LIMIT_S)
    try:
        coordinator.cluster()
    except CoordinatorUnreachable as error:
        coordinator.close()
        if not isinstance(error.__cause__, TimeoutError):
            return None
        raise _hangs(folder, record) from error
    coordinator.close()
    return Coordinator(record.port, folder.token())


class _Start:
    """One effort to get a coordinator running. Several programs may try at once: its own lock lets one in."""

    def __init__(self, folder: ClusterFolder) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned_at = 0.0
        self._log_from = 0

    def wait(self) -> Coordinator:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            self._spawn_where_needed()
            found = running(self._folder)
            if found is not None:
                return found
            time.sleep(POLL_S)
        raise CoordinatorUnreachable(
            f"the coordinator of cluster {self._folder.name!r} did not answer within {START_LIMIT_S:.0f} s"
            f"{log_end(self._folder, self._log_from)}"
        )

    def _spawn_where_needed(self) -> None:
        if self._process is not None:
            code = self._process.poll()
            if code == DISK_IS_FULL:
                raise JournalFull(_last_words(self._folder, self._log_from))
            if code not in (None, LOCK_IS_HELD):
                raise CoordinatorUnreachable(
                    f"the coordinator of cluster {self._folder.name!r} ended at once (exit code {code})"
                    f"{log_end(self._folder, self._log_from)}"
                )
            if code is None or time.monotonic() - self._spawned_at < RESPAWN_S:
                return
        self._spawn()

    def _spawn(self) -> None:
        make_private(self._folder.path)
        if not self._folder.definition.exists():
            self._folder.store_definition(default_definition(self._folder.name))
        command = [sys.executable, "-m", "clustertune.coordinator"]
        command += ["--home", str(self._folder.home), "--cluster", self._folder.name]
        self._folder.log.touch(mode=0o600)
        with self._folder.log.open("ab") as log:
            self._log_from = log.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        _children.append(self._process)
        self._spawned_at = time.monotonic()


def log_end(folder: ClusterFolder, offset: int = 0) -> str:
    """The last lines of a coordinator's log, from ``offset`` bytes on, to append to an error; and what to do."""
    said = "".join(f"\n  {line}" for line in _log_lines(folder, offset)) or "\n  (it wrote nothing)"
    return f"; the end of {folder.log}:{said}\n`clustertune doctor` looks for the usual causes"


def _log_lines(folder: ClusterFolder, offset: int) -> list[str]:
    try:
        with folder.log.open("rb") as log:
            log.seek(max(offset, log.seek(0, os.SEEK_END) - LOG_BYTES_READ))
            return log.read().decode("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]
    except OSError:
        return []


def _last_words(folder: ClusterFolder, offset: int) -> str:
    """The last line of its log, without time and level. A full disk may not have taken even that."""
    lines = _log_lines(folder, offset)
    if not lines:
        return f"the disk of {folder.path} is full, and the coordinator cannot start; free some space"
    return _LOG_PREFIX.sub("", lines[-1], count=1)


def default_definition(name: str) -> dict[str, object]:
    """A cluster that needs no file: this machine."""
    return {"name": name, "provider": DEFAULT_CLUSTER}


_children: list[subprocess.Popen[bytes]] = []
"""Coordinators that this process started. They outlive it; the list only lets ``_alive`` see those that ended."""


def _alive(pid: int) -> bool:
    for child in _children:
        # A child that ended stays in the process table until it is waited for, and would look alive.
        if child.pid == pid and child.poll() is not None:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _hangs(folder: ClusterFolder, record: Record) -> CoordinatorUnreachable:
    return CoordinatorUnreachable(
        f"the coordinator of cluster {folder.name!r} (process {record.pid}) runs and does not answer; look at "
        f"{folder.log}, or end it with `kill -9 {record.pid}` (nothing is lost) and try again"
    )
