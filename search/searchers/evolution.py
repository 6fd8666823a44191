"""Regularized evolution: good configurations have children that differ in one value, and everyone grows old.

Real, Aggarwal, Huang and Le 2019, "Regularized evolution for image classifier architecture search" (AAAI 33,
arXiv 1802.01548), algorithm 1: a population of the P newest; S members drawn from it, the best of which becomes the
parent; its mutated child joins the population, and the oldest member leaves it, however good. That forgets those who
were merely lucky. Departures:

- It is asynchronous: a trial joins with its first report, and P counts who joined, in the order in which they did.
- The paper mutates architectures. Here one parameter is changed: a choice to another of its values, anything else by a
  normal step in the unit interval that its scale maps to, of one of several lengths, so that it both explores and
  settles. Parameters that the change makes active are drawn, those that it makes inactive are left out.
- A trial's fitness is its loss at the highest level that it reached. Losses of different levels are not compared: who
  was left behind at a level that others passed ranks below all who were not, and among those the higher level comes
  first. A scheduler that halves has compared them already, on equal terms, at the levels that both reached.
- What was tried is not tried again, and what constraints forbid is drawn anew.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from clustertune.model.parameters import Choice, Ordinal
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig
from clustertune.search.searchers.past import Known, Past
from clustertune.search.searchers.spread import StandIn, key

_STEPS = (0.3, 0.1, 0.03, 0.01)
"""Lengths of a mutation, in units of the cube: standard deviations."""

_CHILDREN = 64
"""So many children are drawn before chance proposes instead."""


@dataclass(frozen=True, slots=True)
class EvolutionOptions:
    """The sizes of population and sample."""

    population: int = field(
        default=16,
        metadata={
            "doc": "How many of the newest trials may become parents (P). So many configurations come first that are "
            "spread over the space.",
            "minimum": 2,
            "maximum": 10_000,
            "examples": [50],
        },
    )
    sample: int = field(
        default=8,
        metadata={
            "doc": "How many members compete to become a parent (S): more make it greedier.",
            "minimum": 1,
            "maximum": 10_000,
            "examples": [3],
        },
    )


class Evolution:
    """Changes one value of a good recent configuration at a time (regularized evolution); quick, without a model."""

    Options = EvolutionOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: EvolutionOptions
    ) -> None:
        self._space, self._seed, self._options = space, seed, options
        self._chance = StandIn(space, seed, initial)
        self._past = Past()
        self._population: deque[int] = deque()
        self._joined: set[int] = set()
        self._passed: set[int] = set()

    def suggest(self, trial: int) -> Config | NoConfig:
        """A function of the seed, the trial's number, and what was created and observed. Microseconds to milliseconds.

        EXHAUSTED after the last of a finite space.
        """
        if trial >= self._options.population and self._population:
            generator = Random(f"{self._seed}/evolution/{trial}")  # noqa: S311 - reproducible, not secret
            for attempt in range(_CHILDREN):
                child = self._mutated(self._parent(generator), generator, 1 + attempt // 16)
                if key(child) not in self._past.seen and self._space.allows(child):
                    return child
        return self._chance.config(trial, self._past.seen)

    def created(self, trial: int, config: Config) -> None:
        """There is such a trial, whoever proposed it."""
        self._past.created(trial, config)

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """It joins the population, and the oldest leaves; a loss that is not finite takes it out."""
        known = self._past.trials[trial]
        further = not known.losses or resource > known.level
        if known.losses and further:
            self._passed.add(known.level)
        self._past.observe(trial, resource, loss)
        if not math.isfinite(loss):
            self._leave(trial)
        elif further and trial not in self._joined:
            self._joined.add(trial)
            self._population.append(trial)
            if len(self._population) > self._options.population:
                self._population.popleft()

    def forget(self, trial: int) -> None:
        """It failed: it is nobody's parent."""
        self._past.forget(trial)
        self._leave(trial)

    def _leave(self, trial: int) -> None:
        """It may come back where it reports something better than nothing at a higher level."""
        self._joined.discard(trial)
        if trial in self._population:
            self._population.remove(trial)

    def _parent(self, generator: Random) -> Config:
        sample = generator.choices(self._population, k=self._options.sample)
        return self._past.trials[min(sample, key=self._rank)].config

    def _rank(self, trial: int) -> tuple[float, float, int]:
        """Smaller is better."""
        known: Known = self._past.trials[trial]
        left_behind = known.level in self._passed
        return (-known.level if left_behind else -math.inf), known.losses[known.level], trial

    def _mutated(self, parent: Config, generator: Random, changes: int) -> Config:
        """The parent with ``changes`` of its values changed, at most."""
        active = [name for name in self._space.dimensions if name in parent]
        changed = set(generator.sample(active, min(changes, len(active))))
        step = generator.choice(_STEPS)
        kept = {
            name: self._moved(name, value, step, generator) if name in changed else value
            for name, value in parent.items()
        }
        return self._space.fill(kept, [generator.random() for _ in self._space.dimensions])

    def _moved(self, name: str, value: Value, step: float, generator: Random) -> Value:
        parameter = self._space.parameters[name]
        if isinstance(parameter, Choice) and not isinstance(parameter, Ordinal):
            return generator.choice([other for other in parameter.values if repr(other) != repr(value)])
        if parameter.count is not None:
            # By one value at least, on average, where there are few.
            step = max(step, 1.0 / parameter.count)
        return parameter.at(_reflected(parameter.unit(value) + generator.gauss(0.0, step)))


def _reflected(unit: float) -> float:
    """Back into [0, 1) from beyond an end, as far inside as it was outside."""
    folded = unit % 2.0
    return min(folded if folded <= 1.0 else 2.0 - folded, math.nextafter(1.0, 0.0))
