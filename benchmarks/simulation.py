"""Results a second of a simulator: ``python simulation.py TUNER TRIALS`` prints its figures as one line of JSON.

ASHA with random search, 64 slots, up to 81 levels of a second each: the same curves for both. Nothing is written.
A result is one report that was decided upon; trials are counted too, because Syne Tune looks for results every five
virtual seconds by default, so that trials that it has stopped run on and report more.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

SLOTS, EPOCHS = 64, 81
RANGES = {"floor": (0.0, 1.0), "height": (0.5, 2.0), "rate": (0.01, 1.0)}


def loss(config: Mapping[str, Any], epoch: int) -> float:
    return float(config["floor"] + config["height"] * math.exp(-config["rate"] * epoch))


def clustertune(trials: int) -> Mapping[str, float]:
    from clustertune.coordinator.simulation.conditions import Conditions, Machine
    from clustertune.coordinator.simulation.simulation import simulate
    from clustertune.definition import ExperimentDefinition

    definition = ExperimentDefinition.from_plain(
        {
            "name": "simulated",
            "run": {"call": "no:thing"},
            "space": {name: {"type": "float", "low": low, "high": high} for name, (low, high) in RANGES.items()},
            "objective": {"metric": "loss"},
            "resource": {"name": "epoch", "max": EPOCHS},
            "scheduler": {"type": "asha", "reduction_factor": 3},
            "searcher": {"type": "random"},
            "trials": trials,
        }
    )
    task: Any = _Curves(definition.space)
    began, used = time.perf_counter(), time.process_time()
    outcome = simulate(definition, task, Conditions(machines=(Machine(slots=SLOTS),)))
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - used
    return _rates(outcome.results, outcome.trials, wall_s, cpu_s)


class _Curves:
    def __init__(self, space: Any) -> None:
        self.space = space

    def curve(self, config: Mapping[str, Any], seed: int) -> Iterator[tuple[int, float, Mapping[str, float]]]:
        del seed
        for epoch in range(1, EPOCHS + 1):
            yield epoch, 1.0, {"loss": loss(config, epoch)}


def syne_tune(trials: int) -> Mapping[str, float]:
    import numpy as np
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository import UserBlackboxBackend
    from syne_tune.blackbox_repository.blackbox import Blackbox
    from syne_tune.config_space import randint, uniform
    from syne_tune.optimizer.baselines import ASHA

    space = {name: uniform(*bounds) for name, bounds in RANGES.items()}
    epochs = np.arange(1, EPOCHS + 1)

    class Curves(Blackbox):  # type: ignore[misc]
        def __init__(self) -> None:
            fidelity = {"epoch": randint(1, EPOCHS)}
            super().__init__(configuration_space=space, fidelity_space=fidelity, objectives_names=["loss", "elapsed"])

        def _objective_function(self, configuration: Any, fidelity: Any = None, seed: Any = None) -> Any:  # noqa: ARG002
            if fidelity is not None:
                return {"loss": loss(configuration, fidelity["epoch"]), "elapsed": float(fidelity["epoch"])}
            return np.stack([np.array([loss(configuration, int(epoch)) for epoch in epochs]), epochs * 1.0], 1)

        @property
        def fidelity_values(self) -> Any:
            return epochs

    logging.getLogger().setLevel(logging.ERROR)
    scheduler = ASHA(space, metric="loss", time_attr="epoch", max_t=EPOCHS, grace_period=1, reduction_factor=3)
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox=Curves(), elapsed_time_attr="elapsed"),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=trials),
        n_workers=SLOTS,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        print_update_interval=1e9,
        results_update_interval=1e9,
        save_tuner=False,
    )
    began, used = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        tuner.run()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - used
    status = tuner.tuning_status
    return _rates(int(status.overall_metric_statistics.count), status.num_trials_started, wall_s, cpu_s)


def _rates(results: int, trials: int, wall_s: float, cpu_s: float) -> dict[str, float]:
    return {
        "results_per_s": results / wall_s,
        "trials_per_s": trials / wall_s,
        "results_per_cpu_s": results / cpu_s,
        "results": results,
        "trials": trials,
        "wall_s": wall_s,
    }


TUNERS: Mapping[str, Callable[[int], Mapping[str, float]]] = {"clustertune": clustertune, "syne-tune": syne_tune}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tuner", choices=TUNERS)
    parser.add_argument("trials", type=int)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    print(json.dumps(TUNERS[chosen.tuner](chosen.trials)))


if __name__ == "__main__":
    main()
