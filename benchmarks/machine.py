"""Runs one measurement and says how busy the machine was with other things. Linux only: it reads /proc."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PR_SET_CHILD_SUBREAPER = 36
_LEAVE_S = 5.0
"""How long what a measurement left behind may take to end by itself."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


_LOOK_S = 0.25


class MeasurementFailed(Exception):
    """The program that measures did not print its figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """``other_cpus`` is how many CPUs others kept busy meanwhile, on average; ``left`` what had to be killed."""

    figures: Mapping[str, float]
    wall_s: float
    cpu_s: float
    other_cpus: float
    left: int


def measure(command: Sequence[str], *, limit_s: float) -> Measured:
    """Runs the command, whose last line of output is its figures in JSON. Raises MeasurementFailed."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # CPU time of detached processes is ours to count too
    busy, own, began = _busy_s(), _own_s(), time.monotonic()
    # Some tuners leave files where they are started.
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder, _Watch() as watch:
        child = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD
        )
        try:
            output, errors = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            _end_descendants(0.0)
            raise MeasurementFailed(f"{' '.join(command)} took more than {limit_s:.0f} s") from None
        wall_s, busy_s = time.monotonic() - began, _busy_s() - busy
        left = _end_descendants(_LEAVE_S)
    cpu_s = max(_own_s() - own, watch.cpu_s)
    if child.returncode or not output.strip():
        raise MeasurementFailed(f"{' '.join(command)} ended with {child.returncode}:\n{errors[-3000:]}")
    figures = json.loads(output.splitlines()[-1])
    other = max(0.0, busy_s - cpu_s) / wall_s
    return Measured(figures=figures, wall_s=wall_s, cpu_s=cpu_s, other_cpus=other, left=left)


class _Watch:
    """Adds up the CPU time of all descendants while it is open.

    The kernel tells it of children that were waited for; Ray's are not, and would pass for others.
    """

    def __init__(self) -> None:
        self._seen_s: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def cpu_s(self) -> float:
        return sum(self._seen_s.values())

    def _look(self) -> None:
        while not self._over.wait(_LOOK_S):
            for pid in descendants(os.getpid()):
                with contextlib.suppress(OSError):
                    user, system = _stat(Path(f"/proc/{pid}/stat"))[11:13]
                    self._seen_s[pid] = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """The process's children and theirs, zombies left out."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, open_ends = [], [pid]
    while open_ends:
        for child in children.get(open_ends.pop(), []):
            found.append(child)
            open_ends.append(child)
    return found


def proportional_bytes(pids: Sequence[int]) -> int:
    """Memory with shared pages divided among those who share them (PSS), in bytes; 0 for what is gone."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def parent_of(pid: int) -> int:
    """Raises OSError where it is gone."""
    return int(_stat(Path(f"/proc/{pid}/stat"))[1])


def used_s(pids: Sequence[int]) -> float:
    """CPU time of these processes themselves, in seconds. Raises OSError where one is gone."""
    return sum(int(ticks) for pid in pids for ticks in _stat(Path(f"/proc/{pid}/stat"))[11:13]) / os.sysconf(
        "SC_CLK_TCK"
    )


def _parents() -> Iterator[tuple[int, int]]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = _stat(path)[:2]
            if state != "Z":
                yield int(path.parent.name), int(parent)


def _stat(path: Path) -> list[str]:
    """The fields from the state on: before it stands the program's name in parentheses, which may hold anything."""
    text = path.read_text()
    return text[text.rindex(")") + 2 :].split()


def _end_descendants(patience_s: float) -> int:
    """Waits for what is still there, then kills it; how many had to be."""
    deadline = time.monotonic() + patience_s
    while (left := descendants(os.getpid())) and time.monotonic() < deadline:
        _reap()
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while descendants(os.getpid()):
        time.sleep(0.01)
    _reap()
    return len(left)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _busy_s() -> float:
    """CPU seconds that this machine has worked since it was started."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
