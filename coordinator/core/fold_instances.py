"""The fold's part that tells of machines."""

from __future__ import annotations

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core import fold_checkpoints
from clustertune.coordinator.core.placement import Room
from clustertune.coordinator.core.state import Instance, State


def instance_launched(state: State, fact: f.InstanceLaunched, now: float) -> None:
    state.epochs[fact.instance] = fact.epoch
    state.instances[fact.instance] = Instance(
        id=fact.instance, epoch=fact.epoch, token_hash=fact.token_hash, launched=now
    )


def instance_ready(state: State, fact: f.InstanceReady) -> None:
    instance = state.instances[fact.instance]
    instance.room = Room(fact.inventory)
    for name, number in instance.attempts.values():
        experiment = state.experiments[name]
        current = experiment.trials[number].current
        if current is not None:
            instance.room.take(experiment.demand, current.gpus)


def instance_gone(state: State, fact: f.InstanceGone) -> None:
    state.instances.pop(fact.instance, None)
    fold_checkpoints.machine_gone(state, fact)
