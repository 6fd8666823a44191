"""How well what trials report at one level foretells what they report at a higher one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import StatisticsError, correlation

from clustertune.search.searchers.past import Past

_STEP = 2.0
"""Levels that are compared are as far apart by this factor at least: neighbours are always alike."""

_FIRST = 30
"""So many trials are looked at for each pair of levels: the first, which chance proposed. Those that a model proposed
later are much like each other, so that what sets them apart is noise."""

_FEWEST = 8
"""Of fewer comparisons in all nothing follows."""


def foretold(past: Past) -> float | None:
    """From -1 to 1: Spearman's rank correlation of levels with the next higher ones, averaged over the trials compared.

    About 1 where who leads early leads late, as in most training; about 0 where early losses are noise, or mislead. 1
    where all trials report at one and the same level, which has nothing to foretell. None while too little is known.
    """
    reports = [known.losses for known in past.trials.values() if known.losses and not known.failed]
    if len(reports) >= _FEWEST and len({level for losses in reports for level in losses}) == 1:
        return 1.0
    compared, total = 0, 0.0
    for low, high in _compared(past):
        ranks = _ranks(low), _ranks(high)
        try:
            total += len(low) * correlation(*ranks)
        except StatisticsError:  # fewer than two, or all the same
            continue
        compared += len(low)
    return total / compared if compared >= _FEWEST else None


def _compared(past: Past) -> Iterator[tuple[list[float], list[float]]]:
    """For each level and the next one far enough above it the losses of the first trials that reported at both."""
    trials = [known.losses for known in past.trials.values() if not known.failed]
    for low, high in pairwise(_spaced(sorted({level for losses in trials for level in losses}))):
        pairs = ((losses[low], losses[high]) for losses in trials if low in losses and high in losses)
        first = [pair for pair in pairs if all(map(math.isfinite, pair))][:_FIRST]
        yield [pair[0] for pair in first], [pair[1] for pair in first]


def _spaced(levels: list[int]) -> list[int]:
    """Where none are that far apart, the lowest and the highest."""
    chosen = levels[:1]
    for level in levels[1:]:
        if level >= _STEP * chosen[-1]:
            chosen.append(level)
    return chosen if len(chosen) > 1 else [*chosen, *levels[1:][-1:]]


def _ranks(losses: list[float]) -> list[float]:
    """Equal losses share the middle of their places."""
    places: dict[float, list[int]] = {}
    for place, loss in enumerate(sorted(losses)):
        places.setdefault(loss, []).append(place)
    return [(places[loss][0] + places[loss][-1]) / 2 for loss in losses]
