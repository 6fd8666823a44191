"""Measures Optuna: ``python with_optuna.py WORKLOAD SIZE [--storage KIND]`` prints its figures as one line of JSON.

Optuna runs the objective where ``optimize`` is called: in memory by threads of one process; in a storage on disk by
several processes, each of which runs many trials.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from machine import proportional_bytes
from optuna.storages.journal import JournalFileBackend
from programs import curves
from start_up import beyond_python_ms

Objective = Callable[[optuna.Trial], float]


class Session:
    """A storage of one kind (memory, sqlite or journal) and a log that trials may append to."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._folder, self._kind = folder, kind
        self.log = folder / "log"
        self.log.touch()
        os.environ["BENCHMARK_LOG"] = str(self.log)

    @functools.cached_property
    def _in_memory(self) -> Any:
        return optuna.storages.InMemoryStorage()

    def _storage(self) -> Any:
        if self._kind == "sqlite":
            return f"sqlite:///{self._folder}/study.db"
        if self._kind == "journal":
            return optuna.storages.JournalStorage(JournalFileBackend(f"{self._folder}/journal.log"))
        return self._in_memory

    def study(self, pruner: Any = None) -> optuna.Study:
        return optuna.create_study(
            study_name="measured",
            storage=self._storage(),
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(),
            pruner=pruner or optuna.pruners.NopPruner(),
        )

    def run(self, objective: Objective, trials: int, at_once: int, pruner: Any = None) -> float:
        """Runs all trials; how long they took in seconds."""
        study = self.study(pruner)
        began = time.time()
        if self._kind == "memory":
            study.optimize(objective, n_trials=trials, n_jobs=at_once)
        else:
            self._in_processes(objective, trials // at_once, at_once, pruner)
        return time.time() - began

    def _in_processes(self, objective: Objective, each: int, at_once: int, pruner: Any) -> None:
        def work() -> None:
            self.study(pruner).optimize(objective, n_trials=each)

        fork = multiprocessing.get_context("fork")  # nothing is imported again, which is in Optuna's favour
        processes = [fork.Process(target=work) for _ in range(at_once)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise SystemExit("a process of Optuna's failed")


def no_op(session: Session, trials: int) -> Mapping[str, float]:
    wall_s = session.run(lambda trial: trial.suggest_float("x", 0, 1), trials, 2)
    ended = sum(trial.state.is_finished() for trial in session.study().trials)
    return {"trials_per_s": ended / wall_s, "wall_s": wall_s, "trials": ended}


def memory(session: Session, trials: int) -> Mapping[str, float]:
    session.study().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=trials)
    return {"memory_mb": proportional_bytes([os.getpid()]) / 1e6}


def asha(session: Session, trials: int) -> Mapping[str, float]:
    configs = curves.configs(trials)

    def train(trial: optuna.Trial) -> float:
        loss = float("inf")
        for epoch, loss in curves.epochs(configs[trial.number]):
            trial.report(loss, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    wall_s = session.run(train, trials, curves.AT_ONCE, pruner)
    epochs = session.log.stat().st_size
    return {"overhead": wall_s / curves.ideal_s(epochs), "wall_s": wall_s, "epochs": epochs}


def reports(session: Session, each: int) -> Mapping[str, float]:
    def train(trial: optuna.Trial) -> float:
        for step in range(1, each + 1):
            trial.report(1 / step, step)
        return 0.0

    wall_s = session.run(train, 8, 8)
    kept = sum(len(trial.intermediate_values) for trial in session.study().trials)
    return {"reports_per_s": kept / wall_s, "reports": 8 * each, "lost": 8 * each - kept}


def import_(_: Session, times: int) -> Mapping[str, float]:
    return {"import_ms": beyond_python_ms("import optuna", times)}


WORKLOADS: Mapping[str, Callable[[Session, int], Mapping[str, float]]] = {
    "no-op": no_op,
    "memory": memory,
    "asha": asha,
    "reports": reports,
    "import": import_,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("size", type=int)
    parser.add_argument("--storage", choices=["memory", "sqlite", "journal"], default="memory")
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="optuna-benchmark-") as folder:
        figures = WORKLOADS[chosen.workload](Session(Path(folder), chosen.storage), chosen.size)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
