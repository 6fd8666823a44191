"""How far an experiment has come: the bound that it will meet first."""

from __future__ import annotations

from dataclasses import dataclass

from clustertune.model.snapshot import ExperimentSnapshot
from clustertune.model.trial import TrialState
from clustertune.view.words import counted, duration

ENDED = tuple(state.value for state in TrialState if state.ended)


@dataclass(frozen=True)
class Progress:
    """``fraction`` is between 0 and 1, or None where nothing bounds the experiment."""

    fraction: float | None
    text: str


def progress(snapshot: ExperimentSnapshot) -> Progress:
    """By trials or by time, whichever is nearer to its end."""
    waiting = snapshot.counts.get(TrialState.PAUSED.value, 0)
    paused = f", {waiting:,} paused" if waiting else ""
    # One that waits to be promoted has mostly done all that it will.
    by_trials = _share(ended(snapshot) + waiting, snapshot.limit)
    by_time = _share(snapshot.elapsed_s, snapshot.time_limit_s)
    if by_time is not None and snapshot.time_limit_s is not None and (by_trials is None or by_time > by_trials):
        return Progress(by_time, f"{duration(snapshot.elapsed_s)} of {duration(snapshot.time_limit_s)}")
    if by_trials is None:
        return Progress(None, f"{counted(ended(snapshot), 'trial')} ended{paused}")
    return Progress(by_trials, f"{ended(snapshot):,}/{snapshot.limit:,} trials ended{paused}")


def ended(snapshot: ExperimentSnapshot) -> int:
    return sum(snapshot.counts.get(state, 0) for state in ENDED)


def states(snapshot: ExperimentSnapshot) -> str:
    """The trials by state, those states that occur: ``3 running, 12 completed``."""
    found = [
        f"{snapshot.counts[state.value]:,} {state.value}" for state in TrialState if snapshot.counts.get(state.value)
    ]
    return ", ".join(found) or "no trials yet"


def _share(part: float, whole: float | None) -> float | None:
    return min(1.0, part / whole) if whole else None
