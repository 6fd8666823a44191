"""The statistics: what was found by when, regret, ranks, paired tests and their correction. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from statistics import mean

WORST = 10.0
"""Regret is not counted beyond this: ten times as far from the best as random search at the end, or no value yet."""

Path = Sequence[tuple[float, float]]


def best_at(path: Path, share: float) -> float:
    """The best loss reported by this share of the compute; infinite before the first."""
    found = bisect_right([at for at, _ in path], share + 1e-9)
    return path[found - 1][1] if found else math.inf


def regret(value: float, *, best: float, reference: float) -> float:
    """0 at the best loss that is known, 1 at ``reference``, at most WORST."""
    if value <= best:
        return 0.0
    # Where random search finds the best itself, all that is not the best is infinitely far from it.
    return min(WORST, (value - best) / (reference - best)) if reference > best else WORST


def ranks(values: Mapping[str, float]) -> dict[str, float]:
    """1 for the least; those that are equal share the mean of their places."""
    ordered = sorted(values.values())
    first = {value: ordered.index(value) for value in set(ordered)}
    return {name: first[value] + (ordered.count(value) + 1) / 2 for name, value in values.items()}


def mean_ranks(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each one's rank over rows of the same names."""
    ranked = [ranks(row) for row in rows]
    return {name: mean(row[name] for row in ranked) for name in rows[0]} if rows else {}


def signed_rank_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on pairs (Wilcoxon 1945); 1 where no pair differs."""
    from scipy.stats import wilcoxon

    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if not any(differences):
        return 1.0
    return float(wilcoxon(differences).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given (Holm 1979, "A simple sequentially rejective multiple test procedure").

    The k-th least of m, from 0, is multiplied by m - k; none is less than one before it, or more than 1.
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - place)))
        adjusted[index] = highest
    return adjusted
