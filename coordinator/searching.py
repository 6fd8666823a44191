"""Processes of slow searchers: one for each experiment that has one, told what happened, asked for proposals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.commands import Suggest
from clustertune.coordinator.core.core import Core
from clustertune.model.trial import ExperimentState

_LONGEST_ANSWER_BYTES = 64 * 2**20
_LAST_WORDS_BYTES = 4000
_LEAVE_S = 1.0

_PATIENCE_S = 60.0
_TIMES_LONGEST = 20.0
"""A searcher that has not answered for so long, and for so many times its longest answer so far, hangs."""

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
        self._patience: dict[str, _Patience] = {}
        self.patience_s = _PATIENCE_S
        """At least so long an answer is waited for."""

    async def suggest(self, command: Suggest) -> None:
        """Asks, and hands the answer to the core as an event."""
        name = command.experiment
        patience, process = self._patience.setdefault(name, _Patience()), None
        limit_s = patience.limit_s(self.patience_s)
        try:
            if name not in self._processes:
                definition = self._shell.core.state.experiments[name].definition.to_plain()
                self._processes[name] = await _Process.start(definition)
            process = self._processes[name]
            async with asyncio.timeout(limit_s):
                configs = await process.propose(command)
        except (OSError, ValueError, _SearcherDied) as error:
            on_purpose = process is not None and self._processes.get(name) is not process
            text = str(error)
            if isinstance(error, TimeoutError):
                text = f"it did not answer within {limit_s:.0f} s, and its process was ended"
                patience.in_vain += 1
            if not on_purpose:
                await self._end(name)
            self._shell.handle(e.SuggestingFailed(experiment=name, error="" if on_purpose else text))
            return
        patience.answered(process.took_s if command.count else 0.0)
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


@dataclass(slots=True)
class _Patience:
    """How long an answer of one experiment's searcher may take; kept when its process is begun anew."""

    longest_s: float = 0.0
    in_vain: int = 0

    def limit_s(self, least_s: float) -> float:
        """Twice as long each time that it was in vain: the searcher may be slow and not hang."""
        return float(max(least_s, _TIMES_LONGEST * self.longest_s) * 2**self.in_vain)

    def answered(self, took_s: float) -> None:
        self.longest_s, self.in_vain = max(self.longest_s, took_s), 0


class _SearcherDied(Exception):
    """The process ended, or said what cannot be read."""


class _Process:
    """One searcher, and how much of the past it was told."""

    def __init__(self, process: asyncio.subprocess.Process, definition: dict[str, Any]) -> None:
        self._process, self._told = process, 0
        self._definition: dict[str, Any] | None = definition
        self.took_s = 0.0
        """The last answer."""
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
        return cls(process, definition)

    async def propose(self, command: Suggest) -> list[Any]:
        """Raises _SearcherDied, ValueError for an answer that is none."""
        if self._definition is not None:
            await self._say(self._definition)
            self._definition = None
        began = asyncio.get_running_loop().time()
        await self._say({"told": list(command.told[self._told : command.known]), "count": command.count})
        self._told = command.known
        line = await _opened(self._process.stdout).readline()
        self.took_s = asyncio.get_running_loop().time() - began
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
