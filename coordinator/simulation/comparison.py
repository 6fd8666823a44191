"""Strategies side by side: the same task, machines and seeds for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median, quantiles

from clustertune.coordinator.simulation.conditions import Conditions
from clustertune.coordinator.simulation.outcome import Outcome
from clustertune.coordinator.simulation.simulation import simulate
from clustertune.coordinator.simulation.task import Task
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.search.registry import Registry

_WIDEST = 1e4
"""What came before the last part in so many is not looked at."""

_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A way to search: the definition with one searcher and one scheduler."""

    name: str
    definition: ExperimentDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One strategy's outcomes, one a seed."""

    strategy: str
    seeds: Sequence[int]
    outcomes: Sequence[Outcome]

    def spread(self, of: Callable[[Outcome], float | None]) -> tuple[float, float, float] | None:
        """Lower quartile, median and upper quartile over the seeds; None where some have no such number."""
        numbers = [number for number in map(of, self.outcomes) if number is not None]
        if len(numbers) < len(self.outcomes):
            return None
        if len(numbers) == 1:
            return numbers[0], numbers[0], numbers[0]
        lower, middle, upper = quantiles(numbers, n=4, method="inclusive")
        return lower, middle, upper

    def curve(self, compute_s: Sequence[float]) -> list[float | None]:
        """The median over seeds of the best value, after each amount of compute.

        None until all seeds have one, and beyond what any of them took.
        """
        most_s = max(outcome.compute_s for outcome in self.outcomes)
        found: list[float | None] = []
        for at_s in compute_s:
            if at_s > most_s * _ROUNDING:
                found.append(None)
                continue
            values = [value for x in self.outcomes if (value := x.best_at(compute_s=at_s)) is not None]
            found.append(median(values) if len(values) == len(self.outcomes) else None)
        return found


def compare(
    strategies: Sequence[Strategy],
    task: Task,
    conditions: Conditions,
    *,
    seeds: int,
    registry: Registry | None = None,
    told: Callable[[str, int], None] = lambda name, seed: None,  # noqa: ARG005
) -> list[Compared]:
    """Each strategy under each of ``seeds`` seeds, from the definition's own on; the same seeds for all.

    ``told`` hears of each simulation before it begins. Raises SimulationStuck.
    """
    compared = []
    for strategy in strategies:
        first, outcomes = strategy.definition.seed, []
        numbers = range(first, first + seeds)
        for seed in numbers:
            told(strategy.name, seed)
            definition = strategy.definition.model_copy(update={"seed": seed})
            outcomes.append(simulate(definition, task, replace(conditions, seed=seed), registry=registry))
        compared.append(Compared(strategy=strategy.name, seeds=numbers, outcomes=outcomes))
    return compared


def compute_points(compared: Sequence[Compared], count: int) -> list[float]:
    """``count`` amounts of compute, in equal ratios from the first value of any simulation to the end of the last."""
    outcomes = [outcome for one in compared for outcome in one.outcomes]
    most = max((outcome.compute_s for outcome in outcomes), default=0.0)
    first = min((outcome.path[0].compute_s for outcome in outcomes if outcome.path), default=most)
    least = max(first, most / _WIDEST)
    return [least * (most / least) ** (index / (count - 1)) for index in range(count)] if most else [0.0] * count
