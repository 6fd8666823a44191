"""What searchers and schedulers are told of what happened, while it happens and when it is replayed."""

from __future__ import annotations

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.ahead import Ahead
from clustertune.coordinator.core.state import Experiment
from clustertune.model.front import Measured
from clustertune.model.trial import TrialState


def tell_scheduler(experiment: Experiment, what: str, *arguments: object) -> None:
    """Of what only some schedulers want to hear."""
    experiment.scheduler.tell(what, *arguments)


def tell_report(experiment: Experiment, fact: f.RungReached) -> None:
    """The searcher learns what a report was worth."""
    if fact.measured is None:
        experiment.searcher.observe(fact.trial, fact.resource, fact.loss)  # as nearly always
    else:
        _observe(experiment, fact.trial, fact.resource, fact.loss, fact.measured)


def _observe(experiment: Experiment, trial: int, resource: int, loss: float, measured: Measured | None) -> None:
    if measured is not None and isinstance(experiment.searcher, Ahead):
        experiment.searcher.observe_all(trial, resource, loss, measured)
    else:
        experiment.searcher.observe(trial, resource, loss)


def tell_end(experiment: Experiment, fact: f.AttemptEnded | f.TrialMoved) -> None:
    """The algorithms learn that a trial will not run again."""
    experiment.scheduler.on_end(fact.trial, fact.state)
    if fact.state in (TrialState.FAILED, TrialState.INFEASIBLE):
        experiment.searcher.forget(fact.trial)
    elif isinstance(fact, f.AttemptEnded) and fact.loss is not None:
        _observe(experiment, fact.trial, fact.resource or 0, fact.loss, fact.measured)
