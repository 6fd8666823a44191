"""What ``auto`` means: which searcher and which scheduler suit an experiment, and why.

What is chosen follows from the definition alone, so that it can be read before anything runs. The figures behind the
rules are in docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clustertune.model.space import Space
from clustertune.search.schedulers.ladder import bracket_sizes, rung_levels
from clustertune.search.searchers.bayesian import design_size

_FACTOR = 3

_DESIGNS = 2
"""A model pays where there are this many times as many trials as it needs before its first proposal."""

_ROUNDS = 4
"""A model pays where trials come in so many rounds at least: what runs at once cannot learn from each other."""

_LOOP = 150
"""Brackets take turns within so many trials at most: where levels span a wide range, Hyperband's loop has thousands."""

_TRIED_OUT = 64
"""Without a limit, a space of so many configurations at most is tried out whole."""

_HALVING = frozenset({"asha", "asha-promotion", "async-hyperband", "successive-halving", "hyperband"})
_CHANGING = frozenset({"population-based", "population-based-replay"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """An algorithm by name, with the options that are not its defaults. ``because`` is part of a sentence."""

    type: str
    options: Mapping[str, object] = field(default_factory=dict)
    because: str


def choose_scheduler(*, min_resource: int, max_resource: int | None, trials: int | None) -> Chosen:
    """``trials``: how many there may be at most; None: without limit."""
    if max_resource is None:
        return Chosen(type="fifo", because="without resource.max there are no levels at which to compare trials")
    rungs = len(rung_levels(min_resource, max_resource, _FACTOR))
    if rungs == 0:
        return Chosen(type="fifo", because=f"there is no level between {min_resource} and {max_resource}")
    options: dict[str, object] = {"reduction_factor": _FACTOR, "brackets": rungs + 1}
    loop = min(_LOOP, trials or _LOOP)
    if loop < sum(bracket_sizes(rungs, _FACTOR)):
        options["loop"] = loop
    because = (
        "trials that do worse than others at the same level are stopped; groups of them take turns to be compared "
        "later, or never, lest early values mislead"
    )
    return Chosen(type="asha", options=options, because=because)


def choose_searcher(*, space: Space, trials: int | None, parallel: int | None, scheduler: str, earlier: bool) -> Chosen:
    """``parallel``: how many trials may run at once, where that is limited. ``earlier``: whether there is a past."""
    if space.size is not None and space.size <= (_TRIED_OUT if trials is None else trials):
        return _chance(_all_of(space.size))
    if scheduler in _CHANGING:
        return _chance(f"{scheduler} changes the configurations that it begins with")
    needed = design_size(space) * (1 if earlier else _DESIGNS)
    if trials is not None and trials < needed:
        return _chance(f"too few trials to learn from in this space: {needed} would do")
    if trials is not None and parallel is not None and trials < _ROUNDS * parallel:
        return _chance(f"with {parallel} trials at once, few of {trials} could learn from others")
    if scheduler in _HALVING:
        because = "reports at low levels teach what to try next; where they do not foretell later ones, chance proposes"
        return Chosen(type="multi-fidelity", because=because)
    return Chosen(type="bayesian", because="trials are trained alike, so each is worth choosing well")


def _all_of(size: int) -> str:
    return "there is one configuration" if size == 1 else f"all {size} configurations of this space will be tried"


def _chance(because: str) -> Chosen:
    return Chosen(type="random", because=because)
