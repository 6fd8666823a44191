"""What runs next, and where."""

from __future__ import annotations

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.checkpoints import start_from
from clustertune.coordinator.core.commands import StartAttempt
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.experiments import Experiments
from clustertune.coordinator.core.state import Attempt, Experiment, Instance, Trial
from clustertune.coordinator.core.suggestions import Suggestions
from clustertune.coordinator.core.telling import tell_end
from clustertune.model.trial import Config, ExperimentState, TrialState
from clustertune.search.contracts import NoConfig, ResumeTrial, StartNew, StopPausedTrial

_Place = tuple[Instance, tuple[int, ...]]
"""A machine, and which of its GPUs."""


class Slots:
    """Fills free slots, the experiment with the fewest running trials first."""

    def __init__(self, desk: Desk, experiments: Experiments, suggestions: Suggestions) -> None:
        self._desk = desk
        self._experiments = experiments
        self._suggestions = suggestions
        self.starved = False
        """Whether there was room last time, and nothing to put there: any event may change that."""

    def fill(self) -> None:
        self.starved = False
        hungry = [x for x in self._desk.state.running() if not x.secrets_missing and _may_start(x)]
        while hungry:
            experiment = hungry[0] if len(hungry) == 1 else min(hungry, key=lambda x: (len(x.active), x.created))
            if not self._start_one(experiment):
                hungry.remove(experiment)

    def _start_one(self, experiment: Experiment) -> bool:
        if experiment.parallel is not None and len(experiment.active) >= experiment.parallel:
            return False
        room = self._place(experiment)
        if room is None:
            return False
        trial = self._first_pending(experiment, room) or self._next_trial(experiment)
        if experiment.fault:
            return False
        if trial is None:
            self._starve(experiment)
            return False
        place = self._place_for(experiment, trial, room)
        if place is None:
            self.starved = True  # it waits for another machine than the one that has room
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
                checkpoint=start_from(experiment, trial)[0],
                target=trial.target if experiment.run.pauses else experiment.definition.resource.max,
            )
        )
        if trial.current is not None:
            self._desk.command(self.start_command(experiment, trial, trial.current))
        return True

    def _first_pending(self, experiment: Experiment, room: _Place) -> Trial | None:
        """The first that can begin now."""
        if not experiment.pending:
            return None
        waiting = (experiment.trials[number] for number in experiment.pending)
        return next((trial for trial in waiting if self._place_for(experiment, trial, room) is not None), None)

    def _place_for(self, experiment: Experiment, trial: Trial, room: _Place) -> _Place | None:
        """Where there is ``room`` for any; a clone may wait for its parent, others for the one machine that has what
        they go on from, so far.
        """
        if trial.awaits:
            return None
        _, holder = start_from(experiment, trial)
        return room if holder is None or holder.stored else self._place(experiment, holder.instance)

    def _starve(self, experiment: Experiment) -> None:
        """There is room, and nothing to put there: where nothing else is to come, the paused ones will stay so."""
        self.starved = True
        if experiment.drained():
            self._experiments.finish_with_what_there_is(experiment)

    def _place(self, experiment: Experiment, only: str = "") -> _Place | None:
        for instance in self._desk.state.instances.values():
            if only and instance.id != only:
                continue
            if instance.ready and instance.room is not None:
                gpus = instance.room.place(experiment.demand)
                if gpus is not None:
                    return instance, gpus
        return None

    def _next_trial(self, experiment: Experiment) -> Trial | None:
        """What the scheduler wants; None where there is nothing now."""
        while experiment.state is ExperimentState.RUNNING:
            match experiment.scheduler.next():
                case StartNew(config=config) if config is not None:
                    return self._create(experiment, config) if experiment.can_create() else None
                case StartNew():
                    exhausted = experiment.exhausted
                    trial = self._create_trial(experiment)
                    if trial is not None or experiment.exhausted == exhausted:
                        return trial
                    # The scheduler was told just now that there is no more, and may have another wish.
                case ResumeTrial(trial=number) if experiment.trials[number].state is not TrialState.PAUSED:
                    return None  # it is still saving
                case ResumeTrial(trial=number):
                    self._desk.emit(f.TrialMoved(experiment=experiment.name, trial=number, state=TrialState.PENDING))
                    return experiment.trials[number]
                case StopPausedTrial(trial=number) if experiment.trials[number].state is not TrialState.PAUSED:
                    return None
                case StopPausedTrial(trial=number):
                    stopped = f.TrialMoved(experiment=experiment.name, trial=number, state=TrialState.STOPPED)
                    self._desk.emit(stopped)
                    tell_end(experiment, stopped)
                    self._experiments.let_go(experiment, experiment.trials[number])
                case _:
                    self._wait(experiment)
                    return None
        return None

    def _wait(self, experiment: Experiment) -> None:
        """A scheduler hears nothing where nothing runs: what it waits for will not come."""
        if not experiment.active and not experiment.pending:
            self._experiments.finish_with_what_there_is(experiment)

    def _create_trial(self, experiment: Experiment) -> Trial | None:
        if not experiment.can_create():
            return None
        number = len(experiment.trials)
        found = self._suggestions.next(experiment, number)
        if found is NoConfig.EXHAUSTED:
            self._desk.emit(f.SearchExhausted(experiment=experiment.name))
            self._experiments.settle(experiment)
        if isinstance(found, NoConfig):
            return None
        return self._create(experiment, found.config, known=found.known, source=found.source)

    def _create(self, experiment: Experiment, config: Config, *, known: int = 0, source: str = "scheduler") -> Trial:
        number = len(experiment.trials)
        self._desk.emit(
            f.TrialCreated(experiment=experiment.name, trial=number, config=config, observations=known, source=source)
        )
        return experiment.trials[number]

    def start_command(self, experiment: Experiment, trial: Trial, attempt: Attempt) -> StartAttempt:
        return StartAttempt(
            instance=attempt.instance,
            experiment=experiment.name,
            attempt=attempt.id,
            config=trial.config,
            run=experiment.run,
            target=attempt.target,
            checkpoint=attempt.checkpoint,
            cpus=experiment.demand.cpus,
            gpus=attempt.gpus,
            seed=experiment.definition.seed,
        )


def _may_start(experiment: Experiment) -> bool:
    return bool(experiment.pending or experiment.can_create() or experiment.counts[TrialState.PAUSED])
