"""Which checkpoints are wanted, where they go, and when nobody needs them any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.commands import (
    AskForCheckpoint,
    DeleteStored,
    DiscardCheckpoints,
    StoreCheckpoint,
    TidyStorage,
)
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.state import Experiment, Instance, Kept, Trial
from clustertune.model.checkpoint import CheckpointRef, SavedKind
from clustertune.model.trial import AttemptId, TrialState
from clustertune.model.units import format_bytes


class Checkpoints:
    """Keeps what a trial needs to go on, what a clone begins from, and the last of the best; lets go of all else."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def saved(self, event: e.CheckpointSaved) -> None:
        """Also of an attempt that is over: an agent that was killed tells of what it finds when it is back.

        What a machine says that is gone is no use to anybody: nobody could fetch it there.
        """
        found = self._desk.state.trial(event.attempt)
        holder = self._desk.state.instances.get(event.instance)
        if found is None or holder is None or holder.epoch != event.epoch:
            return
        experiment, trial = found
        self._desk.emit(
            f.CheckpointSaved(
                experiment=experiment.name,
                trial=trial.number,
                attempt=AttemptId(event.attempt),
                instance=event.instance,
                epoch=event.epoch,
                kind=event.kind,
                ref=CheckpointRef(event.digest, event.resource, event.size_bytes),
                wanted=event.wanted,
            )
        )
        if event.wanted and not trial.state.ended and _on_its_way(trial) is None:
            self._order(experiment, trial, trial.kept[-1])
        self.tidy(experiment, [trial.number])

    def stored(self, event: e.CheckpointStored) -> None:
        found = self._desk.state.trial(event.attempt)
        if found is None or not self.wants(event.attempt, event.digest):
            return
        experiment, trial = found
        self._desk.emit(f.CheckpointStored(experiment=experiment.name, trial=trial.number, digest=event.digest))
        newest = trial.newest()
        if newest is not None and newest.wanted and not trial.state.ended:
            self._order(experiment, trial, newest)  # it waited for the one before
        self.tidy(experiment, _with_parent(trial))

    def wants(self, attempt: str, digest: str) -> bool:
        """Whether an agent may bring this."""
        found = self._desk.state.trial(attempt)
        return found is not None and any(kept.ref.digest == digest for kept in found[1].kept)

    def storing_failed(self, event: e.StoringFailed) -> None:
        found = self._desk.state.trial(event.attempt)
        if found is not None and self.wants(event.attempt, event.digest):
            experiment, trial = found
            for kept in [kept for kept in trial.kept if kept.ref.digest == event.digest]:
                kept.trouble = event.error
            text = f"its checkpoint cannot be stored yet, and stays on its machine meanwhile: {event.error}"
            self._desk.notice(experiment, trial, text)

    def ended(self, experiment: Experiment, trial: Trial) -> None:
        """An attempt of the trial is over: what it left last is needed where it will run again, or is the best."""
        if trial.kept and not trial.state.ended and (newest := trial.newest()) is not None:
            self._order(experiment, trial, newest)
        self.tidy(experiment, _with_parent(trial))

    def unusable(self, experiment: Experiment, trial: Trial, ref: CheckpointRef, why: str) -> None:
        """It could not be had, or was damaged: whoever would begin from it begins from an earlier one."""
        level = experiment.definition.resource.name
        self._desk.notice(experiment, trial, f"its checkpoint at {level} {ref.resource} is lost: {why}")
        for holder in [experiment.trials[number] for number in sorted(experiment.keepers)]:
            for kept in [kept for kept in holder.kept if kept.ref.digest == ref.digest]:
                self._drop(experiment, holder, kept, why)

    def tidy(self, experiment: Experiment, trials: Iterable[int]) -> None:
        """Drops what nobody needs of these trials, and what is beyond the limit on the disk."""
        if not experiment.keepers and not experiment.untidy:
            return
        pinned = set(self._pinned(experiment))
        for trial in [experiment.trials[number] for number in trials if number in experiment.keepers]:
            needed = pinned | self._needed(experiment, trial)
            for kept in [kept for kept in trial.kept if id(kept) not in needed]:
                self._drop(experiment, trial, kept)
        self._within_limit(experiment, pinned)
        self._tidy_storage(experiment)

    def _tidy_storage(self, experiment: Experiment) -> None:
        over = experiment.state.ended and not experiment.active
        if over and experiment.untidy and not any(experiment.saving()):
            self._desk.command(TidyStorage(experiment=experiment.name))

    def storage_tidied(self, event: e.StorageTidied) -> None:
        experiment = self._desk.state.experiments.get(event.experiment)
        if experiment is not None and experiment.untidy:
            self._desk.emit(f.StorageTidied(experiment=experiment.name))

    def _needed(self, experiment: Experiment, trial: Trial) -> set[int]:
        if trial.state.ended:
            if trial.number not in experiment.winners:
                return set()
            last = [kept for kept in (trial.newest(), trial.newest(SavedKind.RESULT)) if kept is not None]
            for kept in last:
                self._order(experiment, trial, kept)
            return set(map(id, last))
        results = [kept for kept in trial.kept if kept.kind is SavedKind.RESULT]
        using = trial.current.checkpoint.digest if trial.current is not None and trial.current.checkpoint else ""
        found = [trial.newest(), trial.newest(stored=True), _on_its_way(trial), *results[-1:]]
        found += [kept for kept in trial.kept if kept.ref.digest == using]
        return {id(kept) for kept in found if kept is not None}

    def _pinned(self, experiment: Experiment) -> Iterator[int]:
        """What clones begin from, until they have one of their own in the storage."""
        for number in experiment.heirs:
            child = experiment.trials[number]
            if child.origin is None or child.parent is None or child.newest(stored=True) is not None:
                continue
            parent = experiment.trials[child.parent]
            for kept in [kept for kept in parent.kept if kept.ref.digest == child.origin.digest]:
                self._order(experiment, parent, kept)
                yield id(kept)

    def _within_limit(self, experiment: Experiment, pinned: set[int]) -> None:
        limit = experiment.definition.checkpoints.disk_bytes
        if limit is None:
            return
        over = experiment.stored_bytes - limit
        for trial in self._least_valuable(experiment) if over > 0 else ():
            for kept in [kept for kept in trial.kept if kept.stored and id(kept) not in pinned]:
                over -= kept.ref.size_bytes
                self._drop(experiment, trial, kept, f"checkpoints.disk ({format_bytes(limit)}) is exceeded")
            if over <= 0:
                return
        if over > 0 and not experiment.over_limit:
            experiment.over_limit = True
            text = f"checkpoints take {format_bytes(over)} more than checkpoints.disk allows: trials need them all"
            self._desk.say(experiment, "warning", "checkpoint", text)

    def _least_valuable(self, experiment: Experiment) -> list[Trial]:
        """Running trials, the worst first: they lose only what they did since, and only if they are interrupted."""
        running = [experiment.trials[number] for number in experiment.active & experiment.keepers]
        running = [trial for trial in running if trial.state is TrialState.RUNNING and not trial.parked]
        return sorted(running, key=lambda trial: (-trial.best_loss, -trial.number))

    def ask(self, experiment: Experiment, parent: int) -> None:
        """A clone waits for what the parent has yet to save."""
        current = experiment.trials[parent].current
        if current is not None and any(experiment.trials[child].awaits for child in experiment.heirs):
            self._desk.command(AskForCheckpoint(instance=current.instance, attempt=current.id))

    def tell_again(self, instance: Instance) -> None:
        """After a reconnection: what is still to be stored, and what clones wait for."""
        for experiment in self._desk.state.experiments.values():
            for _, kept in experiment.saving():
                if (kept.instance, kept.epoch) == (instance.id, instance.epoch):
                    self._desk.command(_store(kept))
            for number in sorted(experiment.heirs):
                child = experiment.trials[number]
                if child.awaits and child.parent is not None:
                    self.ask(experiment, child.parent)

    def delete_again(self) -> None:
        """What a coordinator that was killed, or an agent that was lost, may have left in the storage."""
        for experiment in self._desk.state.experiments.values():
            for digest in sorted(experiment.deleting):
                self._desk.command(DeleteStored(experiment=experiment.name, digest=digest))
            self._tidy_storage(experiment)

    def held(self, event: e.CheckpointsHeld) -> None:
        """A command to discard may have been lost with a connection: it is given again."""
        for attempt, digests in event.digests.items():
            found = self._desk.state.trial(attempt)
            kept = found[1].kept if found is not None else []
            needed = {each.ref.digest for each in kept if each.attempt == attempt}
            if needless := tuple(digest for digest in digests if digest not in needed):
                discard = DiscardCheckpoints(instance=event.instance, attempt=AttemptId(attempt), digests=needless)
                self._desk.command(discard)

    def deleted(self, event: e.CheckpointDeleted) -> None:
        experiment = self._desk.state.experiments.get(event.experiment)
        if experiment is not None and event.digest in experiment.deleting:
            self._desk.emit(f.CheckpointDeleted(experiment=experiment.name, digest=event.digest))

    def _order(self, experiment: Experiment, trial: Trial, kept: Kept) -> None:
        if not kept.ordered:
            self._desk.emit(f.CheckpointOrdered(experiment=experiment.name, trial=trial.number, digest=kept.ref.digest))
            self._desk.command(_store(kept))

    def _drop(self, experiment: Experiment, trial: Trial, kept: Kept, reason: str = "") -> None:
        self._desk.emit(
            f.CheckpointDropped(
                experiment=experiment.name,
                trial=trial.number,
                attempt=kept.attempt,
                digest=kept.ref.digest,
                reason=reason,
            )
        )
        instance = self._desk.state.instances.get(kept.instance)
        if instance is not None and instance.epoch == kept.epoch:
            self._desk.command(
                DiscardCheckpoints(instance=kept.instance, attempt=kept.attempt, digests=(kept.ref.digest,))
            )
        if kept.ref.digest in experiment.deleting:
            self._desk.command(DeleteStored(experiment=experiment.name, digest=kept.ref.digest))


def start_from(experiment: Experiment, trial: Trial) -> tuple[CheckpointRef | None, Kept | None]:
    """Where the trial's next attempt begins, and who holds that; None and None: at the beginning."""
    if not experiment.cumulative:
        return None, None
    own = trial.newest()
    if own is not None:
        return own.ref, own
    if trial.origin is None or trial.parent is None:
        return None, None
    held = [kept for kept in experiment.trials[trial.parent].kept if kept.ref.digest == trial.origin.digest]
    return (trial.origin, held[-1]) if held else (None, None)


def _with_parent(trial: Trial) -> list[int]:
    """Whose checkpoints an end or a stored checkpoint of the trial may make needless."""
    return [trial.number] if trial.parent is None else [trial.number, trial.parent]


def _on_its_way(trial: Trial) -> Kept | None:
    """What is being stored while the trial runs on: a newer one waits for it, else slow lines would never finish one.

    A trial that is to end is another thing: only its last one matters.
    """
    if trial.current is None or trial.current.stop:
        return None
    going = (kept for kept in trial.kept if kept.ordered and not kept.stored and kept.kind is SavedKind.CHECKPOINT)
    return next(going, None)


def _store(kept: Kept) -> StoreCheckpoint:
    return StoreCheckpoint(instance=kept.instance, attempt=kept.attempt, digest=kept.ref.digest)
