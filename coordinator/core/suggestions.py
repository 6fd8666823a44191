"""Asks slow searchers in time, and takes what they answer."""

from __future__ import annotations

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.ahead import Ahead, Suggestion
from clustertune.coordinator.core.commands import Suggest
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.state import Experiment
from clustertune.model.trial import ExperimentState
from clustertune.search.contracts import NoConfig

_RETRY_S = (5.0, 15.0, 60.0, 300.0)
"""Pauses between tries of a searcher that fails; quasi-random configurations stand in meanwhile."""


class Suggestions:
    """The core's side of searchers that live in a process of their own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def next(self, experiment: Experiment, trial: int) -> Suggestion | NoConfig:
        """The configuration of ``trial``, from whichever kind of searcher."""
        searcher = experiment.searcher
        if isinstance(searcher, Ahead):
            return searcher.take(trial, self._desk.now, experiment.mean_attempt_s())
        config = searcher.suggest(trial)
        if isinstance(config, NoConfig):
            return config
        earlier = experiment.first and 0 <= trial - len(experiment.definition.initial) < experiment.first
        return Suggestion(config=config, source="earlier" if earlier else "", known=experiment.observations)

    def ask(self) -> None:
        """After every event: where proposals are missing or older than what was observed, asks for new ones."""
        for experiment in self._desk.state.experiments.values():
            if isinstance(experiment.searcher, Ahead) and experiment.state is ExperimentState.RUNNING:
                self._ask(experiment, experiment.searcher)

    def _ask(self, experiment: Experiment, ahead: Ahead) -> None:
        if ahead.asked_at is not None or self._desk.now < ahead.retry_at or not experiment.can_create():
            return
        slots, now = self._slots(experiment), self._desk.now
        left = experiment.left_to_create()
        count = ahead.wants(len(experiment.trials), slots - len(experiment.active), slots, left, now)
        if count is not None:
            ahead.asked(self._desk.now, count)
            self._desk.command(Suggest(experiment=experiment.name, told=ahead.told, known=len(ahead.told), count=count))

    def _slots(self, experiment: Experiment) -> int:
        rooms = (i.room for i in self._desk.state.instances.values() if i.room is not None)
        slots = sum(room.slots_for(experiment.demand) for room in rooms)
        return min(slots, experiment.parallel or slots)

    def suggested(self, event: e.Suggested) -> None:
        experiment = self._desk.state.experiments[event.experiment]
        if isinstance(experiment.searcher, Ahead):
            experiment.searcher.answered(self._desk.now, event.known, list(event.configs))

    def failed(self, event: e.SuggestingFailed) -> None:
        """Told once to people, until it succeeds again; tried for as long as the experiment runs."""
        experiment = self._desk.state.experiments[event.experiment]
        searcher = experiment.searcher
        if not isinstance(searcher, Ahead):
            return
        if not event.error:
            searcher.asked_at = None
            return
        first = searcher.failures == 0
        searcher.failed(self._desk.now + _RETRY_S[min(searcher.failures, len(_RETRY_S) - 1)])
        if first and experiment.state is ExperimentState.RUNNING:
            text = f"the searcher fails, and quasi-random configurations stand in: {event.error}"
            self._desk.say(experiment, "warning", "searcher", text)
