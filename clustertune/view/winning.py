"""How the best is told where several objectives, or metric constraints, decide: by name, with the front. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rich.table import Table
from rich.text import Text

from clustertune.model.snapshot import FrontPoint, Goal
from clustertune.view.words import counted, number, one_line, setting

NONE_KEEPS = "no trial keeps all metric constraints"


class Best(Protocol):
    """What an incumbent and a best trial have in common."""

    @property
    def value(self) -> float: ...
    @property
    def values(self) -> Mapping[str, float]: ...
    @property
    def broken(self) -> Sequence[str]: ...


def lead(best: Best, metric: str, *, front: int = 0, gap: str = " ", named: str = "") -> Text:
    """``best error 0.03``; with a front ``front of 5 trials, compromise error 0.03, latency_ms 12``.

    ``gap`` is what stands before a value that is alone; ``named`` are the first words of one that need not be the best.
    """
    values, style = _values(best, metric), "bold yellow" if best.broken else "bold green"
    line, before = Text(named or title(front, kept=not best.broken)), gap if len(values) == 1 else " "
    for index, (name, value) in enumerate(values.items()):
        line.append(", " if index else " ").append(one_line(name), "bold").append(f"{before}{number(value)}", style)
    return line


def title(front: int, *, kept: bool) -> str:
    """What the values that follow are."""
    if not kept:
        return "nearest to the constraints:"
    return f"front of {counted(front, 'trial')}, compromise" if front else "best"


def plain(best: Best, metric: str, front: int) -> str:
    """The same without colours."""
    shown = ", ".join(f"{one_line(name)} {number(value)}" for name, value in _values(best, metric).items())
    none = f"{NONE_KEEPS}, " if best.broken else ""
    return f"{none}{title(front, kept=not best.broken)} {shown}"


def trouble(best: Best) -> list[Text]:
    """Where no trial keeps all constraints: which of them this one breaks."""
    if not best.broken:
        return []
    return [Text(f"{NONE_KEEPS}; this one: {', '.join(map(one_line, best.broken))}", style="yellow")]


def front_table(points: Sequence[FrontPoint], goals: Sequence[Goal], compromise: int, resource: str) -> Table:
    """From one end of the front to the other; the compromise is marked."""
    arrows = {goal.metric: " ↓" if goal.goal == "minimize" else " ↑" for goal in goals}
    metrics = list(dict.fromkeys([*arrows, *(name for point in points for name in point.values)]))
    names = list(dict.fromkeys(name for point in points for name in point.config))
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for column in ("trial", *(f"{name}{arrows.get(name, '')}" for name in metrics), resource, *names):
        table.add_column(Text(one_line(column)), justify="right", no_wrap=True)
    for point in points:
        chosen = point.trial == compromise
        values = [number(point.values.get(name)) for name in metrics]
        config = [Text(setting(point.config[name]) if name in point.config else "") for name in names]
        row = [
            "*" if chosen else "",
            f"{point.trial}{' failed' if point.failed else ''}",
            *values,
            str(point.resource),
            *config,
        ]
        table.add_row(*row, style="bold green" if chosen else "")
    return table


def _values(best: Best, metric: str) -> Mapping[str, float]:
    return best.values or {metric: best.value}
