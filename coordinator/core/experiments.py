"""What users ask of experiments, and when experiments end."""

from __future__ import annotations

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core import verdict
from clustertune.coordinator.core.checkpoints import Checkpoints
from clustertune.coordinator.core.commands import Log, StopAttempt
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.making import packages
from clustertune.coordinator.core.state import Attempt, Experiment, Trial
from clustertune.coordinator.core.warm_start import WarmStart, warm_start
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.trial import Ending, ExperimentState, TrialState

_AGAIN = "then `clustertune resume {name}` goes on, after a restart of the coordinator if it runs"


class Experiments:
    """From the submission to the end."""

    def __init__(self, desk: Desk, checkpoints: Checkpoints) -> None:
        self._desk = desk
        self._checkpoints = checkpoints

    def submitted(self, event: e.Submitted) -> None:
        """Raises Mistake, and changes nothing, where its algorithms cannot be made."""
        taken = self._taken_over(event)
        self._desk.emit(
            f.ExperimentCreated(
                experiment=event.experiment,
                definition=event.definition,
                workdir=event.workdir,
                python=event.python,
                snapshot=event.snapshot,
                earlier=taken.earlier if taken is not None else (),
                first=taken.first if taken is not None else (),
                packages=packages(self._desk.algorithms, ExperimentDefinition.from_plain(event.definition)),
            )
        )
        experiment = self._desk.state.experiments[event.experiment]
        for kind, choice in (
            ("searcher", experiment.definition.searcher),
            ("scheduler", experiment.definition.scheduler),
        ):
            if choice.because:
                self._desk.say(
                    experiment, "info", "experiment", f"auto chose the {kind} {choice.type}: {choice.because}"
                )
        if taken is not None:
            self._desk.say(experiment, "info", "experiment", taken.text)

    def _taken_over(self, event: e.Submitted) -> WarmStart | None:
        if not event.definition.get("warm_start"):
            return None
        return warm_start(ExperimentDefinition.from_plain(event.definition), self._desk.state.experiments)

    def pause_asked(self, event: e.PauseAsked) -> None:
        experiment = self._desk.state.experiments[event.experiment]
        if experiment.state is ExperimentState.RUNNING:
            self.hold(experiment, "paused by the user")

    def hold(self, experiment: Experiment, reason: str, failure: str = "") -> None:
        """Pauses it: its attempts end, and run again when it is resumed. ``failure``: what went wrong, if anything."""
        self._change(experiment, ExperimentState.PAUSED, reason, failure)
        self._stop_active(experiment, "paused")

    def resume_asked(self, event: e.ResumeAsked) -> None:
        experiment = self._desk.state.experiments[event.experiment]
        experiment.secrets_missing = experiment.secrets_missing and not event.secrets
        if experiment.state is not ExperimentState.PAUSED or experiment.absent:
            return
        self._change(experiment, ExperimentState.RUNNING, "resumed by the user")
        for trial in reversed([t for t in experiment.trials if t.state is TrialState.PAUSED and t.held]):
            self._desk.emit(f.TrialMoved(experiment=experiment.name, trial=trial.number, state=TrialState.PENDING))
        self.settle(experiment)

    def stop_asked(self, event: e.StopAsked) -> None:
        experiment = self._desk.state.experiments[event.experiment]
        if not experiment.state.ended:
            self.finish(experiment, ExperimentState.STOPPED, "stopped by the user")

    def ticked(self) -> None:
        """Ends what has had its time."""
        for experiment in list(self._desk.state.running()):
            limit = experiment.definition.stop.time_s
            if limit is not None and experiment.elapsed_s(self._desk.now) >= limit:
                self.finish(experiment, ExperimentState.COMPLETED, "the time limit is reached")

    def give_up_unusable(self) -> None:
        """Those whose algorithms cannot go on fail; where they could not be made, they can be another time."""
        unusable = self._desk.fold.unusable
        while unusable:
            experiment = unusable.pop()
            if experiment.fault:
                self.finish(experiment, ExperimentState.FAILED, experiment.fault)
            elif experiment.absent and experiment.state is ExperimentState.RUNNING:
                self.hold(experiment, f"{experiment.absent}; {_AGAIN.format(name=experiment.name)}")

    def settle(self, experiment: Experiment) -> None:
        """Ends an experiment that has nothing left to run."""
        if experiment.state is not ExperimentState.RUNNING:
            return
        flat = experiment.definition.stop.flat
        if flat is not None and experiment.best is not None and experiment.ended_since_best >= flat:
            what = ", none of them on the front" if experiment.front else " without an improvement"
            text = f"{flat} trials ended{what}"
            self.finish(experiment, ExperimentState.COMPLETED, text)
        elif experiment.drained() and not experiment.counts[TrialState.PAUSED]:
            # Where some are paused, the scheduler may resume one: it is asked when there is a slot.
            self.finish_with_what_there_is(experiment)

    def finish_with_what_there_is(self, experiment: Experiment) -> None:
        if experiment.best is not None:
            all_tried = "every configuration was tried" if experiment.exhausted else "all trials ended"
            none_keeps = "; none of them keeps all metric constraints" if experiment.best_violation > 0.0 else ""
            self.finish(experiment, ExperimentState.COMPLETED, all_tried + none_keeps)
            return
        failed = next((t for t in experiment.trials if t.error), None)
        text = verdict.no_best(experiment)
        self.finish(experiment, ExperimentState.FAILED, text, failure=failed.error if failed else text)

    def finish(self, experiment: Experiment, state: ExperimentState, reason: str, failure: str = "") -> None:
        if experiment.state.ended:
            return
        if experiment.fault:
            # Whatever else happened with the event in which an algorithm failed, that is how it ends.
            state, reason, failure = ExperimentState.FAILED, experiment.fault, experiment.trace
            self._desk.command(Log(text=f"{experiment.name} fails: {reason}\n{failure}".strip()))
        self._change(experiment, state, reason, failure)
        self._stop_active(experiment, "stopped")
        for trial in experiment.trials:
            if trial.state in (TrialState.PENDING, TrialState.PAUSED):
                self._desk.emit(f.TrialMoved(experiment=experiment.name, trial=trial.number, state=TrialState.STOPPED))
        self._checkpoints.tidy(experiment, sorted(experiment.keepers))

    def let_go(self, experiment: Experiment, trial: Trial) -> None:
        """A paused trial will not run again: nobody needs what it saved."""
        self._checkpoints.tidy(experiment, [trial.number])

    def _change(self, experiment: Experiment, state: ExperimentState, reason: str, failure: str = "") -> None:
        self._desk.emit(f.ExperimentChanged(experiment=experiment.name, state=state, reason=reason, failure=failure))

    def _stop_active(self, experiment: Experiment, reason: str) -> None:
        for number in sorted(experiment.active):
            trial = experiment.trials[number]
            if trial.current is not None and (not trial.current.stop or trial.current.stop != reason):
                self.order_stop(experiment, trial, trial.current, reason)

    def order_stop(self, experiment: Experiment, trial: Trial, attempt: Attempt, reason: str) -> None:
        self._desk.emit(f.StopOrdered(experiment=experiment.name, trial=trial.number, reason=reason))
        self._desk.command(StopAttempt(instance=attempt.instance, attempt=attempt.id, reason=reason))

    def check_best(self, experiment: Experiment, target: float) -> None:
        if experiment.best_loss <= experiment.sign * target and experiment.best_violation <= 0.0:
            self.finish(experiment, ExperimentState.COMPLETED, f"the target {target:g} is reached")

    def give_up(self, experiment: Experiment, ending: Ending) -> None:
        count = len(experiment.failed_alike)
        every = "its only trial" if experiment.limit == 1 else f"the first attempts of {count} trials all"
        reason = f"{every} failed in the same way: {ending.error}"
        failure = ending.traceback or ending.log_tail or ending.error
        self.finish(experiment, ExperimentState.FAILED, reason, failure=failure)
