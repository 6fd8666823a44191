"""Runs in a tuner's environment: reads which cells to compute, one line of JSON each, and answers each with one.

A cell is one strategy on one task with one seed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
import traceback
from collections.abc import Mapping
from functools import cache
from typing import Any

from benchmarks.search.suite import TASKS, Posed
from benchmarks.search.virtual_time import Clocked


def main() -> None:
    answers = sys.stdout
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):  # what a tuner prints is not an answer
            answer = _answer(json.loads(line))
        print(json.dumps(answer), file=answers, flush=True)


def _answer(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return compute(cell)
    except Exception:
        return {"failed": traceback.format_exc()}


def compute(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """``path`` has each improvement: the share of the compute that was spent by then, and the loss.

    ``idle`` is the share of the slots' time that no trial had; ``deciding_s`` is CPU time.
    """
    posed = _posed(cell["task"])
    task = Clocked(posed.task, time.process_time)
    limit_s = cell["trainings"] * posed.training_s / cell["slots"]
    search = importlib.import_module(f"benchmarks.search.{cell['tuner']}").search
    began = time.process_time()
    course = search(task, cell["options"], slots=cell["slots"], limit_s=limit_s, seed=cell["seed"])
    deciding_s = time.process_time() - began - task.spent_s
    path = [(min(1.0, round(now_s / limit_s, 6)), loss) for now_s, loss in course.path]
    return {
        "path": path,
        "trials": course.trials,
        "reports": course.reports,
        "deciding_s": round(deciding_s, 4),
        "idle": round(course.idle_s / (cell["slots"] * limit_s), 6),
    }


@cache
def _posed(name: str) -> Posed:
    return TASKS[name]()


if __name__ == "__main__":
    main()
