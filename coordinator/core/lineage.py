"""What a population learned: the configurations of the best trial and of those that it was cloned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clustertune.coordinator.core.state import Experiment, Trial
from clustertune.model.trial import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One configuration of a schedule: that of ``trial``, from one level to another."""

    trial: int
    resource_from: int
    resource_to: int
    config: Config


def schedule(experiment: Experiment) -> Sequence[Segment]:
    """From the beginning to the best value. Empty where no trial was cloned, or none has a value."""
    if not experiment.clones or experiment.best is None:
        return ()
    segments: list[Segment] = []
    trial, end = experiment.trials[experiment.best], experiment.best_resource
    while True:
        begin = begins_at(trial)
        if begin < end:  # who was cloned where it began has trained nothing
            segments.append(Segment(trial=trial.number, resource_from=begin, resource_to=end, config=trial.config))
        if begin == 0 or trial.parent is None:
            return segments[::-1]
        trial, end = experiment.trials[trial.parent], begin


def begins_at(trial: Trial) -> int:
    """The level that a clone goes on from; 0 for whoever trains from the beginning."""
    return 0 if trial.parent is None or trial.origin is None else trial.origin.resource
