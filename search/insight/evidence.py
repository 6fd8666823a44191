"""What trials say about configurations: one loss for each, comparable though they ended at different levels."""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median, median_low

from clustertune.model.errors import Mistake
from clustertune.model.snapshot import TrialRow
from clustertune.model.trial import Config, TrialState

Curve = Mapping[int, float]
"""Losses by level, in order."""

_BAD = (TrialState.FAILED, TrialState.INFEASIBLE)
_OWN_COLUMNS = ("trial", "attempt", "resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One trial's value as a loss, at the level that it reached, and what it was on the way there.

    ``loss`` is infinite where the trial failed, was infeasible, broke a constraint on metrics, or never reported a
    finite value.
    """

    config: Config
    level: int
    loss: float
    curve: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Configurations with their losses as if at the highest level; ``worthless`` ones had none.

    ``early`` trials ended, or are, below the highest level, ``top``; half of all are at ``middle`` or below.
    """

    configs: Sequence[Config]
    losses: Sequence[float]
    worthless: Sequence[Config]
    early: int
    middle: int
    top: int


def told(rows: Iterable[TrialRow], *, metric: str, goal: str, take: str, curves: Mapping[int, Curve]) -> list[Told]:
    """The trials that say something: not those that have yet to report, or were ended before they did.

    ``curves`` hold what was reported of the metric by trial and level, with the user's sign; they may be missing where
    all trials ended at one level. ``take`` says whether a trial stands for its best report or its last.
    """
    sign = -1.0 if goal == "maximize" else 1.0
    found = []
    for row in rows:
        level, value = row.resource or 0, row.values.get(metric) if row.values else row.value
        spoke, known = row.last_value is not None, value is not None and math.isfinite(value)
        if row.state in _BAD or row.violation > 0 or (spoke and not known):
            found.append(Told(config=row.config, level=level, loss=math.inf, curve={}))
        elif value is not None and known:
            curve = _values(curves.get(row.trial, {}), sign, take)
            found.append(Told(config=row.config, level=level, loss=sign * value, curve=curve))
    return found


def _values(reported: Curve, sign: float, take: str) -> Curve:
    """What the trial's value was at each level of a finite report, as a loss."""
    levels = [level for level in sorted(reported) if math.isfinite(reported[level])]
    losses = [sign * reported[level] for level in levels]
    return dict(zip(levels, losses if take == "last" else accumulate(losses, min), strict=True))


def evidence(trials: Sequence[Told]) -> Evidence:
    """Losses shifted to the highest level by what trials gained from each level to the next one.

    The gain between two levels is the median over the trials that reached both. The level is
    no input of the model on purpose: under successive halving the level that a trial reached tells how good it was,
    and would take to itself what is due to the configuration. What matters late only is therefore seen in the trials
    that got there, and nowhere else: where most ended early, this tells of beginnings.
    """
    valued = [trial for trial in trials if math.isfinite(trial.loss)]
    levels = sorted({trial.level for trial in valued})
    top = levels[-1] if levels else 0
    shifts = _shifts(valued, levels)
    return Evidence(
        configs=[trial.config for trial in valued],
        losses=[trial.loss + shifts[trial.level] for trial in valued],
        worthless=[trial.config for trial in trials if not math.isfinite(trial.loss)],
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
        shift += median(gains) if len(gains) > 1 else 0.0
        shifts[low] = shift
    return shifts


def _at(curve: Curve, levels: Sequence[int]) -> Curve:
    """The value at each of ``levels``, from the first report on."""
    reported, found = sorted(curve), dict[int, float]()
    for level in levels:
        if before := bisect_right(reported, level):
            found[level] = curve[reported[before - 1]]
    return found


def read_curves(reports_csv: str, metric: str) -> dict[int, dict[int, float]]:
    """The metric by trial and level, from the text of ``reports.csv``; a level's last report counts.

    Raises Mistake where no trial reported it, with those that were.
    """
    reader = csv.reader(io.StringIO(reports_csv))
    header = next(reader, [])
    column = f"metric.{metric}" if metric in _OWN_COLUMNS else metric
    if column not in header[len(_OWN_COLUMNS) :]:
        reported = ", ".join(name.removeprefix("metric.") for name in header[len(_OWN_COLUMNS) :])
        raise Mistake(f"no trial reported {metric!r}; they reported {reported or 'nothing'}")
    place = header.index(column, len(_OWN_COLUMNS))
    curves: dict[int, dict[int, float]] = {}
    for cells in reader:
        if cells[place]:
            curves.setdefault(int(cells[0]), {})[int(cells[2])] = float(cells[place])
    return curves
