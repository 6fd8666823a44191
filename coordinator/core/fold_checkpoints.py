"""The fold's part that tells of checkpoints, and of what is known of what ran."""

from __future__ import annotations

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.state import Experiment, Kept, State, Trial
from clustertune.model.checkpoint import SavedKind


def checkpoint_saved(state: State, fact: f.CheckpointSaved) -> None:
    experiment, trial = _trial(state, fact.experiment, fact.trial)
    stored = any(kept.stored for kept in experiment.with_content(fact.ref.digest))
    # The same content again, at another level: one thing, not two.
    trial.kept = [k for k in trial.kept if (k.ref.digest, k.attempt) != (fact.ref.digest, fact.attempt)]
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
    experiment.copies.setdefault(fact.ref.digest, set()).add(trial.number)
    experiment.note_kept(trial)
    experiment.untidy = True
    experiment.deleting.discard(fact.ref.digest)
    for child in (experiment.trials[number] for number in experiment.heirs):
        if child.awaits and child.parent == trial.number and fact.kind is SavedKind.CHECKPOINT:
            child.origin, child.awaits = fact.ref, False


def checkpoint_ordered(state: State, fact: f.CheckpointOrdered) -> None:
    experiment, trial = _trial(state, fact.experiment, fact.trial)
    for kept in trial.kept:
        kept.ordered = kept.ordered or kept.ref.digest == fact.digest
    experiment.note_kept(trial)


def checkpoint_stored(state: State, fact: f.CheckpointStored) -> None:
    experiment = state.experiments[fact.experiment]
    found = list(experiment.with_content(fact.digest))
    # One content is one thing in the storage, however many have it.
    if found and not found[0].stored:
        experiment.stored_bytes += found[0].ref.size_bytes
    for kept in found:
        kept.ordered = kept.stored = True
    for number in experiment.copies.get(fact.digest, ()):
        experiment.note_kept(experiment.trials[number])


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
    experiment.note_kept(trial)
    left = {kept.ref.digest for kept in trial.kept}
    for kept in gone:
        digest = kept.ref.digest
        holders = experiment.copies.get(digest, set())
        if digest not in left:
            holders.discard(trial.number)
        if not holders:
            if experiment.copies.pop(digest, None) is not None and kept.stored:
                experiment.stored_bytes -= kept.ref.size_bytes
            experiment.deleting.update({digest} if kept.ordered else ())


def _trial(state: State, experiment: str, trial: int) -> tuple[Experiment, Trial]:
    found = state.experiments[experiment]
    return found, found.trials[trial]
