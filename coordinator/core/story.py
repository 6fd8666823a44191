"""Facts to lines for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.state import Experiment, Trial
from clustertune.model.trial import EndReason, TrialState
from clustertune.model.units import format_duration

Line = tuple[str, str, str, int | None]
"""Level, kind, text, trial."""

_LONGEST_ERROR = 200


def _began(experiment: Experiment, fact: f.ExperimentCreated) -> Line:  # noqa: ARG001 - one shape for all
    return "info", "experiment", f"experiment {experiment.name} began", None


def _changed(experiment: Experiment, fact: f.ExperimentChanged) -> Line:
    level = "error" if fact.state.value == "failed" else "info"
    return level, "experiment", f"experiment {experiment.name} is {fact.state.value}: {fact.reason}", None


def _exhausted(experiment: Experiment, fact: f.SearchExhausted) -> Line:  # noqa: ARG001
    return "info", "experiment", "every configuration of the space has been tried", None


def _started(experiment: Experiment, fact: f.AttemptStarted) -> Line:
    trial = experiment.trials[fact.trial]
    return "info", "trial-started", _start(trial, experiment.definition.resource.name), fact.trial


def _start(trial: Trial, level: str) -> str:
    origin = trial.current.checkpoint if trial.current is not None else None
    if origin is None:
        again = f" again (attempt {trial.attempts})" if trial.attempts > 1 else ""
        return f"trial {trial.number} started{again}: {show(trial.config)}"
    where = f"{level} {origin.resource}"
    if trial.parent is not None and origin == trial.origin:
        return f"trial {trial.number} began as a clone of trial {trial.parent} at {where}: {show(trial.config)}"
    return f"trial {trial.number} goes on from {where}: {show(trial.config)}"


def _ended(experiment: Experiment, fact: f.AttemptEnded) -> Line:
    trial = experiment.trials[fact.trial]
    reached = f" at {experiment.definition.resource.name} {trial.resource}" if trial.resource is not None else ""
    value = _value(experiment, trial)
    took = f" after {format_duration(fact.ending.elapsed_s)}" if fact.ending.elapsed_s >= 1 else ""
    if fact.ending.reason is EndReason.LOST:
        why = f": {_short(fact.ending.error)}" if fact.ending.error else ""
        text = f"trial {trial.number} was lost and will run again{why}"
        return "warning", "trial-ended", text, trial.number
    if fact.ending.reason is EndReason.NO_CHECKPOINT:
        text = f"trial {trial.number} begins from an earlier checkpoint, or anew: {_short(fact.ending.error)}"
        return "warning", "trial-ended", text, trial.number
    if fact.state is TrialState.PENDING and not fact.ending.error:
        return "info", "trial-ended", f"trial {trial.number} ended{reached} and will go on", trial.number
    if fact.state is TrialState.PENDING:
        text = f"trial {trial.number} failed and will be tried again: {_short(fact.ending.error)}"
        return "warning", "trial-ended", text, trial.number
    error = f": {_short(fact.ending.error)}" if fact.ending.error else ""
    level = "warning" if fact.state in (TrialState.FAILED, TrialState.INFEASIBLE) else "info"
    return level, "trial-ended", f"trial {trial.number} {fact.state.value}{reached}{value}{took}{error}", trial.number


def _short(error: str) -> str:
    """An error for a line of its own; `clustertune logs` has the whole of it."""
    return error if len(error) <= _LONGEST_ERROR else error[: _LONGEST_ERROR - 1] + "…"


def _value(experiment: Experiment, trial: Trial) -> str:
    """The last value, and the best where it is another."""
    if trial.last_loss is None:
        return ""
    last = f", {experiment.definition.objective.metric} {experiment.sign * trial.last_loss:.6g}"
    if trial.best_resource is None or trial.best_loss >= trial.last_loss:
        return last
    return f"{last} (best {experiment.sign * trial.best_loss:.6g})"


def show(config: dict[str, object] | object) -> str:
    """A configuration on one line."""
    if not isinstance(config, dict):
        return str(config)
    parts = (f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items())
    return ", ".join(parts)


TELLERS: Mapping[type, Callable[[Experiment, Any], Line]] = {
    f.ExperimentCreated: _began,
    f.ExperimentChanged: _changed,
    f.AttemptStarted: _started,
    f.AttemptEnded: _ended,
    f.SearchExhausted: _exhausted,
}
"""What to say of a fact that was just applied, by its kind; of others nobody needs to hear."""
