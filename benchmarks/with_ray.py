"""Measures Ray Tune: ``python with_ray.py WORKLOAD SIZE [--reuse]`` prints its figures as one line of JSON.

Times begin with ``Tuner.fit()``; starting Ray is told apart. ``--reuse`` runs trials in processes that ran others.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Workers import this folder's programs too, and the old console output is the quicker one.
os.environ |= {"PYTHONPATH": str(Path(__file__).resolve().parent), "RAY_AIR_NEW_OUTPUT": "0"}

import ray
from machine import descendants, proportional_bytes
from programs import curves
from ray import tune
from ray.tune.search import Searcher
from start_up import beyond_python_ms


class Ends(tune.Callback):
    """When Ray Tune knew of each trial's end, in seconds since 1970."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:  # noqa: ARG002
        self.at.append(time.time())


class Decisions(Searcher):
    """Proposes, so many times, the time at which it was asked."""

    def __init__(self, times: int) -> None:
        super().__init__(metric="loss", mode="min")
        self._left = times

    def suggest(self, trial_id: str) -> Any:  # noqa: ARG002
        if not self._left:
            return Searcher.FINISHED
        self._left -= 1
        return {"decided": time.time()}

    def on_trial_complete(self, *arguments: Any, **options: Any) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class Session:
    """Ray with so many CPUs, a folder for its results, and a log that trials may append to."""

    def __init__(self, folder: Path, *, reuse: bool) -> None:
        self._folder, self._reuse = folder, reuse
        self.log = folder / "log"
        self.log.touch()
        self.ends = Ends()
        self.began = self.start_s = 0.0

    def fit(self, program: Callable[[dict[str, Any]], None], at_once: int, space: Any = None, **options: Any) -> float:
        """Runs a search to its end; from ``fit()`` to the last end that Ray Tune knew of, in seconds."""
        before = time.time()
        environment = {"BENCHMARK_LOG": str(self.log)}
        ray.init(
            num_cpus=at_once, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
            configure_logging=False, runtime_env={"env_vars": environment}, _temp_dir=str(self._folder / "ray"),
        )  # fmt: skip
        self.began = time.time()
        self.start_s = self.began - before
        tuner = tune.Tuner(
            program,
            param_space=space,
            tune_config=tune.TuneConfig(
                metric="loss", mode="min", max_concurrent_trials=at_once, reuse_actors=self._reuse, **options
            ),
            run_config=tune.RunConfig(storage_path=str(self._folder), verbose=0, callbacks=[self.ends]),
        )
        tuner.fit()
        return self.ends.at[-1] - self.began


def no_op(session: Session, trials: int) -> Mapping[str, float]:
    def train(config: dict[str, Any]) -> None:
        tune.report({"loss": config["x"]})

    wall_s = session.fit(train, 2, {"x": tune.uniform(0, 1)}, num_samples=trials)
    used = proportional_bytes([os.getpid(), *descendants(os.getpid())])
    return {"trials_per_s": len(session.ends.at) / wall_s, "wall_s": wall_s, "memory_mb": used / 1e6}


def first_line(session: Session, trials: int) -> Mapping[str, float]:
    def train(config: dict[str, Any]) -> None:
        import sklearn.datasets
        import sklearn.neural_network  # noqa: F401

        now = time.time()
        with open(os.environ["BENCHMARK_LOG"], "a") as log:
            print(now - config["decided"], file=log)
        tune.report({"loss": 0.0})

    session.fit(train, 1, num_samples=-1, search_alg=Decisions(trials))
    first, *taken = map(float, session.log.read_text().split())
    return {"first_line_ms": statistics.median(taken) * 1e3, "first_trial_ms": first * 1e3, "trials": 1 + len(taken)}


def asha(session: Session, trials: int) -> Mapping[str, float]:
    def train(config: dict[str, Any]) -> None:
        for _, loss in curves.epochs(config["curve"]):
            tune.report({"loss": loss})

    scheduler = tune.schedulers.ASHAScheduler(max_t=curves.EPOCHS, grace_period=1, reduction_factor=3)
    space = {"curve": tune.grid_search(curves.configs(trials))}
    wall_s = session.fit(train, curves.AT_ONCE, space, scheduler=scheduler)
    epochs = session.log.stat().st_size
    return {"overhead": wall_s / curves.ideal_s(epochs), "wall_s": wall_s, "epochs": epochs}


def reports(session: Session, each: int) -> Mapping[str, float]:
    def train(config: dict[str, Any]) -> None:
        with open(os.environ["BENCHMARK_LOG"], "a") as log:
            print(time.time(), file=log)
        for step in range(config["reports"]):
            tune.report({"loss": 1 / (step + 1)})

    session.fit(train, 8, {"reports": each, "x": tune.uniform(0, 1)}, num_samples=8)
    active_s = session.ends.at[-1] - min(map(float, session.log.read_text().split()))
    return {"reports_per_s": 8 * each / active_s, "reports": 8 * each}


def import_(_: Session, times: int) -> Mapping[str, float]:
    return {"import_ms": beyond_python_ms("from ray import tune", times)}


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
    parser.add_argument("--reuse", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        session = Session(Path(folder), reuse=chosen.reuse)
        figures = WORKLOADS[chosen.workload](session, chosen.size)
        ray.shutdown()
    print(json.dumps({**figures, "start_s": session.start_s}))


if __name__ == "__main__":
    main()
