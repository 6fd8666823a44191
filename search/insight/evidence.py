"""What trials say about configurations: one loss for each, comparable though they ended at different levels."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from statistics import median, median_low

from clustertune.model.snapshot import TrialRow
from clustertune.model.trial import Config, TrialState
from clustertune.search.insight.curves import Curve


class Fault(StrEnum):
    """Why a trial is worth nothing, in the words that follow a number of trials."""

    FAILED = "failed"
    INFEASIBLE = "ended infeasible"
    BROKE = "broke a metric constraint"
    DIVERGED = "had no finite value"


_ENDED_BADLY = {TrialState.FAILED: Fault.FAILED, TrialState.INFEASIBLE: Fault.INFEASIBLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One trial's value as a loss, at the level that it reached, and what it was on the way there.

    ``loss`` is infinite where the trial is worth nothing; ``fault`` says why.
    """

    config: Config
    level: int
    loss: float
    curve: Curve
    fault: Fault = Fault.DIVERGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Configurations with their losses as if at the highest level; ``worthless`` ones had none, by their ``faults``.

    ``early`` trials ended, or are, below the highest level, ``top``; half of those with a loss are at ``middle`` or
    below.
    """

    configs: Sequence[Config]
    losses: Sequence[float]
    worthless: Sequence[Config]
    faults: Mapping[Fault, int]
    early: int
    middle: int
    top: int


def told(rows: Iterable[TrialRow], *, metric: str, goal: str, take: str, curves: Mapping[int, Curve]) -> list[Told]:
    """The trials that say something: not those that have yet to report, or were ended before they did.

    ``curves`` hold the losses that were reported, by trial and level; they may be missing where all trials ended at one
    level. ``take`` says whether a trial stands for its best report or its last.
    """
    sign = -1.0 if goal == "maximize" else 1.0
    found = []
    for row in rows:
        level, value = row.resource or 0, row.values.get(metric) if row.values else row.value
        if fault := _fault(row, value):
            found.append(Told(config=row.config, level=level, loss=math.inf, curve={}, fault=fault))
        elif value is not None:
            curve = _values(curves.get(row.trial, {}), take)
            found.append(Told(config=row.config, level=level, loss=sign * value, curve=curve))
    return found


def _fault(row: TrialRow, value: float | None) -> Fault | None:
    if row.state in _ENDED_BADLY:
        return _ENDED_BADLY[row.state]
    if row.violation > 0:
        return Fault.BROKE
    spoke = value is not None or row.last_value is not None
    return Fault.DIVERGED if spoke and (value is None or not math.isfinite(value)) else None


def _values(reported: Curve, take: str) -> Curve:
    """What the trial's value was from each level on, as a loss."""
    levels = sorted(reported)
    losses = [reported[level] for level in levels]
    return dict(zip(levels, losses if take == "last" else accumulate(losses, min), strict=True))


def evidence(trials: Sequence[Told]) -> Evidence:
    """Losses shifted to the highest level by what trials gained from each level to the next one.

    The gain between two levels is the median over the trials that reached both, and kept all constraints on metrics
    at both. The level is no input of the model on purpose: under successive halving the level that a trial reached
    tells how good it was, and would take to itself what is due to the configuration. What matters late only is
    therefore seen in the trials that got there, and nowhere else: where most ended early, this tells of beginnings.
    """
    valued = [trial for trial in trials if math.isfinite(trial.loss)]
    faults = Counter(trial.fault for trial in trials if not math.isfinite(trial.loss))
    levels = sorted({trial.level for trial in valued})
    top = levels[-1] if levels else 0
    shifts = _shifts(valued, levels)
    return Evidence(
        configs=[trial.config for trial in valued],
        losses=[_finite(trial.loss + shifts[trial.level]) for trial in valued],
        worthless=[trial.config for trial in trials if not math.isfinite(trial.loss)],
        faults={fault: faults[fault] for fault in Fault if fault in faults},
        early=sum(trial.level < top for trial in valued),
        middle=median_low(trial.level for trial in valued) if valued else 0,
        top=top,
    )


def _shifts(trials: Sequence[Told], levels: Sequence[int]) -> Mapping[int, float]:
    """By level, from the top down; a gain that fewer than two trials can tell is taken to be none."""
    reached = [(trial.level, _at(trial.curve, levels)) for trial in trials]
    shift, shifts = 0.0, dict.fromkeys(levels[-1:], 0.0)
    for low, high in reversed(list(pairwise(levels))):
        gains = [known[high] - known[low] for level, known in reached if level >= high and low in known]
        finite = [gain for gain in gains if math.isfinite(gain)]
        shift += median(finite) if len(finite) > 1 else 0.0
        shifts[low] = shift
    return shifts


def _at(curve: Curve, levels: Sequence[int]) -> Curve:
    """The value at each of ``levels``, from the first report on."""
    reported, found = sorted(curve), dict[int, float]()
    for level in levels:
        if before := bisect_right(reported, level):
            found[level] = curve[reported[before - 1]]
    return found


def _finite(loss: float) -> float:
    """Sums of huge numbers may pass the largest there is."""
    return max(-sys.float_info.max, min(sys.float_info.max, loss))
