"""What the end of an attempt makes of its trial, and when failures are the program's own fault for good."""

from __future__ import annotations

import re

from clustertune.coordinator.core.state import Attempt, Experiment, Trial
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.trial import Ending, EndReason, ExperimentState, TrialState

ALIKE_AT_LEAST = 3
"""This many trials that all fail in one way, before any succeeded, end the experiment: the program is broken."""

_NOT_FAILED = (TrialState.COMPLETED, TrialState.STOPPED, TrialState.INFEASIBLE)

_VARYING = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)?(e[+-]?\d+)?|'[^']*'|\"[^\"]*\"", re.IGNORECASE)


_RANK = re.compile(r"^rank \d+: ")
"""Which process of a group was the first to fail is chance."""


def after(experiment: Experiment, trial: Trial, attempt: Attempt, ending: Ending) -> TrialState:
    """The trial's next state."""
    return _BY_REASON[ending.reason](experiment, trial, attempt)


def _returned(experiment: Experiment, trial: Trial, attempt: Attempt) -> TrialState:
    if trial.cut:
        return TrialState.STOPPED
    if trial.parked or _may_go_on(experiment, trial, attempt):
        return _again(experiment, trial, attempt)
    return TrialState.COMPLETED if trial.last_loss is not None else TrialState.FAILED


def _may_go_on(experiment: Experiment, trial: Trial, attempt: Attempt) -> bool:
    """Whether the program did what it was told, to reach a target, and was since allowed a further one."""
    if not experiment.run.pauses or attempt.target is None or trial.target is None or trial.resource is None:
        return False
    return attempt.target <= trial.resource < trial.target and not reached_the_top(experiment, trial)


def _raised(experiment: Experiment, trial: Trial, attempt: Attempt) -> TrialState:
    # One that fails while it saves for a pause has failed as any other: what it should have saved is not there.
    if attempt.stop == "stopped" or trial.cut:
        return _ended_by_us(experiment, trial, attempt)
    if trial.failures < experiment.definition.retries:
        return _again(experiment, trial, attempt)
    return TrialState.FAILED


def _timed_out(experiment: Experiment, trial: Trial, attempt: Attempt) -> TrialState:
    # What it reported counts: a limit on time is a way to spend no more on a trial. One that said nothing hangs.
    return TrialState.STOPPED if trial.last_loss is not None else _raised(experiment, trial, attempt)


def _ended_by_us(experiment: Experiment, trial: Trial, attempt: Attempt) -> TrialState:
    if attempt.stop == "stopped" or trial.cut:
        return TrialState.COMPLETED if reached_the_top(experiment, trial) and not trial.cut else TrialState.STOPPED
    if trial.parked or (attempt.stop == "paused" and experiment.state is ExperimentState.PAUSED):
        done = reached_the_top(experiment, trial) and not trial.parked
        return TrialState.COMPLETED if done else TrialState.PAUSED
    # The agent ended it of its own accord, or the experiment was resumed meanwhile.
    return _again(experiment, trial, attempt)


def _again(experiment: Experiment, trial: Trial, attempt: Attempt) -> TrialState:
    if attempt.stop == "stopped" or trial.cut or experiment.state.ended:
        return TrialState.COMPLETED if reached_the_top(experiment, trial) and not trial.cut else TrialState.STOPPED
    paused = trial.parked or experiment.state is ExperimentState.PAUSED
    return TrialState.PAUSED if paused else TrialState.PENDING


def _unstartable(experiment: Experiment, trial: Trial, attempt: Attempt) -> TrialState:
    return _again(experiment, trial, attempt) if _ran_before(experiment, trial) else TrialState.FAILED


def _infeasible(experiment: Experiment, trial: Trial, attempt: Attempt) -> TrialState:  # noqa: ARG001 - one shape for all
    return TrialState.INFEASIBLE


_BY_REASON = {
    EndReason.RETURNED: _returned,
    EndReason.RAISED: _raised,
    EndReason.INFEASIBLE: _infeasible,
    EndReason.TIMEOUT: _timed_out,
    EndReason.STOPPED: _ended_by_us,
    EndReason.PAUSED: _ended_by_us,
    EndReason.UNSTARTABLE: _unstartable,
    EndReason.LOST: _again,
    EndReason.NO_CHECKPOINT: _again,
}


def reached_the_top(experiment: Experiment, trial: Trial) -> bool:
    top = experiment.top
    return top is not None and trial.resource is not None and trial.resource >= top


def no_value(experiment: Experiment) -> str:
    """What to tell of a program that ended well and said nothing."""
    names = experiment.definition.wanted_metrics
    if len(names) > 1:
        return f"ended without a report that holds {', '.join(map(repr, names[:-1]))} and {names[-1]!r} together"
    if experiment.definition.metrics:
        return f"ended without a line that the pattern of {names[0]!r} matches"
    return f"ended without reporting {names[0]!r}"


def no_best(experiment: Experiment) -> str:
    """Why there is nothing to show for an experiment."""
    wanted = finite_report(experiment.definition)
    if any(trial.state is TrialState.INFEASIBLE and trial.last_loss is not None for trial in experiment.trials):
        return f"every trial that reported {wanted} was infeasible"
    return f"no trial reported {wanted}"


def finite_report(definition: ExperimentDefinition) -> str:
    """What every trial is expected to report, in words."""
    names = definition.wanted_metrics
    together = f", {', '.join(names[1:-1])}" if names[1:-1] else ""
    return f"a finite {names[0]}" if len(names) == 1 else f"{names[0]}{together} and {names[-1]} together, all finite"


def cannot_go_on(experiment: Experiment, trial: Trial, ending: Ending) -> bool:
    """Whether a program that ran before cannot even be started any more: not its fault, and waiting may mend it.

    The second time it is the trial's own: where the program's name is a hyperparameter, one may not exist.
    """
    return ending.reason is EndReason.UNSTARTABLE and _ran_before(experiment, trial)


def _ran_before(experiment: Experiment, trial: Trial) -> bool:
    return experiment.started and not trial.unstartable


def failure_kind(error: str) -> str:
    """Errors that differ in numbers, addresses or quoted parts only are of one kind."""
    return _VARYING.sub("#", _RANK.sub("", error, count=1))


def note_outcome(experiment: Experiment, trial: Trial, *, failed: bool, error: str) -> bool:
    """Keeps count of the first failures; True when they are enough to end the experiment.

    Whether any trial ended otherwise is read off the trials, so that a restart does not make later failures the first.
    """
    if not failed or any(experiment.counts[state] for state in _NOT_FAILED):
        experiment.failure_kind, experiment.failed_alike = "", set()
        return False
    kind = failure_kind(error)
    if experiment.failure_kind is None:
        experiment.failure_kind = kind
    if experiment.failure_kind != kind:
        experiment.failure_kind, experiment.failed_alike = "", set()
        return False
    experiment.failed_alike.add(trial.number)
    enough = ALIKE_AT_LEAST if experiment.limit is None else min(ALIKE_AT_LEAST, experiment.limit)
    return len(experiment.failed_alike) >= enough
