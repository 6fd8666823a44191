"""Results as one table of plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from machine import Measured
from workloads import Measurement, Workload

_HEAD = ("tuner", "figure", "ours is better", "to reach", "reached", "other CPU", "note")
_RIGHT = (1, 2, 3, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row: what came of a measurement, or why nothing did."""

    workload: Workload
    measurement: Measurement
    measured: Measured | None = None
    problem: str = ""

    @property
    def figure(self) -> float | None:
        return None if self.measured is None else self.measured.figures[self.workload.figure]

    @property
    def is_ours(self) -> bool:
        return self.measurement.who == "clustertune"

    @property
    def missed(self) -> bool:
        return self.is_ours and (self.figure is None or not self.workload.reached(self.figure))


def render(results: Sequence[Result]) -> str:
    """All workloads, ours first in each; ``ours is better`` below 1 means that the peer is."""
    rows: list[Sequence[str] | str] = [_HEAD]
    for workload in dict.fromkeys(result.workload for result in results):
        rows.append(f"{workload.name}: {workload.title}")
        its = [result for result in results if result.workload is workload]
        ours = next((result.figure for result in its if result.is_ours), None)
        rows.extend(_row(result, ours) for result in its)
    return "\n".join(_aligned(rows))


def _row(result: Result, ours: float | None) -> Sequence[str]:
    workload, measured, figure = result.workload, result.measured, result.figure
    if measured is None or figure is None:
        return result.measurement.who, "failed", "", "", "no" if result.is_ours else "", "", result.problem
    better = "" if result.is_ours or ours is None else f"{_number(workload.times_better(ours, figure))}x"
    goal = f"{_number(workload.to_reach)} {workload.unit}" if result.is_ours else ""
    reached = ("no" if result.missed else "yes") if result.is_ours else ""
    shown = f"{_number(figure)} {workload.unit}"
    return result.measurement.who, shown, better, goal, reached, f"{measured.other_cpus:.2f}", result.measurement.note


def _number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _aligned(rows: Iterable[Sequence[str] | str]) -> Iterable[str]:
    rows = list(rows)
    widths = [
        max(len(cell) for cell in cells) for cells in zip(*(r for r in rows if not isinstance(r, str)), strict=True)
    ]
    for row in rows:
        if isinstance(row, str):
            yield f"\n{row}"
            continue
        cells = [
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
