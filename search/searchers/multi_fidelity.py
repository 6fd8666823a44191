"""Bayesian optimization over levels of the resource: every rung teaches, the top is what is asked for.

The model takes the resource level as an input beside the configuration, so that reports at low levels, of which there
are many, say what the few at the top cannot: Klein et al. 2020, "Model-based asynchronous hyperparameter and neural
architecture search" (MOBSTER, arXiv 2003.10865, section 3); the use beside successive halving is BOHB's (Falkner et al.
2018, arXiv 1807.01774, algorithm 2), whose share of random configurations is kept too. Departures: expected improvement
is always taken at the maximum level (MOBSTER takes it at the next rung), over the best mean that the model predicts
there, which noise does not fool; levels are shifted to the top by what trials gained from each to the next, one power
straightens the losses of all together, and each level has a noise of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Literal

from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.searchers.bayesian import ACQUISITION, DESIGN, SURROGATE, design_size
from clustertune.search.searchers.foretelling import foretold
from clustertune.search.searchers.past import Known, Past, best_and_others
from clustertune.search.searchers.spread import StandIn, key

if TYPE_CHECKING:
    from clustertune.search.contracts import EarlierExperiment
    from clustertune.search.searchers.model_search import Lesson
    from clustertune.search.searchers.surrogates import Surrogate

_MOST_ROWS = 200
"""A Gaussian process learns from so many reports at most: those at the highest levels first."""

_MOST_ROWS_OF_TREES = 2000

_LARGEST_POWER = 1000
_APART = 10**6

_Report = tuple[Known, int, float]

RANDOM_SHARE: Mapping[str, object] = {
    "doc": "The share of proposals that are drawn at random, whatever the model says: a guard against levels that "
    "mislead it. Default: a tenth where low levels foretell high ones, more the less they do, up to all.",
    "minimum": 0,
    "maximum": 1,
    "examples": [0.2],
}
_LEAST_SHARE = 0.1
_FORETOLD = (0.3, 0.7)
"""Rank correlations from level to level: below the first chance alone proposes, from the second on hardly."""


@dataclass(frozen=True, slots=True)
class MultiFidelityOptions:
    """The model, and how it is used."""

    surrogate: Literal["auto", "gp", "rf", "et", "gbrt"] = field(default="auto", metadata=SURROGATE)
    acquisition: Literal["ei", "lcb", "pi", "hedge"] = field(default="ei", metadata=ACQUISITION)
    initial_points: int | None = field(default=None, metadata=DESIGN)
    random_share: float | None = field(default=None, metadata=RANDOM_SHARE)


class MultiFidelity:
    """Learns from reports at every level which configurations are promising at the highest (as MOBSTER and BOHB)."""

    Options = MultiFidelityOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: MultiFidelityOptions
    ) -> None:
        del initial
        # Heavy, and of no use to whoever only reads the options.
        from clustertune.search.searchers.model_search import ModelSearch

        self._options, self._seed = options, seed
        self._search = search = ModelSearch(space, seed, options.acquisition, self._lesson)
        # Not the points that stand in where nothing is ready: those are tried by then, and proposals would be lost.
        self._chance = StandIn(space, seed + _APART)
        self.created, self.forget, self.observe = search.past.created, search.past.forget, search.observe
        self.observe_all = search.observe_all
        self._has_past = False

    def earlier(self, experiments: Sequence[EarlierExperiment]) -> None:
        """From now on models know what these found. Told before anything else."""
        self._has_past = any(experiment.trials for experiment in experiments)
        self._search.earlier(experiments)

    @staticmethod
    def design(options: MultiFidelityOptions, *, space: Space) -> int:
        """By default two for each parameter, at least 5 and at most 20."""
        return options.initial_points or design_size(space)

    def propose(self, count: int) -> list[Config]:
        """A function of the seed and of what was told."""
        past = self._search.past
        share, found = self._share(past), list[Config]()
        numbers = range(len(past.trials), len(past.trials) + count)
        chance = {number for number in numbers if self._draw(number) < share}
        proposed = iter(self._search.propose(count - len(chance)) if len(chance) < count else ())
        for number in numbers:
            config = None if number in chance else next(proposed, None)
            taken = {key(other) for other in found}
            if config is None or key(config) in taken:
                drawn = self._chance.config(number, past.seen | taken)
                config = drawn if isinstance(drawn, dict) else None
            if config is not None:
                found.append(config)
        return found

    def _share(self, past: Past) -> float:
        """Of chance. Where early losses say nothing of late ones, what a model makes of them is worse than chance: it
        crowds out of the rungs what chance found."""
        if self._options.random_share is not None:
            return self._options.random_share
        from clustertune.search.searchers.scalarization import weigh

        weigh(past)  # of several losses each proposal leaves the one behind that it made of them
        found = foretold(past)
        if found is None:
            # What earlier experiments teach is believed as far as it ranks what is known here: Transfer sees to that.
            return _LEAST_SHARE if self._has_past else 1.0
        low, high = _FORETOLD
        trust = (found - low) / (high - low)
        return 1.0 - (1.0 - _LEAST_SHARE) * min(1.0, max(0.0, trust))

    def _draw(self, number: int) -> float:
        return Random(f"{self._seed}/model/{number}").random()  # noqa: S311 - reproducible, not secret

    def _lesson(self, past: Past) -> Lesson:
        from clustertune.search.searchers.model_search import Lesson

        kind: Surrogate = "gp" if self._options.surrogate == "auto" else self._options.surrogate
        most = _MOST_ROWS if kind == "gp" else _MOST_ROWS_OF_TREES
        reports = sorted(past.finite(), key=lambda report: (-report[1], report[2]))
        worthless = list(past.worthless())[-most // 4 :]
        levels = [level for _, level, _ in reports]
        bottom, top = min(levels, default=1), max([*levels, *(level for _, level in worthless)], default=1)
        reports = self._chosen(reports, most, past.told)
        reached = [*(level for _, level, _ in reports), *(level for _, level in worthless)]
        return Lesson(
            kind=kind,
            taught=[known.config for known, _, _ in reports],
            losses=_aligned(reports),
            worthless=[known.config for known, _ in worthless],
            best=_distinct(reports),
            pending=list(past.pending()),
            levels=[_place(level, bottom, top) for level in reached],
        )

    def _chosen(self, reports: list[_Report], most: int, told: int) -> list[_Report]:
        """From the top level down; of the level that does not fit whole, the best half and chance."""
        if len(reports) <= most:
            return reports
        level = reports[most][1]
        above = [report for report in reports if report[1] > level]
        rest = [report for report in reports if report[1] == level]
        return [*above, *best_and_others(rest, most - len(above), f"{self._seed}/rows/{told}")]


def _aligned(reports: list[_Report]) -> list[float]:
    """Losses as if at the highest level: each level is shifted by how much trials gained from it to the next one.

    The gain is the median over the trials that reported at both: who went further was better from the start, so the
    difference between the levels' own medians would say too much.
    """
    # Where they are huge, in units of a power of two, in which sums of differences stay finite.
    power = max([0, *(math.frexp(loss)[1] - _LARGEST_POWER for _, _, loss in reports)])
    reports = [(known, level, math.ldexp(loss, -power)) for known, level, loss in reports]
    curves: dict[int, dict[int, float]] = {}
    for known, level, loss in reports:
        curves.setdefault(id(known), {})[level] = loss
    levels = sorted({level for _, level, _ in reports})
    shift, shifts = 0.0, dict.fromkeys(levels[-1:], 0.0)
    for low, high in reversed(list(pairwise(levels))):
        gains = [curve[high] - curve[low] for curve in curves.values() if low in curve and high in curve]
        shift += median(gains) if len(gains) > 1 else 0.0
        shifts[low] = shift
    return [loss + shifts[level] for _, level, loss in reports]


def _place(level: int, bottom: int, top: int) -> float:
    """0 at the lowest level, 1 at the highest, even by factors: rungs are."""
    return math.log(max(level, bottom) / bottom) / math.log(top / bottom) if top > bottom else 1.0


def _distinct(reports: list[_Report]) -> list[Config]:
    """Each configuration once, those that reached the highest levels first, the better before the worse."""
    return list({id(known): known.config for known, _, _ in reports}.values())
