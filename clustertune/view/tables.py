"""Tables for commands that print once: experiments, trials, machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from clustertune.model.snapshot import ExperimentSummary, InstanceRow, TrialRow
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
        table.add_row(
            Text(one_line(one.name)),
            *([Text(one_line(one.cluster))] if with_cluster else []),
            Text(one.state.value, style=EXPERIMENT_STYLES[one.state]),
            trials,
            Text(f"{one_line(one.metric)} ({one.goal})"),
            number(one.best),
            duration(one.elapsed_s),
            f"{duration(now - one.created)} ago",
        )
    return table


def instances(rows: Iterable[InstanceRow]) -> Table:
    table = _table("instance", "state", ">cpus", ">memory", ">gpus", ">trials", "problem")
    for row in rows:
        memory = f"{row.memory_bytes / 2**30:.1f} GiB"
        table.add_row(
            Text(one_line(row.instance)), Text(row.state), f"{row.cpus:g}", memory, str(row.gpus),
            str(len(row.attempts)), Text(one_line(row.problem), style="red"),
        )  # fmt: skip
    return table


def trials(rows: Sequence[TrialRow], resource: str) -> Table:
    """Rows as given; a column for each parameter that any of them has, and for the last value where that differs."""
    with_last = any(number(row.last_value) != number(row.value) for row in rows)
    names = list(dict.fromkeys(name for row in rows for name in row.config))
    table = _table(
        ">trial", "state", f">{one_line(resource)}", ">value", *([">last"] if with_last else []), ">time",
        *(f">{one_line(name)}" for name in names),
    )  # fmt: skip
    for row in rows:
        values = [setting(row.config[name]) if name in row.config else "" for name in names]
        table.add_row(
            str(row.trial), Text(row.state.value, style=TRIAL_STYLES[row.state]),
            "-" if row.resource is None else str(row.resource), number(row.value),
            *([number(row.last_value)] if with_last else []), duration(row.elapsed_s), *map(Text, values),
        )  # fmt: skip
    return table


def best_first(rows: Iterable[TrialRow], goal: str) -> list[TrialRow]:
    """Trials with a value, best first; NaN last; ties by trial number."""
    sign = -1.0 if goal == "maximize" else 1.0
    valued = [(sign * row.value, row) for row in rows if row.value is not None]
    return [row for loss, row in sorted(valued, key=lambda pair: (pair[0] != pair[0], pair[0], pair[1].trial))]


def _table(*columns: str) -> Table:
    """A plain table; a column whose name begins with ``>`` is set to the right."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name in columns:
        right = name.startswith(">")
        table.add_column(Text(name.removeprefix(">")), justify="right" if right else "left", no_wrap=True)
    return table
