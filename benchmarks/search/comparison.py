"""From raw numbers to what is told: regrets, mean ranks, tests, losses. Pure, but for scipy's test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from statistics import mean, median
from typing import Any

from benchmarks.search.measures import Path, best_at, holm, mean_ranks, regret, signed_rank_p

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the compute: when what was found is looked at."""

LEVEL = 0.05
"""Of significance."""

MOST_DEFICIT = 0.05
"""Of the value, against random search: more than that and significant is not allowed on any task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """The default against another on one task, at the end: medians of both, and whether the difference is chance.

    ``deficit`` is how much worse the default's median value is, as a share of the other's; negative where it is better.
    """

    task: str
    other: str
    seeds: int
    default_value: float
    other_value: float
    default_regret: float
    other_regret: float
    deficit: float
    p: float
    corrected_p: float = 1.0

    @property
    def lost(self) -> bool:
        return self.default_value > self.other_value

    @property
    def significant(self) -> bool:
        return self.corrected_p < LEVEL


class Comparison:
    """``runs``: the path of each (task, strategy, seed). ``default`` and ``random`` are names of strategies.

    Pairs, ranks and medians are over the seeds that all strategies in question have, so that a run that is not
    complete can be read too.
    """

    def __init__(
        self,
        runs: Mapping[tuple[str, str, int], Path],
        *,
        ours: Sequence[str],
        peers: Sequence[str],
        default: str,
        random: str,
        known: Mapping[str, float],
    ) -> None:
        self.runs, self.peers, self.default, self.random = runs, peers, default, random
        self.ours = ours
        self.tasks = list(dict.fromkeys(task for task, _, _ in runs))
        self._known = known

    @property
    def strategies(self) -> Sequence[str]:
        return [*self.ours, *self.peers]

    @cached_property
    def best_known(self) -> Mapping[str, float]:
        """The least loss of each task: the one handed in, or what anybody found here where that is less."""
        found = {task: self._known.get(task, float("inf")) for task in self.tasks}
        for (task, _, _), path in self.runs.items():
            if path:
                found[task] = min(found[task], path[-1][1])
        return found

    @cached_property
    def reference(self) -> Mapping[str, float]:
        """What random search has at the end: the median over its seeds."""
        return {task: median(self.values(task, self.random, 1.0) or [float("inf")]) for task in self.tasks}

    def seeds(self, task: str, strategies: Iterable[str]) -> Sequence[int]:
        """Those that all of them have."""
        have = [{seed for t, s, seed in self.runs if (t, s) == (task, name)} for name in strategies]
        return sorted(set.intersection(*have)) if have else []

    def values(self, task: str, strategy: str, share: float, seeds: Sequence[int] | None = None) -> list[float]:
        seeds = self.seeds(task, [strategy]) if seeds is None else seeds
        return [best_at(self.runs[task, strategy, seed], share) for seed in seeds]

    def regrets(self, task: str, strategy: str, share: float, seeds: Sequence[int] | None = None) -> list[float]:
        best, reference = self.best_known[task], self.reference[task]
        return [regret(value, best=best, reference=reference) for value in self.values(task, strategy, share, seeds)]

    def field(self, strategy: str) -> Sequence[str]:
        """With whom a strategy is ranked: one of ours, random search and the peers; the default where it is not ours.

        So each of ours is ranked as if it were the default, and having several of them changes nobody's rank.
        """
        one = strategy if strategy in self.ours and strategy != self.random else self.default
        return list(dict.fromkeys((one, self.random, *self.peers)))

    def mean_rank(self, strategy: str, share: float) -> float | None:
        """Over seeds, then over tasks; None where a task has no complete seed: fewer tasks are another mean."""
        field = self.field(strategy)
        by_task = []
        for task in self.tasks:
            rows = [
                {name: best_at(self.runs[task, name, seed], share) for name in field}
                for seed in self.seeds(task, field)
            ]
            if not rows:
                return None
            by_task.append(mean_ranks(rows)[strategy])
        return mean(by_task)

    def complete_seeds(self, strategy: str) -> int:
        """How many seeds a strategy's ranks rest on, on the task that has the fewest."""
        return min((len(self.seeds(task, self.field(strategy))) for task in self.tasks), default=0)

    def mean_regret(self, strategy: str, share: float) -> float | None:
        """The median over seeds, its mean over tasks; None where a task has no seed."""
        found = [self.regrets(task, strategy, share) for task in self.tasks]
        return mean(map(median, found)) if all(found) else None

    def short_of_random(self, strategy: str) -> float | None:
        """The share of runs whose end is worse than that of random search with the same seed; None where there is none.

        Whoever stops trials that would have been good falls short, however long it runs.
        """
        short = [
            own > other
            for task in self.tasks
            for seeds in [self.seeds(task, [strategy, self.random])]
            for own, other in zip(
                self.values(task, strategy, 1.0, seeds), self.values(task, self.random, 1.0, seeds), strict=True
            )
        ]
        return mean(short) if short else None

    @cached_property
    def tests(self) -> Sequence[Tested]:
        """The default against random search and each peer on each task; corrected over all of these together."""
        others = [name for name in (self.random, *self.peers) if name != self.default]
        found = [tested for task, other in product(self.tasks, others) if (tested := self._test(task, other))]
        return [
            Tested(**(asdict(tested) | {"corrected_p": p}))
            for tested, p in zip(found, holm([tested.p for tested in found]), strict=True)
        ]

    def _test(self, task: str, other: str) -> Tested | None:
        seeds = self.seeds(task, [self.default, other])
        if not seeds:
            return None
        ours, theirs = (median(self.values(task, name, 1.0, seeds)) for name in (self.default, other))
        our_regrets, their_regrets = (self.regrets(task, name, 1.0, seeds) for name in (self.default, other))
        return Tested(
            task=task,
            other=other,
            seeds=len(seeds),
            default_value=ours,
            other_value=theirs,
            default_regret=median(our_regrets),
            other_regret=median(their_regrets),
            deficit=(ours - theirs) / abs(theirs) if theirs else ours - theirs,
            p=signed_rank_p(our_regrets, their_regrets),
        )

    def to_plain(self) -> Mapping[str, Any]:
        """For JSON: all that the tables are made of, raw numbers apart."""
        return {
            "default": self.default,
            "random": self.random,
            "tasks": {
                task: {"best_known": self.best_known[task], "reference": self.reference[task]} for task in self.tasks
            },
            "strategies": {
                name: {
                    "mean_rank": {share: self.mean_rank(name, share) for share in SHARES},
                    "mean_regret": {share: self.mean_regret(name, share) for share in SHARES},
                    "short_of_random": self.short_of_random(name),
                    "regret": {
                        task: {share: median(found) for share in SHARES if (found := self.regrets(task, name, share))}
                        for task in self.tasks
                    },
                }
                for name in self.strategies
            },
            "tests": [asdict(tested) for tested in self.tests],
        }
