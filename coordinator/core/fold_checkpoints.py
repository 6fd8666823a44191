"""The fold's part that tells of checkpoints, and of what is known of what ran."""

from __future__ import annotations

from collections.abc import Iterator

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.state import Experiment, Kept, State, Trial
from clustertune.model.checkpoint import SavedKind


def checkpoint_saved(state: State, fact: f.CheckpointSaved) -> None:
    experiment, trial = _trial(state, fact.experiment, fact.trial)
    stored = any(kept.stored for kept in _with(experiment, fact.ref.digest))
    # The same content again, at another level: one thing, not two.
    same = [k for k in trial.kept if (k.ref.digest, k.attempt) == (fact.ref.digest, fact.attempt)]
    trial.kept = [kept for kept in trial.kept if kept not in same]
    experiment.copies[fact.ref.digest] += 1 - len(same)
    trial.kept.append(
        Kept(
            ref=fact.ref,
            kind=fact.kind,
            attempt=fact.attempt,
            instance=fact.instance,
            epoch=fact.epoch,
            wanted=fact.wanted,
            ordered=stored,
            stored=stored,
        )
    )
    experiment.keepers.add(trial.number)
    experiment.untidy = True
    experiment.deleting.discard(fact.ref.digest)
    for child in (experiment.trials[number] for number in experiment.heirs):
        if child.awaits and child.parent == trial.number and fact.kind is SavedKind.CHECKPOINT:
            child.origin, child.awaits = fact.ref, False


def checkpoint_ordered(state: State, fact: f.CheckpointOrdered) -> None:
    for kept in _trial(state, fact.experiment, fact.trial)[1].kept:
        kept.ordered = kept.ordered or kept.ref.digest == fact.digest


def checkpoint_stored(state: State, fact: f.CheckpointStored) -> None:
    for kept in _with(state.experiments[fact.experiment], fact.digest):
        kept.ordered = kept.stored = True


def checkpoint_dropped(state: State, fact: f.CheckpointDropped) -> None:
    experiment, trial = _trial(state, fact.experiment, fact.trial)
    _let_go(experiment, trial, [k for k in trial.kept if (k.ref.digest, k.attempt) == (fact.digest, fact.attempt)])


def checkpoint_deleted(state: State, fact: f.CheckpointDeleted) -> None:
    state.experiments[fact.experiment].deleting.discard(fact.digest)


def storage_tidied(state: State, fact: f.StorageTidied) -> None:
    state.experiments[fact.experiment].untidy = False


def provenance_known(state: State, fact: f.ProvenanceKnown) -> None:
    state.provenances[fact.provenance] = fact.content


def trial_described(state: State, fact: f.TrialDescribed) -> None:
    trial = _trial(state, fact.experiment, fact.trial)[1]
    trial.provenance = fact.provenance or trial.provenance
    trial.told = {**trial.told, **fact.told}


def machine_gone(state: State, fact: f.InstanceGone) -> None:
    """What only that machine held is gone with it."""
    for experiment in state.experiments.values():
        for number in sorted(experiment.keepers):
            trial = experiment.trials[number]
            here = [k for k in trial.kept if (k.instance, k.epoch) == (fact.instance, fact.epoch)]
            _let_go(experiment, trial, [kept for kept in here if not kept.stored])


def _let_go(experiment: Experiment, trial: Trial, gone: list[Kept]) -> None:
    """What was ordered may be in the storage, whether we were told or not."""
    trial.kept = [kept for kept in trial.kept if kept not in gone]
    if not trial.kept:
        experiment.keepers.discard(trial.number)
    for kept in gone:
        experiment.copies[kept.ref.digest] -= 1
        if not experiment.copies[kept.ref.digest]:
            del experiment.copies[kept.ref.digest]
            experiment.deleting.update({kept.ref.digest} if kept.ordered else ())


def _with(experiment: Experiment, digest: str) -> Iterator[Kept]:
    """Who has this content; nobody is asked where there is none."""
    return (k for k in experiment.all_kept() if k.ref.digest == digest) if digest in experiment.copies else iter(())


def _trial(state: State, experiment: str, trial: int) -> tuple[Experiment, Trial]:
    found = state.experiments[experiment]
    return found, found.trials[trial]
