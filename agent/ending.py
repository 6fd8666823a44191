"""Decides how an attempt ended, from what was seen and what was asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from clustertune.agent.spawner_link import Exit, signal_name
from clustertune.model.trial import EndReason

_SIGKILL, _SIGTERM = 9, 15
_MAX_TRACEBACK_CHARS = 64_000
_GUILTY = (
    "twice the process that had started it was ended while it ran, the second time with no other trial there: "
    "look for a kill of the parent process (os.getppid()), or of all processes, in the program"
)
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
    """``said`` is what callables told about themselves, and a group's leader about who failed first, oldest first.

    ``log_tail`` is the last of the output; ``complaint`` is what the machine had to say of its use of memory.
    ``alone``: no other trial had the process that started this one, and that was ended under it before.
    ``saves``: it was asked to save for a pause and had time left; ``saved``: and did so.
    """

    exit: Exit
    said: Sequence[Mapping[str, str]] = ()
    log_tail: str = ""
    complaint: str = ""
    alone: bool = False
    saves: bool = False
    saved: bool = False

    @property
    def failed_rank(self) -> str:
        return next((each["failed"] for each in self.said if "failed" in each), "0")

    @property
    def outcome(self) -> Mapping[str, str]:
        """Where one rank fails the others soon do, of its absence: what they say is left out."""
        rank = self.failed_rank
        told = (each for each in self.said if not each.keys() & {"failed", "stopped"})
        return next((each for each in told if each.get("rank", rank) == rank), {})

    @property
    def failed_to_save(self) -> bool:
        """Whether it ended otherwise than one does that is asked to save and end, and was not told to end otherwise."""
        if not self.saves or self.exit.lost:
            return False
        if _of_outcome(self.outcome) is not None:
            return True
        # Once it has saved all is well: not only torchrun says 1 of processes that were told to end.
        ended_as_told = self.saved or any("stopped" in each for each in self.said)
        return not ended_as_told and self.exit.signal != _SIGTERM and self.exit.code not in (0, 128 + _SIGTERM)


def conclude(seen: Seen, asked: Asked | None, trial_time_s: float | None) -> Conclusion:
    """What was asked of an attempt goes before how it then ended: a program may end in any way when told to.

    But one that fails while it saves for a pause has failed as any other.
    """
    if asked is Asked.STOP:
        return Conclusion(EndReason.STOPPED)
    if asked is Asked.PAUSE and not seen.failed_to_save:
        return Conclusion(EndReason.PAUSED)
    if asked is Asked.TIME:
        return Conclusion(EndReason.TIMEOUT, f"ran longer than trial_time ({trial_time_s:g} s)")
    if seen.exit.lost:
        return Conclusion(EndReason.RAISED, _GUILTY) if seen.alone else Conclusion(EndReason.LOST, seen.exit.lost)
    if seen.complaint and seen.exit.code != 0:
        return Conclusion(EndReason.RAISED, seen.complaint)
    return _of_rank(seen.failed_rank, _of_outcome(seen.outcome) or _of_exit(seen))


def _of_rank(rank: str, conclusion: Conclusion) -> Conclusion:
    if rank == "0" or not conclusion.error:
        return conclusion
    return replace(conclusion, error=f"rank {rank}: {conclusion.error}")


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
