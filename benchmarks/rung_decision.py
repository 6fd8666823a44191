"""One successive-halving decision at a rung that holds many records: ours beside peers'.

Run ``python benchmarks/rung_decision.py``. Ray Tune, Syne Tune and Optuna are measured where they can be imported by
the interpreter that runs this; each is filled with the same losses and asked for decisions one at a time, through the
call that its tuner makes. Filling goes into their records directly, since reporting that many would take them minutes.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib.util
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

Decide = Callable[[float], object]
"""Reports the loss of one trial at the first rung, and waits for the decision: this is what is timed."""

MAX_RESOURCE, REDUCTION_FACTOR = 81, 3


def clustertune(losses: list[float]) -> Iterator[Decide]:
    """A decision for each new trial, after ``losses`` were recorded."""
    from clustertune.search.schedulers.asha import Asha, AshaOptions

    options = AshaOptions(reduction_factor=REDUCTION_FACTOR)
    scheduler = Asha(min_resource=1, max_resource=MAX_RESOURCE, seed=0, options=options)
    for trial, loss in enumerate(losses):
        scheduler.on_report(trial, 1, loss)
    for trial in count(len(losses)):
        scheduler.target(trial)
        yield partial(scheduler.on_report, trial, 1)


def ray_tune(losses: list[float]) -> Iterator[Decide]:
    from ray.tune.schedulers import AsyncHyperBandScheduler

    scheduler = AsyncHyperBandScheduler(
        metric="loss", mode="min", max_t=MAX_RESOURCE, grace_period=1, reduction_factor=REDUCTION_FACTOR
    )
    scheduler._brackets[0]._rungs[-1][1].update({f"filled-{index}": -loss for index, loss in enumerate(losses)})

    def decide(trial: Any, loss: float) -> object:
        return scheduler.on_trial_result(None, trial, {"training_iteration": 1, "loss": loss})

    for number in count():
        trial = SimpleNamespace(trial_id=f"trial-{number}")
        scheduler.on_trial_add(None, trial)
        yield partial(decide, trial)


def syne_tune(losses: list[float]) -> Iterator[Decide]:
    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.baselines import ASHA

    logging.disable(logging.WARNING)
    scheduler = ASHA(
        {"x": uniform(0, 1)}, metric="loss", time_attr="epoch", max_t=MAX_RESOURCE, grace_period=1,
        reduction_factor=REDUCTION_FACTOR,
    )  # fmt: skip
    scheduler.brackets[0].rungs[-1][1].update({-1 - index: {"loss": loss} for index, loss in enumerate(losses)})

    def decide(trial: Any, loss: float) -> object:
        return scheduler.on_trial_result(trial, {"epoch": 1, "loss": loss})

    for number in count():
        trial = Trial(number, {"x": 0.5}, datetime.datetime.now(datetime.UTC))
        scheduler.on_trial_add(trial)
        yield partial(decide, trial)


def optuna(losses: list[float]) -> Iterator[Decide]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=REDUCTION_FACTOR)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(0))
    pruned = optuna.trial.TrialState.PRUNED
    study.add_trials(
        optuna.trial.create_trial(state=pruned, intermediate_values={1: loss}, system_attrs={"completed_rung_0": loss})
        for loss in losses
    )

    def decide(trial: Any, loss: float) -> bool:
        trial.report(loss, 1)
        return bool(trial.should_prune())

    while True:
        trial = study.ask()
        yield partial(decide, trial)
        study.tell(trial, state=pruned)


PEERS: dict[str, tuple[str, Callable[[list[float]], Iterator[Decide]]]] = {
    "Ray Tune": ("ray.tune", ray_tune),
    "Syne Tune": ("syne_tune", syne_tune),
    "Optuna": ("optuna", optuna),
}


def seconds_per_decision(make: Callable[[list[float]], Iterator[Decide]], records: int, decisions: int) -> float:
    """Median over single decisions, the first left out: it may import or allocate."""
    random = Random(0)
    new_trials = make([random.random() for _ in range(records)])
    gc.collect()
    taken = []
    for decide in islice(new_trials, decisions + 1):
        loss, began = random.random(), time.perf_counter()
        decide(loss)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--decisions", type=int, default=1000, help="of ours; peers make a thirtieth of them")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    here = {name: make for name, (module, make) in PEERS.items() if is_here(module)}
    print(f"{'records':>9}  {'tuner':<12} {'per decision':>14}  {'times ours':>10}")
    for records in chosen.records:
        ours = seconds_per_decision(clustertune, records, chosen.decisions)
        print(f"{records:>9,}  {'clustertune':<12} {ours * 1e6:>11.1f} µs  {1:>10}")
        for name, make in here.items():
            theirs = seconds_per_decision(make, records, max(10, chosen.decisions // 30))
            print(f"{records:>9,}  {name:<12} {theirs * 1e6:>11.1f} µs  {theirs / ours:>10,.0f}", flush=True)
    if missing := [name for name in PEERS if name not in here]:
        print(f"not importable here, so not measured: {', '.join(missing)}")


if __name__ == "__main__":
    main()
