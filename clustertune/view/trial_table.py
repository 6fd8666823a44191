"""Running trials and those that ended last, as the table in the middle of the live view."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from clustertune.model.snapshot import ExperimentSnapshot, TrialRow
from clustertune.view.styles import TRIAL_STYLES
from clustertune.view.words import duration, number, one_line

WIDE = 64
BAR_CELLS = 12


def trial_table(snapshot: ExperimentSnapshot, *, width: int, room: int) -> tuple[Table, int]:
    """A header and at most ``room`` rows, running trials first; and how many running ones found no room."""
    running, recent = snapshot.running, snapshot.recent
    if len(running) > room:
        shown, recent = running[: max(0, room - 1)], ()
    else:
        shown, recent = running, recent[: room - len(running)]
    table = Table(box=None, padding=(0, 2, 0, 0), width=width, show_edge=False, header_style="dim")
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column(Text(one_line(snapshot.resource)), no_wrap=True)
    metrics = [goal.metric for goal in snapshot.objectives]
    for name in (*map(one_line, metrics or ("last", "best")), "time"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, ratio=1, overflow="ellipsis")
    for row in (*shown, *recent):
        table.add_row(*cells(row, snapshot.max_resource, wide=width >= WIDE, metrics=metrics))
    return table, len(running) - len(shown)


def cells(row: TrialRow, max_resource: int | None, *, wide: bool, metrics: Sequence[str] = ()) -> list[Text]:
    """``metrics``: where there are several objectives each has a column; green is who is on the front."""
    style = "dim" if row.state.ended else ""
    values = (row.values.get(name) for name in metrics) if metrics else (row.last_value, row.value)
    worth = "green" if row.front else "yellow" if row.violation > 0.0 else style
    note = row.error or (row.notices[-1] if row.notices else "")
    return [
        Text(str(row.trial), style=style),
        Text(row.state.value, style=TRIAL_STYLES[row.state]),
        reached(row.resource, max_resource, wide=wide, dim=row.state.ended),
        *(Text(number(value), style=worth) for value in values),
        Text(duration(row.elapsed_s), style=style),
        Text(one_line(note), style="red" if row.error else "yellow"),
    ]


def reached(resource: int | None, max_resource: int | None, *, wide: bool, dim: bool) -> Text:
    """How far a trial has come: ``━━━━━━━━  9/27``, or the bare number where nothing bounds it or room is short."""
    if max_resource is None:
        return Text("-" if resource is None else str(resource), style="dim" if dim else "")
    text = f"{resource or 0}/{max_resource}"
    if not wide:
        return Text(text, style="dim" if dim else "")
    full = min(BAR_CELLS, round(BAR_CELLS * (resource or 0) / max_resource))
    line = Text("━" * full, style="bright_black" if dim else "cyan").append("─" * (BAR_CELLS - full), "bright_black")
    return line.append(f" {text}", "dim" if dim else "")
