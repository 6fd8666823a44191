"""The live view: one snapshot on one screen, whatever its size. Pure: snapshot in, lines out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from clustertune.model.snapshot import Event, ExperimentSnapshot, Incumbent
from clustertune.model.trial import ExperimentState
from clustertune.view.ending import nothing_best
from clustertune.view.progress import progress
from clustertune.view.styles import EXPERIMENT_STYLES, LEVEL_STYLES
from clustertune.view.trial_table import trial_table
from clustertune.view.winning import lead
from clustertune.view.winning import title as title_of_best
from clustertune.view.winning import trouble as broken
from clustertune.view.words import counted, duration, number, one_line, settings

NARROWEST = 20
CONFIG_LINES = 4
TROUBLE_LINES = 4


def screen(
    snapshot: ExperimentSnapshot, *, width: int, height: int, events: Sequence[Event] = (), hint: str = ""
) -> RenderableType:
    """At most ``height`` lines of at most ``width`` cells.

    ``events`` are recent ones, oldest first: the last warnings and errors among them are shown. ``hint`` is the last
    line. Where there is little room, ended trials go first, then running ones.
    """
    width = max(width, NARROWEST)
    top = [title(snapshot, width), progress_line(snapshot, width), *incumbent(snapshot, width, CONFIG_LINES)]
    bottom = trouble(snapshot, events)
    if hint:
        bottom.append(Text(hint, style="dim"))
    room = height - len(top) - len(bottom) - 3  # two blank lines and the table's header
    if room < 1:
        return Group(*_cut([*top, *bottom][:height], width))
    table, left_out = trial_table(snapshot, width=width, room=room)
    more = [Text(f"… {left_out} more running", style="dim")] if left_out else []
    return Group(*_cut(top, width), Text(), table, *more, Text(), *_cut(bottom, width))


def title(snapshot: ExperimentSnapshot, width: int) -> Text:
    line = Text(one_line(snapshot.name), style="bold")
    line.append(f"  {snapshot.state.value}", EXPERIMENT_STYLES[snapshot.state])
    line.append(f"  {duration(snapshot.elapsed_s)}", "not bold")
    used = f"{snapshot.slots_used}/{snapshot.slots} slots"
    return _spread(line, Text(f"{used}  {snapshot.scheduler}  {snapshot.searcher}", style="dim"), width)


def progress_line(snapshot: ExperimentSnapshot, width: int) -> Text:
    now = progress(snapshot)
    counts = f"{now.text}  {counted(snapshot.reports, 'report')}"
    room = width - len(counts) - 2
    if now.fraction is None or room < 8:
        return Text(counts)
    return bar(now.fraction, room).append(f"  {counts}")


def bar(fraction: float, cells: int) -> Text:
    full = round(max(0.0, min(1.0, fraction)) * cells)
    return Text("━" * full, style="green").append("─" * (cells - full), "bright_black")


def incumbent(snapshot: ExperimentSnapshot, width: int, config_lines: int) -> list[Text]:
    """The best value so far, and the configuration it came of in at most ``config_lines`` lines."""
    metric = one_line(snapshot.metric)
    if snapshot.best is None:
        none = nothing_best(snapshot) if snapshot.reports or snapshot.state.ended else "none yet"
        names = ", ".join(map(one_line, snapshot.wanted)) or metric
        return [Text("front " if snapshot.objectives else "best ").append(names, "bold").append(f"  {none}", "dim")]
    best = snapshot.best
    values = packed([f"{one_line(name)} {number(value)}" for name, value in best.values.items()], width, 2)
    for line in values:
        line.stylize("bold yellow" if best.broken else "bold green")
    config = packed(settings(best.config), width, config_lines)
    return [_best_line(snapshot, best), *values, *broken(best), *config]


def trouble(snapshot: ExperimentSnapshot, events: Sequence[Event]) -> list[Text]:
    """What stands in the way, then the last warnings; nothing when all is well."""
    lines = []
    if snapshot.problem:
        lines.append(Text(one_line(snapshot.problem), style=LEVEL_STYLES["error"]))
    if snapshot.waiting and snapshot.state is ExperimentState.RUNNING:
        lines.append(Text(f"waiting: {one_line(snapshot.waiting)}", style=LEVEL_STYLES["warning"]))
    if snapshot.reason and snapshot.state is not ExperimentState.RUNNING:
        lines.append(Text(one_line(snapshot.reason), style=EXPERIMENT_STYLES[snapshot.state]))
    said = [text for text in (snapshot.problem, snapshot.waiting, snapshot.reason) if text]
    warnings = [event for event in events if event.level != "info" and not any(text in event.text for text in said)]
    warnings = warnings[-max(1, TROUBLE_LINES - len(lines)) :]
    return lines + [Text(f"! {one_line(event.text)}", style=LEVEL_STYLES[event.level]) for event in warnings]


def packed(items: Sequence[str], width: int, lines: int) -> list[Text]:
    """Items side by side, on as few lines as will do; those that do not fit are counted at the end."""
    rows: list[list[str]] = []
    for item in items:
        if rows and _width([*rows[-1], item]) <= width:
            rows[-1].append(item)
        else:
            rows.append([item])
    left_out = sum(map(len, rows[lines:]))
    rows = rows[:lines]
    while left_out and len(rows[-1]) > 1 and _width([*rows[-1], f"… {left_out} more"]) > width:
        rows[-1].pop()
        left_out += 1
    if left_out:
        rows[-1].append(f"… {left_out} more")
    return [Text("  " + "  ".join(row)) for row in rows]


def _width(row: Sequence[str]) -> int:
    return sum(len(item) + 2 for item in row)


def _best_line(snapshot: ExperimentSnapshot, best: Incumbent) -> Text:
    several = bool(best.values)
    head = Text(title_of_best(snapshot.front, kept=not best.broken))
    line = head if several else lead(best, snapshot.metric, gap="  ")
    return line.append(f"{' ' if several else '  '}trial {best.trial}, {one_line(snapshot.resource)} {best.resource}")


def _spread(left: Text, right: Text, width: int) -> Text:
    gap = width - left.cell_len - right.cell_len
    return left.append(" " * gap).append_text(right) if gap >= 2 else left


def _cut(lines: Sequence[Text], width: int) -> list[Text]:
    for line in lines:
        line.truncate(width, overflow="ellipsis")
        line.no_wrap = True
    return list(lines)
