"""A cgroup for each attempt, where this agent may make some: its processes are found and ended with it, and bounded."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clustertune.agent import processes

MOST_PROCESSES = 10_000
"""Of one trial, threads included: far beyond any training program, and a third of what Linux gives to a machine."""

_MOST_SPARE = 64
_PATIENCE_S = 2.0
_POLL_S = 0.002
_CONTROLLERS = ("memory", "pids")


@dataclass(frozen=True)
class Cgroup:
    """One attempt's, as a folder in each hierarchy. ``bounds_memory``: the kernel holds it to its limit.

    ``spare`` is where it goes for another attempt once it is empty; None: it is removed.
    """

    folders: tuple[Path, ...] = ()
    bounds_memory: bool = False
    spare: deque[Path] | None = None

    @property
    def entrances(self) -> list[str]:
        """The files that a process writes 0 to, to be in it from then on with all that it starts."""
        return [_entrance(folder) for folder in self.folders]

    def pids(self) -> set[int]:
        return {pid for folder in self.folders for pid in _pids(folder)}

    def kill(self) -> int:
        """Once more to be called until it says 0: how many processes there still were."""
        left = self.pids()
        for folder in self.folders if left else ():
            if not _write(folder / "cgroup.kill", "1"):
                _write(folder / "pids.max", "0")  # who forks for ever has an end
                for pid in _pids(folder):
                    processes.kill(pid)
        return len(left)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed one of its processes for the memory that they use."""
        texts = (_text(folder / name) for folder in self.folders for name in ("memory.events", "memory.oom_control"))
        return any(words[0] == "oom_kill" and words[1] != "0" for text in texts for words in _pairs(text))

    def remove(self) -> None:
        for folder in self.folders:
            if self.spare is not None and len(self.spare) < _MOST_SPARE and _is_as_new(folder):
                self.spare.append(folder)
                continue
            try:
                folder.rmdir()
            except OSError:
                _remove(folder, patience_s=0)  # the program made some of its own in it, or outlives SIGKILL


class Cgroups:
    """Those of one agent, below one of its own; none where it may not make any."""

    def __init__(self, agent_folder: Path, root: Path = Path("/")) -> None:
        """Ends what a dead agent of this same folder left."""
        name = "clustertune-" + hashlib.sha256(os.fsencode(agent_folder)).hexdigest()[:12]
        found = {kind: own for kind, parent in _divisible(root).items() if (own := _settle(parent, name)) is not None}
        self._own = list(found.values())
        # One is enough to keep processes together, and to enter each costs. Best is one that bounds their number; in
        # version 1 a process moves itself in without waiting for all of the machine's.
        self._together = next((found[kind] for kind in ("pids", "", "freezer", "memory") if kind in found), None)
        self._bounding = found.get("memory", self._together)
        self._spare: deque[Path] = deque()
        self._numbers = itertools.count()

    @property
    def available(self) -> bool:
        return bool(self._own)

    def open(self, memory_bytes: int) -> Cgroup:
        """Raises nothing: what cannot be had is done without.

        One whose memory is bounded is always a new one: what was left in a used one would count against the limit.
        """
        if self._together is None or self._bounding is None:
            return Cgroup()
        if not memory_bytes:
            return Cgroup(self._take(self._together), spare=self._spare)
        name = str(next(self._numbers))
        folders = [folder for own in {self._together, self._bounding} if (folder := _make(own / name)) is not None]
        bounds = {_bound_memory(folder, memory_bytes) for folder in folders}
        return Cgroup(tuple(folders), True in bounds)

    def _take(self, own: Path) -> tuple[Path, ...]:
        if not self._spare:
            folder = _make(own / str(next(self._numbers)))
            return () if folder is None else (folder,)
        folder = self._spare.popleft()
        _bound_processes(folder)
        for name, thaw in (("cgroup.freeze", "0"), ("freezer.state", "THAWED")):
            _write(folder / name, thaw)
        return (folder,)

    def close(self) -> None:
        for own in self._own:
            _remove(own)


def _make(folder: Path) -> Path | None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError:
        return None
    _bound_processes(folder)
    return folder


def _bound_processes(folder: Path) -> None:
    _write(folder / "pids.max", str(MOST_PROCESSES))


def _entrance(folder: Path) -> str:
    """In version 1 a thread that moves itself need not wait until none of the machine's forks, which takes 10 ms."""
    alone = folder / "tasks"
    return str(alone if alone.exists() else folder / "cgroup.procs")


def _is_as_new(folder: Path) -> bool:
    with suppress(OSError):
        return not _pids(folder) and folder.stat().st_nlink == 2
    return False


def _divisible(root: Path) -> dict[str, Path]:
    """This process's cgroup in each hierarchy where nobody else looks after it, by the hierarchy's controllers.

    One that a service or session manager made is that manager's to divide, unless it says that it has delegated it.
    """
    found: dict[str, Path] = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for mount in _mounts(root, controllers):
            own = mount / path.lstrip("/")
            if (own / "cgroup.procs").exists() and (path == "/" or _is_delegated(own)):
                found.setdefault(controllers, own)
    return found


def _mounts(root: Path, controllers: str) -> tuple[Path, ...]:
    base = root / "sys/fs/cgroup"
    if controllers == "":
        return base / "unified", base
    return (base / controllers,) if controllers in (*_CONTROLLERS, "freezer") else ()


def _is_delegated(folder: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError, AttributeError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def _settle(parent: Path, name: str) -> Path | None:
    """This agent's own group, empty; None where it cannot be made."""
    own = parent / name
    _remove(own)
    try:
        own.mkdir(exist_ok=True)
    except OSError:
        return None
    offered = _text(parent / "cgroup.controllers").split()
    wanted = " ".join(f"+{each}" for each in _CONTROLLERS if each in offered)
    if wanted and not _write(parent / "cgroup.subtree_control", wanted):
        _move_aside(parent, own)  # version 2: who has processes of its own has no controllers for its children
        _write(parent / "cgroup.subtree_control", wanted)
    if wanted:
        _write(own / "cgroup.subtree_control", wanted)
    return own


def _move_aside(parent: Path, own: Path) -> None:
    """Where this process is alone in its cgroup, it makes room in one beside its trials'."""
    if _pids(parent) == [os.getpid()]:
        aside = own.with_name(own.name + "-agent")
        with suppress(OSError):
            aside.mkdir(exist_ok=True)
            _write(aside / "cgroup.procs", "0")


def _bound_memory(folder: Path, memory_bytes: int) -> bool:
    _write(folder / "memory.oom.group", "1")
    for limit, swap, of_swap in (
        ("memory.max", "memory.swap.max", "0"),
        ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", str(memory_bytes)),
    ):
        if _write(folder / limit, str(memory_bytes)):
            _write(folder / swap, of_swap)
            return True
    return False


def _remove(folder: Path, patience_s: float = _PATIENCE_S) -> None:
    """With all that is in it, processes too; what does not die in time stays."""
    until_s = time.monotonic() + patience_s
    folders = [Path(path) for path, _, _ in os.walk(folder, topdown=False)]
    while any(map(_pids, folders)) and time.monotonic() < until_s:
        for each in folders:
            Cgroup((each,)).kill()
        time.sleep(_POLL_S)
    for each in folders:
        with suppress(OSError):
            each.rmdir()


def _pids(folder: Path) -> list[int]:
    return [int(word) for word in _text(folder / "cgroup.procs").split()]


def _pairs(text: str) -> list[list[str]]:
    return [words for line in text.splitlines() if len(words := line.split()) == 2]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> bool:
    """To a file that is there; a cgroup makes none."""
    try:
        descriptor = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(descriptor, text.encode())
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
