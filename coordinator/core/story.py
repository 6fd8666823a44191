"""Facts to lines for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.state import Experiment
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.checkpoint import CheckpointRef
from clustertune.model.trial import Config, EndReason, TrialState
from clustertune.model.units import format_duration

Words = str | Callable[[], str]
"""What a line says, or what puts it into words when it is read; that depends on nothing that changes later."""

Told = tuple[str, str, Words, int | None]
"""Level, kind, words, trial."""

_Standing = tuple[int | None, float | None, float, int | None]
"""A trial's level, last loss, best loss, and the level of that."""

_LONGEST_ERROR = 200
_BAD = (TrialState.FAILED, TrialState.INFEASIBLE)
_TROUBLES = (EndReason.LOST, EndReason.NO_CHECKPOINT)


def _began(experiment: Experiment, fact: f.ExperimentCreated) -> Told:  # noqa: ARG001 - one shape for all
    return "info", "experiment", f"experiment {experiment.name} began", None


def _changed(experiment: Experiment, fact: f.ExperimentChanged) -> Told:
    level = "error" if fact.state.value == "failed" else "info"
    return level, "experiment", f"experiment {experiment.name} is {fact.state.value}: {fact.reason}", None


def _exhausted(experiment: Experiment, fact: f.SearchExhausted) -> Told:  # noqa: ARG001
    return "info", "experiment", "every configuration of the space has been tried", None


def _started(experiment: Experiment, fact: f.AttemptStarted) -> Told:
    trial = experiment.trials[fact.trial]
    origin = trial.current.checkpoint if trial.current is not None else None
    cloned_from = trial.parent if origin is not None and origin == trial.origin else None
    words = partial(_start, trial.number, trial.attempts, trial.config, origin, cloned_from, experiment.definition)
    return "info", "trial-started", words, fact.trial


def _start(
    trial: int,
    attempt: int,
    config: Config,
    origin: CheckpointRef | None,
    cloned_from: int | None,
    definition: ExperimentDefinition,
) -> str:
    if origin is None:
        again = f" again (attempt {attempt})" if attempt > 1 else ""
        return f"trial {trial} started{again}: {show(config)}"
    where = f"{definition.resource.name} {origin.resource}"
    if cloned_from is not None:
        return f"trial {trial} began as a clone of trial {cloned_from} at {where}: {show(config)}"
    return f"trial {trial} goes on from {where}: {show(config)}"


def _ended(experiment: Experiment, fact: f.AttemptEnded) -> Told:
    trial = experiment.trials[fact.trial]
    reason, again = fact.ending.reason, fact.state is TrialState.PENDING
    bad = fact.state in _BAD or reason in _TROUBLES or (again and bool(fact.ending.error))
    standing = (trial.resource, trial.last_loss, trial.best_loss, trial.best_resource)
    words = partial(_end, fact, standing, experiment.definition, experiment.sign, trial.values)
    return "warning" if bad else "info", "trial-ended", words, fact.trial


def _end(
    fact: f.AttemptEnded,
    standing: _Standing,
    definition: ExperimentDefinition,
    sign: float,
    values: Mapping[str, float] | None,
) -> str:
    trial, error = fact.trial, _short(fact.ending.error)
    why = f": {error}" if error else ""
    if fact.ending.reason is EndReason.LOST:
        return f"trial {trial} was lost and will run again{why}"
    if fact.ending.reason is EndReason.NO_CHECKPOINT:
        return f"trial {trial} begins from an earlier checkpoint, or anew: {error}"
    reached = f" at {definition.resource.name} {standing[0]}" if standing[0] is not None else ""
    if fact.state is TrialState.PENDING and not error:
        return f"trial {trial} ended{reached} and will go on"
    if fact.state is TrialState.PENDING:
        return f"trial {trial} failed and will be tried again: {error}"
    took = f" after {format_duration(fact.ending.elapsed_s)}" if fact.ending.elapsed_s >= 1 else ""
    value = _value(standing, definition.objective.metric, sign) if values is None else f", {named(values)}"
    return f"trial {trial} {fact.state.value}{reached}{value}{took}{why}"


def _short(error: str) -> str:
    """An error for a line of its own; `clustertune logs` has the whole of it."""
    return error if len(error) <= _LONGEST_ERROR else error[: _LONGEST_ERROR - 1] + "…"


def _value(standing: _Standing, metric: str, sign: float) -> str:
    """The last value, and the best where it is another."""
    _, last_loss, best_loss, best_resource = standing
    if last_loss is None:
        return ""
    last = f", {metric} {sign * last_loss:.6g}"
    if best_resource is None or best_loss >= last_loss:
        return last
    return f"{last} (best {sign * best_loss:.6g})"


def named(values: Mapping[str, float]) -> str:
    """Metrics on one line."""
    return ", ".join(f"{name} {value:.6g}" for name, value in values.items())


def show(config: dict[str, object] | object) -> str:
    """A configuration on one line."""
    if not isinstance(config, dict):
        return str(config)
    parts = (f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items())
    return ", ".join(parts)


TELLERS: Mapping[type, Callable[[Experiment, Any], Told]] = {
    f.ExperimentCreated: _began,
    f.ExperimentChanged: _changed,
    f.AttemptStarted: _started,
    f.AttemptEnded: _ended,
    f.SearchExhausted: _exhausted,
}
"""What to say of a fact that was just applied, by its kind; of others nobody needs to hear."""
