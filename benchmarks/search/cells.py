"""Which cells there are, which of them are known already, and of what code: the cache that lets a run go on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.search.strategies import Strategy

ROOMS = ("agent", "benchmarks", "clustertune", "coordinator", "provisioner", "search", "templates")
_NO_SOURCES = ("__pycache__", ".*", "results")

_ALL = ("benchmarks/search/evaluate.py",)
_OURS = (
    "benchmarks/search/ours.py",
    "search",
    "clustertune/definition",
    "clustertune/model",
    "coordinator/core",
    "coordinator/simulation",
)
_PEERS = ("benchmarks/search/virtual_time.py",)
"""The code that a cell's numbers depend on, beside what its task answers: with another, it is another cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One strategy on one task with one seed. ``code`` has the digests of what its numbers depend on."""

    task: str
    strategy: Strategy
    seed: int
    slots: int
    trainings: int
    code: str

    @property
    def question(self) -> Mapping[str, Any]:
        """What the process in the tuner's environment must know."""
        strategy = self.strategy
        about = {"task": self.task, "tuner": strategy.tuner, "options": dict(strategy.options)}
        return about | {"seed": self.seed, "slots": self.slots, "trainings": self.trainings}

    @property
    def key(self) -> str:
        text = json.dumps([self.question, self.code], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def cells(
    strategies: Sequence[Strategy],
    tasks: Mapping[str, str],
    *,
    seeds: int,
    slots: int,
    trainings: int,
    codes: Mapping[str, str],
) -> Iterator[Cell]:
    """Seed by seed, so that what is known early is known of all strategies and tasks.

    ``tasks`` has the digest of what each answers, ``codes`` that of each strategy's code.
    """
    for seed in range(seeds):
        for task, answers in tasks.items():
            for strategy in strategies:
                code = f"{answers} {codes[strategy.name]}"
                yield Cell(task=task, strategy=strategy, seed=seed, slots=slots, trainings=trainings, code=code)


def code_of(strategy: Strategy, sources: Path, requirements: Sequence[str] = ()) -> str:
    """The digest of the files that a strategy's numbers depend on, and of what its environment was made from."""
    named = (*_ALL, *(_OURS if strategy.is_ours else (*_PEERS, f"benchmarks/search/{strategy.tuner}.py")))
    digest = hashlib.blake2b(repr(tuple(requirements)).encode(), digest_size=12)
    for path in _files([sources / name for name in named]):
        digest.update(str(path.relative_to(sources)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(paths: Iterable[Path]) -> Sequence[Path]:
    found = (file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]))
    return sorted({file for file in found if file.suffix == ".py"})


def copy_sources(root: Path, target: Path) -> None:
    """What a run measures is this copy: the checkout may be worked on meanwhile."""
    for room in ROOMS:
        shutil.copytree(root / room, target / room, symlinks=True, ignore=shutil.ignore_patterns(*_NO_SOURCES))


class Cache:
    """A file of lines, to which each computed cell is added; a line that was cut short is passed over."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._known: dict[str, Mapping[str, Any]] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                read = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._known[read["key"]] = read

    def get(self, cell: Cell) -> Mapping[str, Any] | None:
        return self._known.get(cell.key)

    def add(self, cell: Cell, answer: Mapping[str, Any]) -> None:
        """One line, written at once. To be called by one thread at a time."""
        line = {"key": cell.key, "strategy": cell.strategy.name, **cell.question, **answer}
        self._known[cell.key] = line
        with self._path.open("a") as file:
            file.write(f"\n{json.dumps(line)}")


def cache_folder() -> Path:
    """Outside the checkout: what was computed outlives it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clustertune-benchmarks" / "search"
