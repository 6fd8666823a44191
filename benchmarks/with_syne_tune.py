"""Measures Syne Tune: ``python with_syne_tune.py WORKLOAD SIZE`` prints its figures as one line of JSON.

Its local backend, asking every 0.05 s for what happened (by default it asks every 5 s). Times begin with ``run()``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from machine import proportional_bytes
from programs import curves
from start_up import beyond_python_ms

PROGRAM = Path(__file__).resolve().parent / "programs" / "syne_tune_trial.py"
POLL_S = 0.05


class Session:
    """One search: its folder, the log that trials may append to, and what the tuner came to know."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.log.touch()
        os.environ |= {"SYNETUNE_FOLDER": str(folder), "BENCHMARK_LOG": str(self.log)}

    def run(self, scheduler: Any, trials: int, at_once: int) -> tuple[Any, float]:
        """The tuner after its end, and how long it took in seconds."""
        from syne_tune import StoppingCriterion, Tuner
        from syne_tune.backend import LocalBackend

        logging.getLogger().setLevel(logging.ERROR)
        tuner = Tuner(
            trial_backend=LocalBackend(str(PROGRAM)),
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(max_num_trials_started=trials),
            n_workers=at_once,
            sleep_time=POLL_S,
            wait_trial_completion_when_stopping=True,
            print_update_interval=1e6,
        )
        began = time.time()
        with contextlib.redirect_stdout(sys.stderr):
            tuner.run()
        return tuner, time.time() - began


def no_op(session: Session, trials: int) -> Mapping[str, float]:
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.baselines import RandomSearch

    scheduler = RandomSearch({"workload": "no-op", "x": uniform(0, 1)}, metrics=["loss"])
    tuner, wall_s = session.run(scheduler, trials, 2)
    completed = tuner.tuning_status.num_trials_completed
    used = proportional_bytes([os.getpid()])
    return {"trials_per_s": completed / wall_s, "wall_s": wall_s, "trials": completed, "memory_mb": used / 1e6}


def first_line(session: Session, trials: int) -> Mapping[str, float]:
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.baselines import RandomSearch

    decided: list[float] = []

    class Noting(RandomSearch):
        def suggest(self) -> Any:
            decided.append(time.time())
            return super().suggest()

    session.run(Noting({"workload": "first-line", "x": uniform(0, 1)}, metrics=["loss"]), trials, 1)
    began = map(float, session.log.read_text().split())
    taken = [first - decision for first, decision in zip(began, decided, strict=False)]
    return {"first_line_ms": statistics.median(taken) * 1e3, "trials": len(taken)}


def asha(session: Session, trials: int) -> Mapping[str, float]:
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.baselines import ASHA

    space = {"workload": "asha", **{name: uniform(0, 2) for name in ("floor", "height", "rate")}}
    scheduler = ASHA(
        space, metric="loss", time_attr="epoch", max_t=curves.EPOCHS, grace_period=1, reduction_factor=3,
        points_to_evaluate=curves.configs(trials),
    )  # fmt: skip
    _, wall_s = session.run(scheduler, trials, curves.AT_ONCE)
    epochs = session.log.stat().st_size
    return {"overhead": wall_s / curves.ideal_s(epochs), "wall_s": wall_s, "epochs": epochs}


def reports(session: Session, each: int) -> Mapping[str, float]:
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.baselines import RandomSearch

    space = {"workload": "reports", "reports": each, "x": uniform(0, 1)}
    tuner, _ = session.run(RandomSearch(space, metrics=["loss"]), 8, 8)
    began = [float(line) for line in session.log.read_text().split()]
    active_s, sent = time.time() - min(began), each * len(began)  # it starts one trial or two more than it was told
    seen = int(tuner.tuning_status.overall_metric_statistics.count)
    return {"reports_per_s": seen / active_s, "reports": sent, "lost": sent - seen}


def import_(_: Session, times: int) -> Mapping[str, float]:
    return {"import_ms": beyond_python_ms("from syne_tune import Reporter", times)}


WORKLOADS: Mapping[str, Callable[[Session, int], Mapping[str, float]]] = {
    "no-op": no_op,
    "first-line": first_line,
    "asha": asha,
    "reports": reports,
    "import": import_,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("size", type=int)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syne-tune-benchmark-") as folder:
        figures = WORKLOADS[chosen.workload](Session(Path(folder)), chosen.size)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
