"""What the operating system knows about processes: who is whose, since when, and how they die together."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clustertune.model.processes import LINUX

MOST_DESCRIPTORS = 253
"""Linux hands over no more at once."""

LINK_CLOSED = 96
"""A spawner ends with this code where the module that it imported closed its connection to the agent."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded here, before any fork: a forked child does as little as it can.
_prctl: Callable[..., int] | None = ctypes.CDLL(None, use_errno=True).prctl if LINUX else None


def die_with_parent(yes: bool = True) -> None:
    """The kernel kills this process when the thread that forked it ends. Linux only; elsewhere nothing."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL) if yes else 0, 0, 0, 0)


def adopt_orphans() -> None:
    """Descendants whose parent ends become children of this process, so that they can be found and reaped."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def all_pids() -> list[int]:
    """Every process of this machine that can be seen; empty where there is no /proc."""
    if not LINUX:
        return []
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names only, and often


def environment_has(pid: int, entry: str) -> bool:
    """Whether the process was started with ``NAME=value`` in its environment; False where that cannot be read."""
    try:
        return entry.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


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
