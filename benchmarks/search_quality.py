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
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import environments

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.search import cells, strategies, suite  # noqa: E402 - found from here on
from benchmarks.search.computing import Answered, Computing  # noqa: E402
from benchmarks.search.strategies import Strategy  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
BEST_KNOWN = Path(__file__).resolve().parent / "search" / "best_known.json"
QUICK = {"seeds": 2, "trainings": 4}


def main() -> int:
    chosen = _arguments()
    picked = _strategies(chosen)
    tasks = chosen.task or list(suite.QUICK if chosen.quick else suite.TASKS)
    pythons = {name: environments.prepare(name) for name in dict.fromkeys(s.environment for s in picked)}
    with tempfile.TemporaryDirectory(prefix="search-quality-") as folder:
        sources = Path(folder)
        _take_sources(chosen.commit, sources)
        computing = Computing(pythons, sources, cells.Cache(cells.cache_folder() / "cells.jsonl"), chosen.minutes)
        wanted = list(
            cells.cells(
                picked,
                computing.probe(tasks),
                seeds=chosen.seeds,
                slots=chosen.slots,
                trainings=chosen.trainings,
                codes={s.name: _code(s, sources) for s in picked},
            )
        )
        answered = computing.all(wanted, chosen.processes)
        path = _keep(chosen, picked, tasks, answered)
        command = [str(pythons["clustertune"]), "-m", "benchmarks.search.tell", str(path)]
        told = subprocess.run(command, env=computing.environment, cwd=folder, check=False)
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


def _code(strategy: Strategy, sources: Path) -> str:
    return cells.code_of(strategy, sources, environments.REQUIREMENTS.get(strategy.environment, ()))


def _take_sources(commit: str | None, target: Path) -> None:
    if commit is None:
        cells.copy_sources(ROOT, target)
        return
    archive = ["git", "-C", str(ROOT), "archive", commit, *cells.ROOMS]
    packed = subprocess.run(archive, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(target)], input=packed, check=True)


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
            | {name: answer[name] for name in ("path", "trials", "reports", "deciding_s", "idle")}
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
