"""What a warm start gains or costs: ``python benchmarks/warm_start.py [--quick] [--seeds N] [--keep FILE]``.

In virtual time, with our own core: an experiment on a task that is the same as an earlier one's, shifted a little,
another member of its family, or the reverse, with what the earlier one knew and without. Figures are ratios of the
regret with to the regret without, over seeds: below 1 the warm start gained, above 1 it cost.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.outcome import Outcome
from clustertune.coordinator.simulation.simulation import Simulation
from clustertune.coordinator.simulation.task import Benchmark, Step
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.coordinator.simulation.tasks.hartmann import Hartmann
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.space import Space
from clustertune.model.trial import Config

EARLIER_TRIALS, TRIALS, SLOTS = 60, 40, 2
POINTS = (0.25, 0.5, 1.0)
"""After which shares of the compute regrets are compared."""

LEAST_REGRET = 5e-3
LOOKED_AT = 2000
"""Where the least loss is not known, it is the least of so many configurations drawn at random."""

SHIFT = 0.08
"""Of the range of each number."""

FAR = 0.45
RELATIONS = ("the same", "shifted", "another", "reversed")
SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "decay": {"type": "float", "low": 0.0, "high": 1.0},
    "momentum": {"type": "float", "low": 0.0, "high": 1.0},
    "solver": {"type": "choice", "values": ["sgd", "adam", "lamb"]},
}


@dataclass(frozen=True, slots=True)
class Related:
    """A benchmark moved along every number, or upside down."""

    benchmark: Benchmark
    shift: float = 0.0
    reversed: bool = False

    @property
    def space(self) -> Space:
        return self.benchmark.space

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        moved = self._moved(config)
        for level in range(1, self.benchmark.max_resource + 1):
            loss = self.benchmark.loss(moved, level, seed)
            yield level, 1.0, {"loss": 4.0 - loss if self.reversed else loss}

    def _moved(self, config: Config) -> Config:
        unit = [min(max(u + self.shift, 0.0), 1.0 - 1e-9) for u in self.space.to_unit(config)]
        moved = self.space.from_unit(unit)
        return {name: moved[name] if isinstance(moved[name], float) else config[name] for name in config}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A task and a way to search."""

    name: str
    searcher: str
    scheduler: str
    levels: int
    hartmann: bool

    def benchmark(self, number: int) -> Benchmark:
        if self.hartmann:
            return Hartmann(dimensions=6, max_resource=self.levels)
        space = self.definition("any", 0, TRIALS).space
        return Curves(space=space, number=number, max_resource=self.levels)

    def definition(self, name: str, seed: int, trials: int, warm_start: Sequence[str] = ()) -> ExperimentDefinition:
        numbers = {f"x{n}": {"type": "float", "low": 0.0, "high": 1.0} for n in range(6)}
        return ExperimentDefinition.from_plain(
            {
                "name": name,
                "run": {"call": "no:thing"},
                "space": numbers if self.hartmann else SPACE,
                "objective": {"metric": "loss"},
                "resource": {"name": "epoch", "max": self.levels},
                "scheduler": {"type": self.scheduler},
                "searcher": {"type": self.searcher},
                "trials": trials,
                "warm_start": list(warm_start),
                "seed": seed,
            }
        )


SETTINGS = {
    setting.name: setting
    for setting in (
        Setting(name="hartmann6 random", searcher="random", scheduler="fifo", levels=1, hartmann=True),
        Setting(name="hartmann6 bayesian", searcher="bayesian", scheduler="fifo", levels=1, hartmann=True),
        Setting(name="curves random", searcher="random", scheduler="asha", levels=27, hartmann=False),
        Setting(name="curves bayesian", searcher="bayesian", scheduler="asha", levels=27, hartmann=False),
        Setting(name="curves multi-fidelity", searcher="multi-fidelity", scheduler="asha", levels=27, hartmann=False),
    )
}


def measure(name: str, seed: int) -> Mapping[str, Any]:
    """Best values after each share of the compute: without a warm start, and with one from each relation."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    warnings.simplefilter("ignore")
    setting = SETTINGS[name]
    benchmark = setting.benchmark(seed)
    sources = {
        "the same": Related(benchmark),
        "shifted": Related(benchmark, shift=SHIFT),
        "another": Related(setting.benchmark(seed + 1000), shift=FAR if setting.hartmann else 0.0),
        "reversed": Related(benchmark, reversed=True),
    }
    conditions = Conditions(machines=(Machine(slots=SLOTS),), seed=seed)
    plain = Simulation(setting.definition("new", seed, TRIALS), Related(benchmark), conditions).run()
    found = {"none": _values(plain, plain)}
    for relation in RELATIONS:
        earlier = Simulation(setting.definition("old", seed + 500, EARLIER_TRIALS), sources[relation], conditions)
        earlier.run()
        warm = Simulation(
            setting.definition("new", seed, TRIALS, ["old"]),
            Related(benchmark),
            conditions,
            earlier=[earlier.experiment],
        )
        found[relation] = _values(warm.run(), plain)
    return {"setting": name, "seed": seed, "lowest": _lowest(benchmark), "values": found}


def _lowest(benchmark: Benchmark) -> float:
    if benchmark.lowest is not None:
        return benchmark.lowest
    draw, space = Random(0), benchmark.space
    configs = (space.from_unit([draw.random() for _ in space.dimensions]) for _ in range(LOOKED_AT))
    losses = (benchmark.loss(config, benchmark.max_resource, 0) for config in configs)
    return min(loss for loss in losses if math.isfinite(loss))


def _values(outcome: Outcome, yardstick: Outcome) -> list[float]:
    """The same compute for both, as shares of what the search without a warm start took."""
    values = [outcome.best_at(compute_s=share * yardstick.compute_s) for share in POINTS]
    return [math.inf if value is None else value for value in values]


def tell(measured: Sequence[Mapping[str, Any]]) -> None:
    shares = "  ".join(f"{share:>22.0%}" for share in POINTS)
    print(f"regret with a warm start / without, geometric mean (quartiles)\n{'':36}{shares}")
    for name in SETTINGS:
        mine = [one for one in measured if one["setting"] == name]
        for relation in RELATIONS if mine else ():
            cells = [_ratios(mine, relation, point) for point in range(len(POINTS))]
            print(f"{name:24}{relation:12}" + "  ".join(cells))


def _ratios(measured: Sequence[Mapping[str, Any]], relation: str, point: int) -> str:
    logs = []
    for one in measured:
        values, lowest = one["values"], one["lowest"]
        warm, cold = (max(values[name][point] - lowest, LEAST_REGRET) for name in (relation, "none"))
        logs.append(math.log(warm / cold))
    middle = math.exp(fmean(logs))
    low, _, high = (math.exp(q) for q in quantiles(logs, n=4, method="inclusive")) if len(logs) > 1 else (middle,) * 3
    return f"{middle:8.2f} ({low:.2f}-{high:.2f})".rjust(22)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds: shows that it works, says little")
    parser.add_argument("--seeds", type=int, help="10, or 2 where it is to be quick")
    parser.add_argument("--only", action="append", choices=list(SETTINGS), help="may be repeated")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a file for all values; what it holds already is not computed again")
    chosen = parser.parse_args()
    names = chosen.only or (["hartmann6 random", "curves random"] if chosen.quick else list(SETTINGS))
    seeds = range(chosen.seeds or (2 if chosen.quick else 10))
    wanted = [(name, seed) for seed in seeds for name in names]
    kept = chosen.keep.read_text().splitlines() if chosen.keep is not None and chosen.keep.exists() else []
    measured = [one for one in map(json.loads, kept) if (one["setting"], one["seed"]) in wanted]
    done = [(one["setting"], one["seed"]) for one in measured]
    with ProcessPoolExecutor(chosen.processes) as pool:
        waiting = [pool.submit(measure, *one) for one in wanted if one not in done]
        for one in as_completed(waiting):
            measured.append(one.result())
            if chosen.keep is not None:
                with chosen.keep.open("a") as file:
                    file.write(json.dumps(measured[-1]) + "\n")
    tell(measured)


if __name__ == "__main__":
    main()
