"""Decides how an attempt ended, from what was seen and what was asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from clustertune.agent.spawner_link import Exit, signal_name
from clustertune.model.trial import EndReason

_SIGKILL = 9
_MAX_TRACEBACK_CHARS = 64_000
_PYTHON_TRACEBACK = "Traceback (most recent call last):"


class Asked(Enum):
    """Who wanted the attempt to end."""

    STOP = "stopped"
    PAUSE = "paused"
    TIME = "time"


@dataclass(frozen=True)
class Conclusion:
    """The part of an Ending that is a judgement."""

    reason: EndReason
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Seen:
    """``outcome`` is what a callable said about itself; ``log_tail`` the last of the output."""

    exit: Exit
    outcome: Mapping[str, str] = field(default_factory=dict)
    log_tail: str = ""


def conclude(seen: Seen, asked: Asked | None, trial_time_s: float | None) -> Conclusion:
    """What was asked of an attempt goes before how it then ended: a program may end in any way when told to."""
    if asked is Asked.STOP:
        return Conclusion(EndReason.STOPPED)
    if asked is Asked.PAUSE:
        return Conclusion(EndReason.PAUSED)
    if asked is Asked.TIME:
        return Conclusion(EndReason.TIMEOUT, f"ran longer than trial_time ({trial_time_s:g} s)")
    if seen.exit.lost:
        return Conclusion(EndReason.LOST, seen.exit.lost)
    return _of_outcome(seen.outcome) or _of_exit(seen)


def _of_outcome(outcome: Mapping[str, str]) -> Conclusion | None:
    shown = outcome.get("traceback", "")[-_MAX_TRACEBACK_CHARS:]
    if "infeasible" in outcome:
        return Conclusion(EndReason.INFEASIBLE, outcome["infeasible"])
    if "unstartable" in outcome:
        return Conclusion(EndReason.UNSTARTABLE, outcome["unstartable"], shown)
    if "raised" in outcome:
        return Conclusion(EndReason.RAISED, outcome["raised"], shown)
    return None


def _of_exit(seen: Seen) -> Conclusion:
    number, code = seen.exit.signal, seen.exit.code
    if number is not None:
        hint = "; if you did not send it, the machine may have run out of memory" if number == _SIGKILL else ""
        return Conclusion(EndReason.RAISED, f"killed by signal {number} ({signal_name(number)}){hint}")
    if code == 0:
        return Conclusion(EndReason.RETURNED)
    start = seen.log_tail.rfind(_PYTHON_TRACEBACK)
    return Conclusion(EndReason.RAISED, f"exit code {code}", seen.log_tail[start:] if start >= 0 else "")
