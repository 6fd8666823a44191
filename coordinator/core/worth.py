"""What a trial is worth where there are several objectives, or constraints on metrics; after a restart, too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from clustertune.coordinator.core.objectives import Objectives
from clustertune.coordinator.core.state import Experiment, Trial
from clustertune.model.front import Measured, compromise, front, least_violating
from clustertune.model.trial import TrialState


def stands_for(
    objectives: Objectives, trial: Trial, resource: int, metrics: Mapping[str, float], measured: Measured
) -> bool:
    """Whether the report is what the trial is worth from now on: its last finite one, or the best of them."""
    held = trial.measured
    better = held is None or (measured.violation, measured.losses) < (held.violation, held.losses)
    if not measured.finite or not (objectives.take_last or better):
        return False
    trial.measured, trial.values = measured, objectives.values(metrics)
    trial.best_loss, trial.best_resource = measured.losses[0], resource
    return True


def restore(
    experiment: Experiment, objectives: Objectives, curve: Iterable[tuple[int, int, Mapping[str, float]]]
) -> None:
    """After a restart: what each trial is worth, and who is the best."""
    for number, resource, metrics in curve:
        measured = objectives.measure(metrics)
        trial = experiment.trials[number] if number < len(experiment.trials) else None
        if measured is not None and trial is not None and trial.state is not TrialState.INFEASIBLE:
            stands_for(objectives, trial, resource, metrics, measured)
    known = Worth(experiment.trials)
    experiment.front = front(known) if objectives.several else ()
    if objectives.several:
        chosen = compromise(known, experiment.front) if experiment.front else least_violating(known)
        experiment.best = experiment.best if chosen is None else chosen
    restore_best(experiment)


def restore_best(experiment: Experiment) -> None:
    """What the incumbent has come to. Journals of before may name none where an incumbent ended infeasible."""
    best = best_of(experiment.trials) if experiment.best is None else experiment.trials[experiment.best]
    if best is None or not math.isfinite(best.best_loss):
        return
    experiment.best, experiment.best_loss = best.number, best.best_loss
    experiment.best_resource = best.best_resource or 0
    experiment.best_violation = best.measured.violation if best.measured is not None else 0.0


class Worth(Mapping[int, Measured]):
    """What each trial is worth that is worth anything, by number."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = trials

    def __getitem__(self, trial: int) -> Measured:
        if (found := self._trials[trial].measured) is None:
            raise KeyError(trial)
        return found

    def __iter__(self) -> Iterator[int]:
        return (trial.number for trial in self._trials if trial.measured is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def best_of(trials: Iterable[Trial]) -> Trial | None:
    """With one objective; None where no trial is worth anything."""
    return min((trial for trial in trials if math.isfinite(trial.best_loss)), key=rank, default=None)


def rank(trial: Trial) -> tuple[float, float, int]:
    """With one objective: who keeps the constraints first, then by loss."""
    violation = math.inf if trial.measured is None else trial.measured.violation
    return violation, trial.best_loss, trial.number
