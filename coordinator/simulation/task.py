"""What stands in for training: a function of configuration and resource, or curves that were recorded.

It needs the standard library and the search space only, so that other tuners can be given the very same work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

from clustertune.model.space import Space
from clustertune.model.trial import Config, Value

Step = tuple[int, float, Mapping[str, float]]
"""A resource level, the seconds that it took on a machine of speed 1 since the level before, and what was reported."""

_LONGEST_STEP_S = 1e9
_WORD = 2**64 - 1
_NORMAL = NormalDist()


class Crashed(Exception):
    """The simulated program fails here, and reports no more."""


class Infeasible(Exception):
    """The simulated program says here that its configuration cannot be used, and reports no more."""


class Task(Protocol):
    """What is tuned. Everything is a function of the arguments: the same call gives the same answer.

    One that does not know why trials crash has ``tells_why = False``: its crashes are never taken for one and the same.
    """

    @property
    def space(self) -> Space: ...

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        """The reports of a trial, level by level. May raise Crashed, or Infeasible, where the program would."""
        ...


class Benchmark(Protocol):
    """What can be asked for any level at once, for tuners that are driven without curves; smaller is better."""

    @property
    def space(self) -> Space: ...

    @property
    def metric(self) -> str: ...

    @property
    def max_resource(self) -> int: ...

    @property
    def lowest(self) -> float | None:
        """The least loss that any configuration reaches at the highest level, where it is known: for regret."""
        ...

    def loss(self, config: Config, resource: int, seed: int) -> float:
        """What a trial reports at this level: NaN or infinite where it diverged."""
        ...

    def step_s(self, config: Config) -> float:
        """Seconds from one level to the next."""
        ...


@dataclass(frozen=True, slots=True)
class Climb:
    """A benchmark as a task: its trials report every level from 1 on, each as long as the others."""

    benchmark: Benchmark
    sign: float = 1.0

    @property
    def space(self) -> Space:
        return self.benchmark.space

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        benchmark, step_s = self.benchmark, self.benchmark.step_s(config)
        for resource in range(1, benchmark.max_resource + 1):
            yield resource, step_s, {benchmark.metric: self.sign * benchmark.loss(config, resource, seed)}


def check_step(seconds: float) -> None:
    """Raises ValueError where it is not how long a step may take."""
    if not 0 < seconds <= _LONGEST_STEP_S:
        raise ValueError(f"step_seconds is a number above 0, and at most {_LONGEST_STEP_S:g}, found {seconds:g}")


def key_of(config: Mapping[str, Value], *more: object) -> int:
    """64 bits from a configuration: the same in every process."""
    text = repr((sorted(config.items()), more))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def uniform(key: int, number: int) -> float:
    """The ``number``-th of a sequence of independent numbers in (0, 1) that ``key`` begins (SplitMix64).

    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 17.
    """
    z = (key + (number + 1) * 0x9E3779B97F4A7C15) & _WORD
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _WORD
    return ((z ^ (z >> 31)) + 0.5) / 2**64


def normal(key: int, number: int) -> float:
    """As ``uniform``, normally distributed with mean 0 and deviation 1."""
    # Half a unit below 1 rounds to 1 itself, which has no quantile.
    return _NORMAL.inv_cdf(min(uniform(key, number), 1 - 2**-53))
