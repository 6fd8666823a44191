"""Decides which spawner starts a trial: keeps warm parents, replaces outdated ones, ends idle ones."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clustertune.agent import processes
from clustertune.agent.cgroup import Cgroups
from clustertune.agent.environment import shared_environment
from clustertune.agent.leftovers import Records
from clustertune.agent.spawner_link import CannotStart, SpawnerLink
from clustertune.model.messages import RunSpec

IDLE_S = 60.0
"""Without trials for so long, the memory that a warm parent holds is worth more than its warmth."""

_IDLE_PARENTS = 2
"""So many warm parents without trials are kept, the most recently used: experiments come and go, memory does not."""

_CLOSE_S = 2.0

Key = tuple[object, ...]


@dataclass(frozen=True)
class Place:
    """Who starts a trial and with what environment. ``fresh`` says why a callable gets a process of its own, or ""."""

    spawner: SpawnerLink
    environment: Mapping[str, str]
    interpreter: str
    fresh: str = ""
    first: bool = False


class Nursery:
    """All spawners of this agent."""

    def __init__(self, folder: Path, sdk: Path, records: Records) -> None:
        self._folder, self._sdk, self._records = folder, sdk, records
        self._current: dict[Key, SpawnerLink] = {}
        self._all: dict[SpawnerLink, Key] = {}
        self._unsafe: dict[Key, SpawnerLink] = {}  # ended ones, for what they found
        self._loop = asyncio.get_running_loop()
        self.cgroups = Cgroups(folder)
        self.suspects: set[str] = set()
        """Trials under which a spawner was ended: one of them may have done it, which shows when it is alone."""

    async def place(self, run: RunSpec, cpus: float, alone: str = "") -> Place:
        """A spawner that is ready, and stays until it is released; where ``alone`` names a trial, one for it only.

        May wait for an import to end; cancelling that harms nobody. Raises CannotStart.
        """
        interpreter = _resolve(run.python)
        environment = shared_environment(
            os.environ, run, cpus=cpus, interpreter=interpreter, folder=self._folder, sdk=self._sdk
        )
        if run.call is None:
            return Place(await self._plain(interpreter, alone), environment, interpreter)
        if not Path(run.workdir).is_dir():
            raise CannotStart(f"the working directory {run.workdir} does not exist")
        key = (interpreter, run.workdir, run.call, alone, *sorted(environment.items()))
        if not sys.platform.startswith("linux"):
            fresh, first = f"forking is not safe on {sys.platform}", False
        else:
            known = self._unsafe.get(key)
            warm = known if known is not None and not _has_changed(known.files) else None
            first = warm is None
            warm = warm or await self._warm(key, interpreter, environment, run)
            if not warm.unsafe:
                return Place(warm, environment, interpreter)
            if first:
                first = self._unsafe.get(key) is not warm  # of all that waited for this import
                self._unsafe[key] = warm
                self._retire(warm)
                warm.release()
            fresh = warm.unsafe
        return Place(await self._plain(interpreter, alone), environment, interpreter, fresh, first)

    async def _plain(self, interpreter: str, alone: str) -> SpawnerLink:
        key = (interpreter, alone)
        spawner = self._current.get(key)
        if spawner is None:
            # Commands bring their own environment; the spawner needs what finds it and what marks it.
            own = shared_environment(
                os.environ, RunSpec(workdir=""), cpus=1, interpreter=interpreter, folder=self._folder, sdk=self._sdk
            )
            spawner = self._open(key, interpreter, own, {})
        return await self._ready(spawner)

    async def _warm(self, key: Key, interpreter: str, environment: Mapping[str, str], run: RunSpec) -> SpawnerLink:
        spawner = self._current.get(key)
        if spawner is not None and spawner.ready.done() and _has_changed(spawner.files):
            self._retire(spawner)
            spawner = None
        if spawner is None:
            spawner = self._open(key, interpreter, environment, {"call": str(run.call), "workdir": run.workdir})
        return await self._ready(spawner)

    def _open(
        self, key: Key, interpreter: str, environment: Mapping[str, str], prepare: Mapping[str, str]
    ) -> SpawnerLink:
        # Only the SDK: what else is on the path of this interpreter stays the trial's own affair.
        spawner = SpawnerLink(interpreter, environment, self._sdk, prepare, self._records)
        self._current[key] = spawner
        self._all[spawner] = key

        def forget() -> None:
            self._dismiss(spawner)
            del self._all[spawner]

        spawner.on_end = forget
        spawner.on_idle = self.close_idle
        return spawner

    async def _ready(self, spawner: SpawnerLink) -> SpawnerLink:
        spawner.waiting += 1
        try:
            await asyncio.shield(spawner.ready)
        except BaseException:
            # Closed where it was the last: an import that nobody waits for any more may never end.
            spawner.release()
            raise
        return spawner

    def _retire(self, spawner: SpawnerLink) -> None:
        """No new trials; it is closed when those that it runs are done."""
        self._dismiss(spawner)
        self.close_idle()

    def _dismiss(self, spawner: SpawnerLink) -> None:
        key = self._all.get(spawner, ())
        if self._current.get(key) is spawner:
            del self._current[key]

    def close_idle(self, idle_s: float = IDLE_S) -> None:
        """Ends what nobody uses. To be called now and then; a spawner that becomes idle calls it too."""
        idle = [spawner for spawner in self._all if not spawner.children and not spawner.waiting]
        current = set(self._current.values())
        parents = [each for each in idle if each in current and each.is_warm_parent and each.usable]
        parents.sort(key=lambda parent: parent.idle_since_s, reverse=True)
        superfluous = set(parents[_IDLE_PARENTS:])
        for spawner in idle:
            since_s = self._loop.time() - spawner.idle_since_s
            if spawner not in current or spawner in superfluous or since_s > idle_s or not spawner.usable:
                self._dismiss(spawner)  # at once: until it has ended, nobody must be sent to it
                spawner.close()

    def keep_going(self) -> None:
        """A program may have stopped what started it, and then nobody would hear how it ends. To be called often."""
        for spawner in self._all:
            processes.kill(spawner.pid, signal.SIGCONT)

    async def close(self) -> None:
        """Ends all of them; they are not waited for beyond a moment, since each ends by itself without its agent."""
        spawners = list(self._all)
        for spawner in spawners:
            spawner.close()
        if spawners:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(spawner.ended.wait() for spawner in spawners)), _CLOSE_S)
        self.cgroups.close()


def _resolve(python: str | None) -> str:
    if python is None:
        return sys.executable
    found = shutil.which(Path(python).expanduser())
    if found is None:
        raise CannotStart(f"there is no Python interpreter {python}; `python` in the definition names one that exists")
    return str(Path(found).absolute())  # not resolved: an environment's interpreter is a link


def _has_changed(files: list[tuple[str, int, int]]) -> bool:
    for path, modified_ns, size in files:
        try:
            found = Path(path).stat()
        except OSError:
            return True
        if (found.st_mtime_ns, found.st_size) != (modified_ns, size):
            return True
    return False
