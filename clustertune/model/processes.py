"""Which process a number means: numbers are given again, starting moments are not."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True)
class Stat:
    """One process. ``start_time`` is text that, with the pid, names a process for as long as the machine is up."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start_time: str


def stat(pid: int) -> Stat | None:
    """None where there is no such process."""
    if not LINUX:
        return _stat_by_ps(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The program's name, in parentheses, may hold spaces and parentheses itself.
    rest = text[text.rindex(b")") + 2 :].split()
    return Stat(pid, rest[0].decode(), int(rest[1]), int(rest[2]), int(rest[3]), rest[19].decode())


def _stat_by_ps(pid: int) -> Stat | None:
    command = ["/bin/ps", "-o", "state=,ppid=,pgid=,lstart=", "-p", str(pid)]
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    if len(words) < 4:
        return None
    return Stat(pid, words[0], int(words[1]), int(words[2]), int(words[2]), " ".join(words[3:]))


def boot_id() -> str:
    """Names the time since the machine was started: start times from before it mean nothing."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def start_mark(pid: int) -> str | None:
    """A text that tells this process from any other that ever had its number; None when it is not running.

    A zombie, dead but not yet waited for, is not running.
    """
    found = stat(pid)
    return None if found is None or found.state[0] in "ZX" else f"{boot_id()} {found.start_time}".strip()
