"""Has cells computed, each in its tuner's environment, several at once; what is known already is not asked for."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.cells import Cache, Cell

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PROGRESS_EVERY_S = 30.0

Answered = tuple[Cell, Mapping[str, Any]]


class Computing:
    """Threads that each take the next cell and have it computed by a process of their own in its environment."""

    def __init__(self, pythons: Mapping[str, Path], sources: Path, cache: Cache, minutes: float | None) -> None:
        self.environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(sources)}
        self._pythons, self._sources, self._cache = pythons, sources, cache
        self._until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
        self._lock = threading.Lock()
        self._answered: list[Answered] = []
        self._left = 0
        self._told = time.monotonic()

    def probe(self, tasks: Sequence[str]) -> Mapping[str, str]:
        """What tells whether a task still answers as it did."""
        command = [str(self._pythons["clustertune"]), "-m", "benchmarks.search.probe", *tasks]
        done = subprocess.run(
            command, cwd=self._sources, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        )
        found: Mapping[str, str] = json.loads(done.stdout)
        return found

    def all(self, wanted: Sequence[Cell], processes: int) -> Sequence[Answered]:
        """Those that are known or were computed in time, in their order."""
        self._answered = [(cell, known) for cell in wanted if (known := self._cache.get(cell)) is not None]
        missing = [cell for cell in wanted if self._cache.get(cell) is None]
        print(f"{len(self._answered)} cells are known, {len(missing)} to be computed", file=sys.stderr, flush=True)
        waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
        for cell in missing:
            waiting.put(cell)
        self._left = len(missing)
        threads = [threading.Thread(target=self._compute, args=(waiting,)) for _ in range(processes)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self._until = 0.0  # what is being computed was interrupted too, and the next is not begun
            raise
        order = {cell.key: place for place, cell in enumerate(wanted)}
        return sorted(self._answered, key=lambda answered: order[answered[0].key])

    def _compute(self, waiting: queue.SimpleQueue[Cell]) -> None:
        running: dict[str, subprocess.Popen[str]] = {}
        try:
            while time.monotonic() < self._until:
                try:
                    cell = waiting.get_nowait()
                except queue.Empty:
                    break
                self._note(cell, self._ask(running, cell))
        finally:
            for process in running.values():
                assert process.stdin is not None
                process.stdin.close()
                process.wait()

    def _ask(self, running: dict[str, subprocess.Popen[str]], cell: Cell) -> Mapping[str, Any]:
        name = cell.strategy.environment
        if name not in running or running[name].poll() is not None:
            running[name] = self._start(name)
        process = running[name]
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(cell.question) + "\n")
            process.stdin.flush()
            answer: Mapping[str, Any] = json.loads(process.stdout.readline() or '{"failed": "the process died"}')
        except BrokenPipeError:
            return {"failed": "the process died"}
        return answer

    def _start(self, name: str) -> subprocess.Popen[str]:
        command = [str(self._pythons[name]), "-m", "benchmarks.search.evaluate"]
        return subprocess.Popen(
            command, cwd=self._sources, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _note(self, cell: Cell, answer: Mapping[str, Any]) -> None:
        with self._lock:
            self._left -= 1
            if "failed" in answer:
                about = f"{cell.strategy.name} on {cell.task}, seed {cell.seed}"
                print(f"{about}: {answer['failed']}", file=sys.stderr, flush=True)
                return
            self._cache.add(cell, answer)
            self._answered.append((cell, answer))
            if time.monotonic() - self._told > PROGRESS_EVERY_S:
                self._told = time.monotonic()
                print(f"{self._left} cells to go", file=sys.stderr, flush=True)
