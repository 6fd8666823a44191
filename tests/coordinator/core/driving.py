"""Programs for a world: each climbs level by level, saves when it is asked to, and ends when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.state import Attempt
from clustertune.model.trial import Config, EndReason
from tests.coordinator.core.world import World

Loss = Callable[[Config, int], float]


def drive(
    world: World,
    loss: Loss,
    *,
    slots: int = 2,
    top: int = 9,
    seed: int = 0,
    fails: Collection[tuple[int, int]] = (),
    lost_at: int | None = None,
    restart_at: int | None = None,
    most: int = 5_000,
) -> World:
    """The world when the experiment has ended; a step is one move of one attempt, drawn by ``seed``.

    ``fails``: which trial raises instead of reporting which level, each time. ``lost_at`` and ``restart_at`` are the
    steps at which the machine vanishes and at which the coordinator is killed.
    """
    generator = Random(seed)
    for step in range(most):
        experiment = world.experiment()
        if experiment.state.ended and not experiment.active:
            return world
        if step == restart_at:
            world = world.restarted()
        instance = world.core.state.instances.get("local-0")
        if instance is None:
            world.send(e.Ticked(), after_s=61)
        elif not instance.connected:
            world.join(slots=slots, epoch=instance.epoch)
        elif step == lost_at:
            world.send(e.InstanceVanished(instance="local-0", epoch=instance.epoch, reason="killed"))
        else:
            _move(world, loss, generator.choice(sorted(world.experiment().active)), top, fails)
    raise AssertionError(f"after {most} steps it still runs: {world.experiment().counts}")


def _move(world: World, loss: Loss, number: int, top: int, fails: Collection[tuple[int, int]]) -> None:
    experiment, trial = world.experiment(), world.trial(number)
    attempt = trial.current
    assert attempt is not None
    level = _level(attempt)
    if not attempt.started:
        world.ran(number)
    elif attempt.stop == "paused":
        if level:
            _save(world, number, level)
        world.end(number, EndReason.PAUSED)
    elif attempt.stop:
        world.end(number, EndReason.STOPPED)
    elif any(experiment.trials[heir].awaits and experiment.trials[heir].parent == number for heir in experiment.heirs):
        _save(world, number, level)
    elif level >= top:
        world.end(number, EndReason.RETURNED)
    elif (number, level + 1) in fails:
        world.end(number, EndReason.RAISED, "ValueError: no")
    else:
        world.report(number, level + 1, error=loss(trial.config, level + 1))


def _level(attempt: Attempt) -> int:
    began = attempt.checkpoint.resource if attempt.checkpoint is not None else 0
    return max(attempt.resource, began)


def _save(world: World, trial: int, level: int) -> None:
    attempt = world.trial(trial).current
    assert attempt is not None
    world.stored(world.save(trial, level, f"{trial}-{attempt.number}-{level}"), attempt.id)
