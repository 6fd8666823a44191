"""What the operating system knows about processes: who is whose, since when, and how they die together."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform.startswith("linux")
# Loaded here, before any fork: a forked child does as little as it can.
_prctl: Callable[..., int] | None = ctypes.CDLL(None, use_errno=True).prctl if _LINUX else None


def die_with_parent(yes: bool = True) -> None:
    """The kernel kills this process when the thread that forked it ends. Linux only; elsewhere nothing."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL) if yes else 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Descendants whose parent ends become children of this process, so that they can be found and reaped."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


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
    if not _LINUX:
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


def all_pids() -> list[int]:
    """Every process of this machine that can be seen; empty where there is no /proc."""
    if not _LINUX:
        return []
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names only, and often


def environment_has(pid: int, entry: str) -> bool:
    """Whether the process was started with ``NAME=value`` in its environment; False where that cannot be read."""
    try:
        return entry.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def boot_id() -> str:
    """Names the time since the machine was started: start times from before it mean nothing."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """False where there is no such process, or where it is not ours to end."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False


def kill_group(group: int, number: int = signal.SIGKILL) -> bool:
    """False where nobody is left in the group."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # macOS says so of a group of zombies
    return True
