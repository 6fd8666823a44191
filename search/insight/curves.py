"""What trials reported on the way, read from ``reports.csv`` as losses: which reports count, and for what."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustertune.model.errors import Mistake

Curve = Mapping[int, float]
"""Losses by level, in order; infinite where a report broke a constraint on metrics."""

_OWN_COLUMNS = ("trial", "attempt", "resource")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A constraint on a metric, with the user's sign: it must lie from ``low`` to ``high``."""

    metric: str
    low: float = -math.inf
    high: float = math.inf


def read_curves(
    reports_csv: str, *, metric: str, goal: str = "minimize", bounds: Sequence[Bound] = ()
) -> dict[int, dict[int, float]]:
    """The metric's losses by trial and level; a level's last report counts.

    A report that breaks one of the ``bounds`` is infinite, for its trial was worth nothing then. One that lacks a
    metric, or where one is not finite, does not count. Raises Mistake where no trial reported a metric, with those that
    were.
    """
    reader = csv.reader(io.StringIO(reports_csv))
    header = next(reader, [])
    place, sign = _place(header, metric), -1.0 if goal == "maximize" else 1.0
    bounded = [(_place(header, bound.metric), bound) for bound in bounds]
    curves: dict[int, dict[int, float]] = {}
    for cells in reader:
        value, limited = _number(cells[place]), [(_number(cells[at]), bound) for at, bound in bounded]
        if not all(map(math.isfinite, (value, *(found for found, _ in limited)))):
            continue
        kept = all(bound.low <= found <= bound.high for found, bound in limited)
        curves.setdefault(int(cells[0]), {})[int(cells[2])] = sign * value if kept else math.inf
    return curves


def _place(header: Sequence[str], metric: str) -> int:
    """The metric's column; one of a name that the file needs itself has another there."""
    column = f"metric.{metric}" if metric in _OWN_COLUMNS else metric
    if column not in header[len(_OWN_COLUMNS) :]:
        reported = ", ".join(name.removeprefix("metric.") for name in header[len(_OWN_COLUMNS) :])
        raise Mistake(f"no trial reported {metric!r}; they reported {reported or 'nothing'}")
    return header.index(column, len(_OWN_COLUMNS))


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan
