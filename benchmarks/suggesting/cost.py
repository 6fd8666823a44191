"""What a proposal takes of a searcher that has observed so much: ``cost.py SEARCHER OBSERVATIONS`` prints JSON.

Nothing else runs in the process, so that its peak is the searcher's: as in the product it has one thread. ``anew``: the
model is learned from all observations, which happens each time a tenth more was observed; ``next``: only the new one
is taken in.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

LEVELS = (1, 3, 9, 27, 81)
PENDING, NEXT = 4, 3
_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_ROOT = Path(__file__).resolve().parents[2]


def cost(searcher: str, observations: int) -> Mapping[str, float]:
    """In a process of its own: seconds, and megabytes at the peak."""
    command = [sys.executable, "-m", "benchmarks.suggesting.cost", searcher, str(observations)]
    done = subprocess.run(command, cwd=_ROOT, env={**os.environ, **_THREADS}, stdout=subprocess.PIPE, check=True)
    found: Mapping[str, float] = json.loads(done.stdout)
    return found


def _measure(searcher: str, observations: int) -> Mapping[str, float]:
    from benchmarks.search.suite import MIXED
    from clustertune.search.registry import Registry

    made: Any = Registry.default().make_searcher(searcher, {}, space=MIXED, seed=0, initial=())
    draw = Random(0)
    trial = teach(made, MIXED, draw, observations, LEVELS if searcher == "multi-fidelity" else LEVELS[-1:])
    for number in range(trial, trial + PENDING):
        made.created(number, MIXED.from_unit([draw.random() for _ in MIXED.dimensions]))
    anew_s, following_s = _timed(made), []
    for number in range(trial, trial + NEXT):
        made.observe(number, LEVELS[-1], draw.random())
        following_s.append(_timed(made))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"anew_s": anew_s, "next_s": median(following_s), "peak_mb": peak_mb}


def _timed(searcher: Any) -> float:
    began = time.perf_counter()
    if len(searcher.propose(1)) != 1:
        raise SystemExit("it proposed nothing")
    return time.perf_counter() - began


def teach(searcher: Any, space: Any, draw: Random, observations: int, levels: Sequence[int]) -> int:
    """Trials as under asynchronous halving by 3, until there are so many observations; how many trials that took."""
    trial = told = 0
    while told < observations:
        config = space.from_unit([draw.random() for _ in space.dimensions])
        searcher.created(trial, config)
        for level in levels:
            loss = abs(math.log10(config["lr"]) + 2) + config["depth"] / 8 + 1 / level + 0.1 * draw.random()
            searcher.observe(trial, level, loss)
            told += 1
            if told == observations or draw.random() > 1 / 3:
                break
        trial += 1
    return trial


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
