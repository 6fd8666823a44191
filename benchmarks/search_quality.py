"""How good what is found is, beside peers: ``python benchmarks/search_quality.py [--quick] [--processes N]``.

Every strategy gets the same tasks, seeds, slots and compute, in virtual time. What was computed is kept, so that a run
that was ended goes on where it was, and only what changed is computed again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import environments

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.search import cells, strategies, suite  # noqa: E402 - found from here on
from benchmarks.search.strategies import Strategy  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
BEST_KNOWN = Path(__file__).resolve().parent / "search" / "best_known.json"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
QUICK = {"seeds": 2, "trainings": 4}
PROGRESS_EVERY_S = 30.0

Answered = tuple[cells.Cell, Mapping[str, Any]]


def main() -> int:
    chosen = _arguments()
    picked = _strategies(chosen)
    tasks = chosen.task or list(suite.QUICK if chosen.quick else suite.TASKS)
    pythons = {name: environments.prepare(name) for name in dict.fromkeys(s.environment for s in picked)}
    with tempfile.TemporaryDirectory(prefix="search-quality-") as folder:
        sources = Path(folder)
        _take_sources(chosen.commit, sources)
        wanted = list(
            cells.cells(
                picked, tasks, seeds=chosen.seeds, slots=chosen.slots, trainings=chosen.trainings, sources=sources
            )
        )
        run = Run(pythons, sources, cells.Cache(cells.cache_folder() / "cells.jsonl"), chosen.minutes)
        answered = run.all(wanted, chosen.processes)
        path = _keep(chosen, picked, tasks, answered)
        command = [str(pythons["clustertune"]), "-m", "benchmarks.search.tell", str(path)]
        told = subprocess.run(command, env=run.environment, cwd=folder, check=False)
    if chosen.remember and told.returncode == 0:
        _remember(path)
    print(f"\n{len(answered)} of {len(wanted)} cells; all numbers: {path}")
    return told.returncode or int(len(answered) < len(wanted))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures what is found for the same compute, beside peers.")
    parser.add_argument("--quick", action="store_true", help="two minutes: shows that it works, says little")
    parser.add_argument("--task", action="append", choices=list(suite.TASKS), metavar="NAME", help="may be repeated")
    parser.add_argument(
        "--only", action="append", metavar="STRATEGY", help="may be repeated; random search is always there"
    )
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="our strategies alone")
    parser.add_argument(
        "--add", action="append", default=[], metavar="NAME=JSON", help="another of ours, as fields of a definition"
    )
    parser.add_argument("--default", default=strategies.DEFAULT.name, help="which of ours is tested against the others")
    parser.add_argument("--seeds", type=int, help="20")
    parser.add_argument("--slots", type=int, default=4, help="trials at once (4)")
    parser.add_argument("--trainings", type=int, help="the compute, in trainings to the highest level (16)")
    parser.add_argument("--processes", type=int, default=1, help="how many cells are computed at once (1)")
    parser.add_argument("--minutes", type=float, help="begin no further cell after so many")
    parser.add_argument("--commit", help="measure the code of this commit, and not that of the working tree")
    parser.add_argument(
        "--remember", action="store_true", help=f"keep the least loss of each task in {BEST_KNOWN.name}"
    )
    chosen = parser.parse_args()
    for name, full in {"seeds": 20, "trainings": 16}.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, QUICK[name] if chosen.quick else full)
    return chosen


def _strategies(chosen: argparse.Namespace) -> Sequence[Strategy]:
    added = [strategies.ours(name, json.loads(text)) for name, _, text in (one.partition("=") for one in chosen.add)]
    known = {s.name: s for s in (*strategies.OURS, *added, *(strategies.PEERS if chosen.peers else ()))}
    names = dict.fromkeys((strategies.RANDOM.name, chosen.default, *(chosen.only or known), *(s.name for s in added)))
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"no such strategy: {', '.join(unknown)}; there are {', '.join(known)}")
    return [strategy for name, strategy in known.items() if name in names]


def _take_sources(commit: str | None, target: Path) -> None:
    if commit is None:
        cells.copy_sources(ROOT, target)
        return
    archive = ["git", "-C", str(ROOT), "archive", commit, *cells.ROOMS]
    packed = subprocess.run(archive, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(target)], input=packed, check=True)


class Run:
    """Threads that each take the next cell and have it computed by a process of their own in its environment."""

    def __init__(self, pythons: Mapping[str, Path], sources: Path, cache: cells.Cache, minutes: float | None) -> None:
        self.environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(sources)}
        self._pythons, self._sources, self._cache = pythons, sources, cache
        self._until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
        self._lock = threading.Lock()
        self._answered: list[Answered] = []
        self._left = 0
        self._told = time.monotonic()

    def all(self, wanted: Sequence[cells.Cell], processes: int) -> Sequence[Answered]:
        """Those that are known or were computed in time, in their order."""
        self._answered = [(cell, known) for cell in wanted if (known := self._cache.get(cell)) is not None]
        missing = [cell for cell in wanted if self._cache.get(cell) is None]
        print(f"{len(self._answered)} cells are known, {len(missing)} to be computed", file=sys.stderr, flush=True)
        waiting: queue.SimpleQueue[cells.Cell] = queue.SimpleQueue()
        for cell in missing:
            waiting.put(cell)
        self._left = len(missing)
        threads = [threading.Thread(target=self._compute, args=(waiting,)) for _ in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        order = {cell.key: place for place, cell in enumerate(wanted)}
        return sorted(self._answered, key=lambda answered: order[answered[0].key])

    def _compute(self, waiting: queue.SimpleQueue[cells.Cell]) -> None:
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

    def _ask(self, running: dict[str, subprocess.Popen[str]], cell: cells.Cell) -> Mapping[str, Any]:
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

    def _note(self, cell: cells.Cell, answer: Mapping[str, Any]) -> None:
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


def _keep(
    chosen: argparse.Namespace, picked: Sequence[Strategy], tasks: Sequence[str], answered: Sequence[Answered]
) -> Path:
    now = datetime.datetime.now(datetime.UTC)
    remembered = json.loads(BEST_KNOWN.read_text()) if BEST_KNOWN.exists() else {}
    lowest = {task: posed.lowest for task in tasks if (posed := suite.TASKS[task]()).lowest is not None}
    raw = {
        "at": now.isoformat(),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "packages": {
            name: environments.REQUIREMENTS.get(name) for name in dict.fromkeys(s.environment for s in picked)
        },
        **{name: getattr(chosen, name) for name in ("seeds", "slots", "trainings", "commit", "default")},
        "random": strategies.RANDOM.name,
        "ours": [s.name for s in picked if s.is_ours],
        "peers": [s.name for s in picked if not s.is_ours],
        "known": remembered | lowest,
        "cells": [
            {
                "task": cell.task,
                "strategy": cell.strategy.name,
                "options": dict(cell.strategy.options),
                "seed": cell.seed,
            }
            | {name: answer[name] for name in ("path", "trials", "reports", "deciding_s")}
            for cell, answer in answered
        ],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"search-quality-{now:%Y-%m-%dT%H-%M-%S}.json"
    path.write_text(json.dumps(raw))
    return path


def _remember(path: Path) -> None:
    """The statistics have the least of what was remembered and what was found now."""
    found = {task: about["best_known"] for task, about in json.loads(path.read_text())["statistics"]["tasks"].items()}
    remembered = json.loads(BEST_KNOWN.read_text()) if BEST_KNOWN.exists() else {}
    BEST_KNOWN.write_text(json.dumps(remembered | found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())
