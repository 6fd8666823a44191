"""What a model-based searcher was told: configurations, losses by level, who is still pending."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from clustertune.model.trial import Config
from clustertune.search.searchers.spread import key

Ranked = TypeVar("Ranked")


@dataclass(slots=True)
class Known:
    """One trial as it was told. ``losses`` by level; not finite where a trial diverged."""

    config: Config
    losses: dict[int, float] = field(default_factory=dict)
    failed: bool = False

    @property
    def pending(self) -> bool:
        return not self.losses and not self.failed

    @property
    def level(self) -> int:
        """The highest level that it reached; 0 for none."""
        return max(self.losses, default=0)


class Past:
    """Keeps the last word on each level of each trial."""

    def __init__(self) -> None:
        self.trials: dict[int, Known] = {}
        self.vectors: dict[tuple[int, int], tuple[tuple[float, ...], float]] = {}
        """By trial and level what was told by ``observe_all``; ``losses`` hold what becomes of that."""
        self.seen: set[str] = set()
        self.told = 0

    def created(self, trial: int, config: Config) -> None:
        self.told += 1
        self.trials[trial] = Known(config)
        self.seen.add(key(config))

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """A loss below the highest level is the trial's value at its end: it is the last word on that highest one."""
        self.told += 1
        known = self.trials[trial]
        level = max(resource, known.level)
        known.losses[level] = loss
        self.vectors.pop((trial, level), None)

    def observe_all(self, trial: int, resource: int, losses: tuple[float, ...], violation: float) -> None:
        """As ``observe``, where a report has several losses, all finite, or constraints to keep."""
        self.observe(trial, resource, 0.0)
        self.vectors[trial, self.trials[trial].level] = losses, violation

    def forget(self, trial: int) -> None:
        self.told += 1
        self.trials[trial].failed = True

    def pending(self) -> Iterator[Config]:
        """Configurations of trials that have said nothing yet."""
        return (known.config for known in self.trials.values() if known.pending)

    def finite(self) -> Iterator[tuple[Known, int, float]]:
        """Every finite loss, with its trial and level; of those that failed nothing counts."""
        for known in self.trials.values():
            if not known.failed:
                yield from ((known, level, loss) for level, loss in known.losses.items() if math.isfinite(loss))

    def worthless(self) -> Iterator[tuple[Known, int]]:
        """Trials that failed, and reports that are not finite, with their levels."""
        for known in self.trials.values():
            if known.failed:
                yield known, known.level
            else:
                yield from ((known, level) for level, loss in known.losses.items() if not math.isfinite(loss))


def best_and_others(ranked: list[Ranked], most: int, seed: str) -> list[Ranked]:
    """At most so many of what is ranked, the best first: the best half of these, and of the others some by chance."""
    if len(ranked) <= most:
        return ranked
    best, others = ranked[: most // 2], ranked[most // 2 :]
    return [*best, *Random(seed).sample(others, most - len(best))]  # noqa: S311 - reproducible, not secret
