"""Tables for commands that print once: experiments, trials, machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from clustertune.model.snapshot import ExperimentSummary, Goal, InstanceRow, TrialRow
from clustertune.view.styles import EXPERIMENT_STYLES, TRIAL_STYLES
from clustertune.view.words import duration, number, one_line, setting


def experiments(summaries: Sequence[ExperimentSummary], now: float) -> Table:
    """Oldest first. ``now`` is in seconds since 1970."""
    with_cluster = len({summary.cluster for summary in summaries}) > 1
    table = _table(
        "experiment", *(["cluster"] if with_cluster else []), "state", ">trials", "metric", ">best", ">ran", ">begun"
    )
    for one in sorted(summaries, key=lambda summary: summary.created):
        trials = f"{one.trials}/{one.limit}" if one.limit else str(one.trials)
        aims = one.objectives or (Goal(one.metric, one.goal),)
        table.add_row(
            Text(one_line(one.name)),
            *([Text(one_line(one.cluster))] if with_cluster else []),
            Text(one.state.value, style=EXPERIMENT_STYLES[one.state]),
            trials,
            Text(", ".join(f"{one_line(goal.metric)} ({goal.goal})" for goal in aims)),
            _best(one),
            duration(one.elapsed_s),
            f"{duration(now - one.created)} ago",
        )
    return table


def _best(one: ExperimentSummary) -> str:
    if one.front:
        return f"front of {one.front}"
    return number(None if one.objectives else one.best) + ("" if one.keeps else ", breaks constraints")


def instances(rows: Iterable[InstanceRow]) -> Table:
    table = _table("instance", "state", ">cpus", ">memory", ">gpus", ">trials", "")
    for row in rows:
        known = row.memory_bytes > 0
        has = (f"{row.cpus:g}", f"{row.memory_bytes / 2**30:.1f} GiB", str(row.gpus)) if known else ("", "", "")
        remark = Text(one_line(row.problem), style="red") if row.problem else Text(one_line(row.doing))
        trials = str(len(row.attempts)) if known else ""
        table.add_row(Text(one_line(row.instance)), Text(row.state), *has, trials, remark)
    return table


def trials(rows: Sequence[TrialRow], resource: str) -> Table:
    """Rows as given; a column for each parameter that any of them has, and for the last value where that differs.

    Where several metrics count, each has a column in place of the value.
    """
    metrics = list(dict.fromkeys(name for row in rows for name in row.values))
    with_last = not metrics and any(number(row.last_value) != number(row.value) for row in rows)
    names = list(dict.fromkeys(name for row in rows for name in row.config))
    worth = [*(metrics or ["value"]), *(["last"] if with_last else [])]
    numbers = (f">{one_line(name)}" for name in (*worth, "time", *names))
    table = _table(">trial", "state", f">{one_line(resource)}", *numbers)
    for row in rows:
        values = [setting(row.config[name]) if name in row.config else "" for name in names]
        counted = [row.values.get(name) for name in metrics] or [row.value, *([row.last_value] if with_last else [])]
        table.add_row(
            str(row.trial), Text(row.state.value, style=TRIAL_STYLES[row.state]),
            "-" if row.resource is None else str(row.resource), *map(number, counted),
            duration(row.elapsed_s), *map(Text, values),
        )  # fmt: skip
    return table


def best_first(rows: Iterable[TrialRow], goal: str) -> list[TrialRow]:
    """Trials with a value, best first; who breaks metric constraints after those, NaN last; ties by trial number."""
    sign = -1.0 if goal == "maximize" else 1.0
    valued = [(sign * row.value, row) for row in rows if row.value is not None]
    ranked = sorted(valued, key=lambda pair: (pair[0] != pair[0], pair[1].violation, pair[0], pair[1].trial))
    return [row for _, row in ranked]


def _table(*columns: str) -> Table:
    """A plain table; a column whose name begins with ``>`` is set to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in columns:
        right = name.startswith(">")
        table.add_column(Text(name.removeprefix(">")), justify="right" if right else "left", no_wrap=True)
    return table
