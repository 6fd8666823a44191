"""What a pipe, a log file or a plain terminal gets: one line for each thing worth one."""

from __future__ import annotations

import time

from clustertune.model.snapshot import Event, ExperimentSnapshot
from clustertune.view.progress import progress
from clustertune.view.winning import plain
from clustertune.view.words import duration, one_line

QUIET_KINDS = frozenset({"trial-started"})
"""Kinds of event that are too many to be worth a line each; JSON lines have them all."""


def event_line(event: Event) -> str | None:
    """``14:03:12  text`` in local time; None for what is not worth a line."""
    if event.kind in QUIET_KINDS and event.level == "info":
        return None
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    mark = {"warning": "warning: ", "error": "error: "}.get(event.level, "")
    return f"{clock}  {mark}{one_line(event.text)}"


def progress_line(snapshot: ExperimentSnapshot) -> str:
    """``12/64 trials ended, 2 running, best validation_error 0.0278 (trial 7), 41s``."""
    parts = [progress(snapshot).text, f"{len(snapshot.running)} running"]
    if snapshot.best is not None:
        parts.append(f"{plain(snapshot.best, snapshot.metric, snapshot.front)} (trial {snapshot.best.trial})")
    parts.append(duration(snapshot.elapsed_s))
    if snapshot.problem:
        parts.append(one_line(snapshot.problem))
    if snapshot.waiting:
        parts.append(f"waiting: {one_line(snapshot.waiting)}")
    return ", ".join(parts)
