"""Trials and experiments: their states, the one table of legal steps, and how attempts end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from typing import NewType, Union

from clustertune.model.errors import InvalidTransition
from clustertune.model.values import value

Value = Union[bool, int, str, float]  # noqa: UP007 - read at run time by the codec, on Python 3.10 too
Config = dict[str, Value]

AttemptId = NewType("AttemptId", str)
"""``experiment:trial:attempt``, as in ``digits-2:17:1``; trials count from 0, attempts from 1."""

InstanceId = NewType("InstanceId", str)


class TrialState(str, Enum):
    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    INFEASIBLE = "infeasible"

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = frozenset({TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED, TrialState.INFEASIBLE})

TRIAL_TRANSITIONS: Mapping[TrialState, frozenset[TrialState]] = {
    TrialState.PENDING: frozenset({TrialState.STARTING, TrialState.PAUSED, TrialState.STOPPED}),
    TrialState.STARTING: frozenset({TrialState.RUNNING, TrialState.PENDING, TrialState.PAUSED, *_ENDED}),
    TrialState.RUNNING: frozenset({TrialState.PENDING, TrialState.PAUSED, *_ENDED}),
    TrialState.PAUSED: frozenset({TrialState.PENDING, TrialState.STOPPED}),
    TrialState.COMPLETED: frozenset(),
    TrialState.STOPPED: frozenset(),
    TrialState.FAILED: frozenset(),
    TrialState.INFEASIBLE: frozenset(),
}
"""Where a trial may go from each state. A lost attempt returns its trial to ``pending``."""


def check_transition(trial: object, current: TrialState, new: TrialState) -> TrialState:
    """Returns ``new``, or raises InvalidTransition and changes nothing."""
    if new not in TRIAL_TRANSITIONS[current]:
        raise InvalidTransition(f"trial {trial} is {current.value} and cannot become {new.value}")
    return new


class ExperimentState(str, Enum):
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        return self in _OVER


_OVER = frozenset({ExperimentState.COMPLETED, ExperimentState.STOPPED, ExperimentState.FAILED})


class EndReason(str, Enum):
    """Why an attempt is over, as the agent saw it."""

    RETURNED = "returned"  # the callable returned, or the command exited with 0
    RAISED = "raised"  # an exception, a non-zero exit code, or a signal that was not ours
    INFEASIBLE = "infeasible"  # the program said that this configuration cannot be
    TIMEOUT = "timeout"  # it ran past trial_time and was ended
    STOPPED = "stopped"  # ended because the coordinator said stop
    PAUSED = "paused"  # ended because the coordinator said pause
    UNSTARTABLE = "unstartable"  # the program could not be started, imported or called at all
    LOST = "lost"  # the machine's fault: the agent went away, or never had it
    NO_CHECKPOINT = "no-checkpoint"  # what it was to go on from is gone or damaged; it never began


@value(kw_only=False)
class Ending:
    """How one attempt ended.

    ``error`` is one line, ready to be shown (``ValueError: shapes differ``, ``exit code 3``, ``killed by signal 9``);
    ``traceback`` is what explains it, where there is something; ``log_tail`` is the end of the output, at most 4 KiB.
    """

    reason: EndReason
    exit_code: int | None = None
    signal: int | None = None
    error: str = ""
    traceback: str = ""
    log_bytes: int = 0
    log_tail: str = ""
    elapsed_s: float = 0.0
    notices: tuple[str, ...] = ()


LARGEST_LEVEL = 2**53
"""Resource levels are whole numbers from 1 to this."""


@value(kw_only=False)
class Report:
    """One set of metric values at one resource level. ``elapsed_s`` counts from the start of the attempt."""

    resource: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0


def attempt_id(experiment: str, trial: int, attempt: int) -> AttemptId:
    return AttemptId(f"{experiment}:{trial}:{attempt}")


def split_attempt_id(attempt: str) -> tuple[str, int, int]:
    """The experiment's name, the trial's number and the attempt's number."""
    experiment, trial, number = attempt.rsplit(":", 2)
    return experiment, int(trial), int(number)
