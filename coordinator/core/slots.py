"""What runs next, and where."""

from __future__ import annotations

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.commands import StartAttempt
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.experiments import Experiments
from clustertune.coordinator.core.fold import tell_end
from clustertune.coordinator.core.state import Attempt, Experiment, Instance, Trial
from clustertune.model.trial import TrialState
from clustertune.search.contracts import NoConfig, ResumeTrial, StartNew, StopPausedTrial


class Slots:
    """Fills free slots, the experiment with the fewest running trials first."""

    def __init__(self, desk: Desk, experiments: Experiments) -> None:
        self._desk = desk
        self._experiments = experiments

    def fill(self) -> None:
        hungry = [x for x in self._desk.state.running() if not x.secrets_missing and (x.pending or x.can_create())]
        while hungry:
            experiment = min(hungry, key=lambda x: (len(x.active), x.created))
            if not self._start_one(experiment):
                hungry.remove(experiment)

    def _start_one(self, experiment: Experiment) -> bool:
        parallel = experiment.definition.parallel
        if parallel is not None and len(experiment.active) >= parallel:
            return False
        place = self._place(experiment)
        if place is None:
            return False
        trial = self._next_trial(experiment)
        if trial is None:
            return False
        instance, gpus = place
        self._desk.emit(
            f.AttemptPlaced(
                experiment=experiment.name,
                trial=trial.number,
                attempt=trial.attempts + 1,
                instance=instance.id,
                epoch=instance.epoch,
                gpus=gpus,
            )
        )
        if trial.current is not None:
            self._desk.command(self.start_command(experiment, trial, trial.current))
        return True

    def _place(self, experiment: Experiment) -> tuple[Instance, tuple[int, ...]] | None:
        for instance in self._desk.state.instances.values():
            if instance.ready and instance.room is not None:
                gpus = instance.room.place(experiment.demand)
                if gpus is not None:
                    return instance, gpus
        return None

    def _next_trial(self, experiment: Experiment) -> Trial | None:
        if experiment.pending:
            return experiment.trials[experiment.pending[0]]
        while True:
            match experiment.scheduler.next():
                case StartNew():
                    return self._create_trial(experiment)
                case ResumeTrial(trial=number):
                    self._desk.emit(f.TrialMoved(experiment=experiment.name, trial=number, state=TrialState.PENDING))
                    return experiment.trials[number]
                case StopPausedTrial(trial=number):
                    self._desk.emit(f.TrialMoved(experiment=experiment.name, trial=number, state=TrialState.STOPPED))
                    tell_end(experiment, number, TrialState.STOPPED)
                case _:
                    return None

    def _create_trial(self, experiment: Experiment) -> Trial | None:
        if not experiment.can_create():
            return None
        number = len(experiment.trials)
        config = experiment.searcher.suggest(number)
        if config is NoConfig.EXHAUSTED:
            self._desk.emit(f.SearchExhausted(experiment=experiment.name))
            self._experiments.settle(experiment)
        if isinstance(config, NoConfig):
            return None
        self._desk.emit(
            f.TrialCreated(
                experiment=experiment.name, trial=number, config=config, observations=experiment.observations
            )
        )
        return experiment.trials[number]

    def start_command(self, experiment: Experiment, trial: Trial, attempt: Attempt) -> StartAttempt:
        return StartAttempt(
            instance=attempt.instance,
            experiment=experiment.name,
            attempt=attempt.id,
            config=trial.config,
            run=experiment.run,
            target=experiment.definition.resource.max,
            cpus=experiment.demand.cpus,
            gpus=attempt.gpus,
            seed=experiment.definition.seed,
        )
