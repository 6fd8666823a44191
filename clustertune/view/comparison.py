"""Strategies side by side: one table, and the best value over compute as lines of dots. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from clustertune.view.dots import character, draw, row_of
from clustertune.view.words import duration, number, one_line

Spread = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""

_STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
_SETTLED = 0.4
"""The values of the first part, when chance rules, do not stretch the plot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRow:
    """``curve``: the best value at each of the plot's amounts of compute, None before there is one."""

    name: str
    best: Spread | None
    compute_s: Spread
    time_s: Spread
    trials: Spread
    curve: Sequence[float | None]


def comparison(rows: Sequence[StrategyRow], metric: str, goal: str) -> Table:
    """In the order given; the best medians are bold."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    names = ("strategy", f">{one_line(metric)} ({goal})", ">quartiles", ">slot time", ">time", ">trials")
    for name in names:
        right = name.startswith(">")
        table.add_column(Text(name.removeprefix(">")), justify="right" if right else "left", no_wrap=True)
    medians = [row.best[1] for row in rows if row.best is not None]
    top = (max if goal == "maximize" else min)(medians, default=None)
    for index, row in enumerate(rows):
        is_best = row.best is not None and row.best[1] == top
        quartiles = "-" if row.best is None else f"{number(row.best[0])} … {number(row.best[2])}"
        table.add_row(
            Text(one_line(row.name), style=_style(index)),
            Text(number(row.best[1] if row.best else None), style="bold" if is_best else ""),
            Text(quartiles), duration(row.compute_s[1]), duration(row.time_s[1]), f"{row.trials[1]:g}",
        )  # fmt: skip
    return table


def best_over_compute(
    rows: Sequence[StrategyRow], first_s: float, last_s: float, *, width: int, height: int = 14
) -> Text:
    """One line a strategy, with its name at the height where it ends. ``width`` and ``height`` are in characters.

    The curves' points lie in equal ratios from ``first_s`` to ``last_s``.
    """
    bounds = _bounds([row.curve for row in rows])
    if bounds is None:
        return Text("no strategy has a best value to plot")
    low, high = bounds
    names = _labels(rows, low, high, height)
    left = max(len(number(low)), len(number(high)))
    across = max(30, width - left - 2 - max((len(name) for name, _ in names.values()), default=0) - 1)
    cells = draw([row.curve for row in rows], low, high, across, height)
    text = Text(no_wrap=True)
    for line in range(height):
        axis = number(high) if line == 0 else number(low) if line == height - 1 else ""
        text.append(f"{axis:>{left}} ", style="dim").append("│", style="dim")
        for bits, owner in cells[line]:
            text.append(character(bits), style=_style(owner))
        if line in names:
            text.append(f" {names[line][0]}", style=_style(names[line][1]))
        text.append("\n")
    begin, end = duration(first_s), duration(last_s)
    title = f"{' slot time (log) ':─^{max(0, across - len(begin) - len(end))}}"
    text.append(f"{'':>{left}} └{begin}{title}{end}", style="dim")
    return text


def _bounds(curves: Sequence[Sequence[float | None]]) -> tuple[float, float] | None:
    settled = [value for curve in curves for value in curve[int(len(curve) * _SETTLED) :] if value is not None]
    if not settled:
        return None
    low, high = min(settled), max(settled)
    margin = (high - low) * 0.02 or abs(high) * 0.02 or 1.0
    return low - margin, high + margin


def _labels(rows: Sequence[StrategyRow], low: float, high: float, height: int) -> dict[int, tuple[str, int]]:
    """Names by line: where the curves end, or on the nearest line that is free."""
    labels: dict[int, tuple[str, int]] = {}
    for index, row in enumerate(rows):
        last = next((value for value in reversed(row.curve) if value is not None), None)
        if last is None:
            continue
        wanted = row_of(last, low, high, height)
        free = [line for line in range(height) if line not in labels]
        if free:
            labels[min(free, key=lambda line: (abs(line - wanted), line))] = one_line(row.name), index
    return labels


def _style(index: int) -> str:
    return _STYLES[index % len(_STYLES)]
