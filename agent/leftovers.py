"""Finds and kills what an agent that died left running, and nothing else."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from clustertune.agent import processes
from clustertune.agent.environment import FOLDER
from clustertune.agent.removal import remove
from clustertune.agent.untrusted import read_text
from clustertune.model.processes import Stat, boot_id, stat

_PATIENCE_S = 2.0


class Records:
    """A file for each process that this agent has started and that has not ended, named by its pid."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._boot = boot_id()

    def add(self, pid: int, start_time: str = "") -> None:
        """On a full disk the record is missing; the mark in the process's environment is still there to find."""
        if not start_time:
            found = stat(pid)
            start_time = found.start_time if found is not None else ""
        with suppress(OSError):
            (self._folder / str(pid)).write_text(json.dumps({"start_time": start_time, "boot": self._boot}))

    def remove(self, pid: int) -> None:
        with suppress(OSError):
            (self._folder / str(pid)).unlink()

    def kill_session(self, leader: int) -> int:
        """Kills what is left of a trial whose spawner has just died, and returns how many processes that still are."""
        if not processes.all_pids():
            return int(processes.kill_group(leader))
        left = [found.pid for found in _all_stats() if found.session == leader]
        for pid in left:
            processes.kill(pid)
        return len(left)

    def kill_all(self, marked_with: Path) -> int:
        """Kills all that earlier agents of the folder ``marked_with`` left, and returns how many processes that were.

        A process is theirs where pid and start time are on record, where it is in the session that such a one leads,
        or where its environment has this folder's mark. Waits until they are gone.
        """
        mark, leaders = f"{FOLDER}={marked_with}", self._leaders()
        killed: set[int] = set()
        deadline = time.monotonic() + _PATIENCE_S
        while left := [stat.pid for stat in _all_stats() if _is_theirs(stat, leaders, mark)]:
            killed.update(pid for pid in left if processes.kill(pid))
            if time.monotonic() > deadline:
                break
            time.sleep(0.005)
        for pid in leaders:
            self.remove(pid)
        return len(killed)

    def _leaders(self) -> dict[int, str]:
        """Start times, by pid, of what is on record since this machine was started."""
        found = {}
        for path in self._folder.iterdir():
            with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                record = json.loads(read_text(path))
                if record["boot"] == self._boot and record["start_time"]:
                    found[int(path.name)] = record["start_time"]
                    continue
            remove(path)
        for pid, start_time in found.items():
            if not processes.all_pids() and (found_now := stat(pid)) and found_now.start_time == start_time:
                processes.kill_group(pid)  # where there is no /proc to look through
        return found


def _all_stats() -> Iterator[Stat]:
    for pid in processes.all_pids():
        found = stat(pid)
        if found is not None and found.state != "Z" and pid != os.getpid():
            yield found


def _is_theirs(found: Stat, leaders: dict[int, str], mark: str) -> bool:
    if leaders.get(found.pid) == found.start_time:
        return True
    if found.session in leaders:
        leader = stat(found.session)
        # Without its leader, a session may be another one that got the same number.
        if leader is not None and leader.start_time == leaders[found.session]:
            return True
    return processes.environment_has(found.pid, mark)
