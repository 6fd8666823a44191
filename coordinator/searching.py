"""Processes of slow searchers: one for each experiment that has one, told what happened, asked for proposals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from typing import Any, Protocol, TypeVar

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.commands import Suggest
from clustertune.coordinator.core.core import Core
from clustertune.model.trial import ExperimentState

_LONGEST_ANSWER_BYTES = 64 * 2**20
_LAST_WORDS_BYTES = 4000
_LEAVE_S = 1.0

log = logging.getLogger(__name__)


class Shell(Protocol):
    """What is asked of the coordinator."""

    core: Core

    def handle(self, event: e.Happening) -> None: ...


class Searching:
    """Carries out ``Suggest``. Nothing here decides anything: what fails is told to the core, which asks again."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._processes: dict[str, _Process] = {}

    async def suggest(self, command: Suggest) -> None:
        """Asks, and hands the answer to the core as an event."""
        name = command.experiment
        try:
            if name not in self._processes:
                definition = self._shell.core.state.experiments[name].definition.to_plain()
                self._processes[name] = await _Process.start(definition)
            configs = await self._processes[name].propose(command)
        except (OSError, ValueError, _SearcherDied) as error:
            on_purpose = name not in self._processes
            await self._end(name)
            self._shell.handle(e.SuggestingFailed(experiment=name, error="" if on_purpose else str(error)))
            return
        self._shell.handle(e.Suggested(experiment=name, known=command.known, configs=tuple(configs)))
        if self._shell.core.state.experiments[name].state is not ExperimentState.RUNNING:
            await self._end(name)

    async def rest(self) -> None:
        """Ends the processes of experiments that do not run any more."""
        experiments = self._shell.core.state.experiments
        for name in list(self._processes):
            if experiments[name].state is not ExperimentState.RUNNING:
                await self._end(name)

    async def close(self) -> None:
        """Ends all of them."""
        for name in list(self._processes):
            await self._end(name)

    async def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            await process.end()


class _SearcherDied(Exception):
    """The process ended, or said what cannot be read."""


class _Process:
    """One searcher, and how much of the past it was told."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._told = process, 0
        self._words = bytearray()
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, definition: dict[str, Any]) -> _Process:
        # One thread: fitting small models in many only makes them slower, and trials want the processors.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "clustertune.coordinator.search_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=env,
            limit=_LONGEST_ANSWER_BYTES,
            start_new_session=True,
        )
        searcher = cls(process)
        await searcher._say(definition)
        return searcher

    async def propose(self, command: Suggest) -> list[Any]:
        """Raises _SearcherDied, ValueError for an answer that is none."""
        await self._say({"told": list(command.told[self._told : command.known]), "count": command.count})
        self._told = command.known
        line = await _opened(self._process.stdout).readline()
        if not line.endswith(b"\n"):
            await self._process.wait()
            await self._listener
            last = self._words.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise _SearcherDied(f"its process ended with {self._process.returncode}: {last[0]}")
        answer = json.loads(line)
        if "error" in answer:
            log.error("a searcher failed: %s", answer.get("traceback", ""))
            raise _SearcherDied(str(answer["error"]))
        configs: list[Any] = answer["configs"]
        return configs

    async def _say(self, message: Any) -> None:
        stdin = _opened(self._process.stdin)
        # What it printed before it died is told when its answer is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stdin.write(json.dumps(message).encode() + b"\n")
            await stdin.drain()

    async def end(self) -> None:
        """It may be in the middle of a long computation: nothing there is worth waiting for."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVE_S):
                await self._process.wait()
                await self._listener

    async def _listen(self) -> None:
        """Keeps the last of what it prints, so that its pipe never fills."""
        while part := await _opened(self._process.stderr).read(65536):
            self._words += part
            del self._words[:-_LAST_WORDS_BYTES]


_Stream = TypeVar("_Stream")


def _opened(stream: _Stream | None) -> _Stream:
    if stream is None:
        raise ValueError("the process was started without a pipe")
    return stream
