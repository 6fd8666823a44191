"""What keeps one attempt's processes together and within its memory, whatever of it this machine offers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from clustertune.agent import processes
from clustertune.agent.cgroup import Cgroup
from clustertune.model.processes import stat
from clustertune.model.units import format_bytes

_SAMPLE_S = 1.0
_PATIENCE_S = 2.0
_POLL_S = 0.002
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_COUNTED = (b"Private_Dirty:", b"Shared_Dirty:", b"SwapPss:")


class Enclosure:
    """Entered by the attempt's first process before its program begins."""

    def __init__(self, cgroup: Cgroup, memory_bytes: int) -> None:
        self._cgroup, self._memory_bytes = cgroup, memory_bytes
        self._watch: asyncio.Task[None] | None = None
        self._exceeded = False

    @property
    def entrances(self) -> list[str]:
        return self._cgroup.entrances

    def begin(self, leader: int, kill: Callable[[], None]) -> None:
        """Where the kernel does not hold the limit, ``kill`` is called once it is found to be exceeded."""
        if self._memory_bytes and not self._cgroup.bounds_memory:
            self._watch = asyncio.ensure_future(self._watch_memory(leader, kill))

    async def _watch_memory(self, leader: int, kill: Callable[[], None]) -> None:
        found = stat(leader)
        parent = found.parent if found is not None else 0
        while not self._exceeded:
            await asyncio.sleep(_SAMPLE_S)
            pids = self._cgroup.pids() or _session(leader)
            if _resident(pids) > self._memory_bytes and used_bytes(pids, parent) > self._memory_bytes:
                self._exceeded = True
                kill()

    def complaint(self) -> str:
        """What to say where the attempt did not keep to its memory; else empty."""
        if self._exceeded or (self._cgroup.bounds_memory and self._cgroup.ran_out_of_memory()):
            return f"used more memory than per_trial.memory ({format_bytes(self._memory_bytes)}) allows"
        return ""

    async def clear(self) -> int:
        """Kills whoever is left; how many did not die in time."""
        if self._watch is not None:
            self._watch.cancel()
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _PATIENCE_S
        while (left := self._cgroup.kill()) and loop.time() < until_s:
            await asyncio.sleep(_POLL_S)
        return left

    def remove(self) -> None:
        self._cgroup.remove()


def _session(leader: int) -> list[int]:
    return [pid for pid in processes.all_pids() if (found := stat(pid)) is not None and found.session == leader]


def _resident(pids: Iterable[int]) -> int:
    """An upper bound that costs little."""
    pages = 0
    for pid in pids:
        with suppress(OSError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
            pages += int(file.read().split()[1])
    return pages * _PAGE_BYTES


def used_bytes(pids: Iterable[int], parent: int) -> int:
    """What these processes hold that is not their parent's, nor mapped files that are only read.

    Of what a warm parent loaded none counts, however many share it: a part for each (Pss) would depend on that.
    What they share among themselves counts once, as far as one of them shares more than the parent has at all.
    """
    found = [_dirty(pid) for pid in pids]
    private = sum(memory.get(b"Private_Dirty:", 0) + memory.get(b"SwapPss:", 0) for memory in found)
    most_shared = max((memory.get(b"Shared_Dirty:", 0) for memory in found), default=0)
    inherited = _dirty(parent)
    if not inherited:
        return private
    return private + max(0, most_shared - inherited[b"Private_Dirty:"] - inherited[b"Shared_Dirty:"])


def _dirty(pid: int) -> dict[bytes, int]:
    """In bytes by the kernel's names; empty where it cannot be read."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        return {(words := line.split())[0]: int(words[1]) * 1024 for line in file if line.startswith(_COUNTED)}
    return {}
