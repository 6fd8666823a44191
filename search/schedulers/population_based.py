"""Population-based training: weak members of a population copy strong ones and change their configuration a little.

Jaderberg et al. 2017, "Population Based Training of Neural Networks" (https://arxiv.org/abs/1711.09846), algorithm 1,
with exploit by truncation selection, and explore by perturbing and resampling. A member is ready at every ``interval``
of the resource. If it is then among the worst ``quantile`` of the population by last report, it ends, and a clone of a
member of the best ``quantile``, drawn at random, takes its place with a changed configuration.

Departures: a member more than an interval behind is no parent, and one that is behind at all none for a clone that
reports for the first time: copying could otherwise lead a population whose losses rise backwards for ever, while so
every second report of a member takes it further. Members that have ended are not ranked. Where there are fewer slots
than members, those ahead pause while others catch up, so that they can be compared. Nobody waits for anybody
otherwise. A member that fails is replaced by a new trial for as long as ``trials`` allows it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from random import Random

from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState
from clustertune.search.contracts import Clone, Decision, Next, ResumeTrial, StartNew, Wait
from clustertune.search.schedulers.explore import explore
from clustertune.search.schedulers.ladder import Rank, maximum_problem, rank

_INTERVALS = 20
"""How often a member is ready on its way to the maximum, where nothing is said."""


@dataclass(frozen=True, slots=True)
class PopulationBasedOptions:
    """The population, and how it learns."""

    population: int = field(
        default=20,
        metadata={
            "doc": "How many trials train side by side. `trials` should be as many, or a few more, which then replace "
            "those that fail; with fewer `trials` the population is smaller.",
            "minimum": 2,
            "examples": [16],
        },
    )
    interval: int | None = field(
        default=None,
        metadata={
            "doc": "How far a trial trains before it is compared again; by default a twentieth of the maximum.",
            "minimum": 1,
            "examples": [5],
        },
    )
    quantile: int | float = field(
        default=0.25,
        metadata={
            "doc": "The share of the population that copies, and the share that is copied.",
            "minimum": 0.01,
            "maximum": 0.5,
            "examples": [0.2],
        },
    )
    resample: int | float = field(
        default=0.25,
        metadata={
            "doc": "How probably a value that is copied is drawn anew, and not moved to a neighbour (numbers: "
            "multiplied by 0.8 or 1.2).",
            "minimum": 0,
            "maximum": 1,
            "examples": [0.1],
        },
    )


@dataclass(slots=True)
class _Member:
    """``rank`` is that of its last report; None for one that has not reported. ``copied``: it is a clone."""

    config: Config
    level: int = 0
    rank: Rank | None = None
    copied: bool = False


class PopulationBased:
    """Trains a population whose weak members copy strong ones (PBT); trials must take checkpoints."""

    Options = PopulationBasedOptions

    def __init__(
        self,
        *,
        space: Space,
        min_resource: int,
        max_resource: int | None,
        seed: int,
        options: PopulationBasedOptions,
    ) -> None:
        if max_resource is None:
            raise ValueError("population-based needs max_resource")
        self._space, self._min, self._max, self._seed = space, min_resource, max_resource, seed
        self._options = options
        self._interval = options.interval or max(1, max_resource // _INTERVALS)
        self._members: dict[int, _Member] = {}
        self._ranks: list[Rank] = []
        self._paused: list[tuple[int, int]] = []  # (level, trial), the one furthest behind first
        self._arrived = 0
        self._no_more = False

    @staticmethod
    def pauses(options: PopulationBasedOptions) -> bool:
        del options
        return True

    @staticmethod
    def problems(
        options: PopulationBasedOptions, *, trials: int | None = None, min_resource: int, max_resource: int | None
    ) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        del min_resource
        problems = maximum_problem("population-based", max_resource)
        few = trials is not None and trials < options.population
        members = options.population if trials is None else min(options.population, trials)
        if int(members * options.quantile) < 1:
            least = f"{options.quantile:g} of {members} trials is less than one, so that none would copy"
            problems.append(("quantile", f"{least}; raise {'trials' if few else 'population'} or quantile"))
        if max_resource is not None and options.interval is not None and options.interval >= max_resource:
            message = f"found {options.interval}, and the maximum is {max_resource}: trials would never be compared"
            problems.append(("interval", message))
        return problems

    def next(self) -> Next:
        """New trials until the population is complete, then whoever is furthest behind of the paused ones."""
        if self._incomplete():
            return StartNew()
        return ResumeTrial(self._paused[0][1]) if self._paused else Wait()

    def on_create(self, trial: int, config: Config) -> None:
        """A member more."""
        self._members[trial] = _Member(config)

    def on_clone(self, parent: int, child: int, resource: int) -> None:
        """It begins where its parent is."""
        del parent
        self._members[child].level, self._members[child].copied = resource, True

    def on_no_more(self) -> None:
        """The population is what there is."""
        self._no_more = True

    def target(self, trial: int) -> int | None:
        """The next multiple of the interval, from the least resource on; the maximum at last."""
        member = self._members.get(trial)
        if member is None or member.level >= self._max:
            return None
        # The first multiple above what it reached, and not below the least resource.
        multiples = max(member.level // self._interval + 1, -(-self._min // self._interval))
        return min(multiples * self._interval, self._max)

    def on_report(self, trial: int, resource: int, loss: float) -> Decision | Clone:
        """A clone of a good one, where this one is among the worst; PAUSE where others are to catch up."""
        member = self._members.get(trial)
        if member is None:
            return Decision.CONTINUE
        first = member.rank is None
        self._rank(member, rank(trial, loss))
        member.level = resource
        if resource >= self._max:
            return Decision.CONTINUE
        parent = self._parent(trial, member, 0 if first and member.copied else self._interval)
        if parent is not None:
            generator = self._generator(trial, resource, "explore")
            config = explore(self._space, self._members[parent].config, generator, self._options.resample)
            self._remove(trial)
            return Clone(parent, config)
        return Decision.PAUSE if self._ahead(resource) else Decision.CONTINUE

    def on_pause(self, trial: int) -> None:
        """It may be resumed from now on."""
        if trial in self._members:
            insort(self._paused, (self._members[trial].level, trial))

    def on_resume(self, trial: int) -> None:
        """It trains again."""
        self._paused = [entry for entry in self._paused if entry[1] != trial]

    def on_end(self, trial: int, state: TrialState) -> None:
        """Its place stays empty, unless it failed."""
        if trial not in self._members:
            return  # it gave its place to a clone
        self._remove(trial)
        self.on_resume(trial)
        if state not in (TrialState.FAILED, TrialState.INFEASIBLE):
            self._arrived += 1

    def _incomplete(self) -> bool:
        return not self._no_more and len(self._members) + self._arrived < self._options.population

    def _ahead(self, level: int) -> bool:
        """Whether somebody who is further behind could have the slot."""
        return self._incomplete() or bool(self._paused and self._paused[0][0] < level)

    def _parent(self, trial: int, member: _Member, behind: int) -> int | None:
        """Whom to copy, at most so far ``behind``: None where the trial is not among the worst, or there is nobody."""
        count = int(len(self._ranks) * self._options.quantile)
        if member.rank is None or bisect_left(self._ranks, member.rank) < len(self._ranks) - count:
            return None
        best = [number for loss, number in self._ranks[:count] if math.isfinite(loss)]
        least = member.level - behind
        candidates = [number for number in best if number != trial and least <= self._members[number].level < self._max]
        return self._generator(trial, member.level, "exploit").choice(candidates) if candidates else None

    def _rank(self, member: _Member, found: Rank | None) -> None:
        if member.rank is not None:
            del self._ranks[bisect_left(self._ranks, member.rank)]
        member.rank = found
        if found is not None:
            insort(self._ranks, found)

    def _remove(self, trial: int) -> None:
        self._rank(self._members.pop(trial), None)

    def _generator(self, trial: int, level: int, purpose: str) -> Random:
        return Random(f"{self._seed}/{purpose}/{trial}/{level}")  # noqa: S311 - reproducible, not secret
