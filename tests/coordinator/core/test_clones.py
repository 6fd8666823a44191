"""Clones in the core: whose children they are, where they begin, and what is kept for them."""

from __future__ import annotations

from clustertune.coordinator.core import commands as c
from clustertune.model.checkpoint import CheckpointRef
from clustertune.model.trial import EndReason, TrialState
from tests.coordinator.core.test_checkpoints import promoted
from tests.coordinator.core.world import World


def swapping(world: World) -> None:
    world.submit(trials=2, scheduler={"type": "swapping"}, resource={"name": "epoch", "max": 4})
    world.join(slots=2)
    for trial in (0, 1):
        world.ran(trial)


def test_a_clone_is_a_child_that_begins_from_its_parents_checkpoint() -> None:
    world = World()
    swapping(world)
    world.report(0, 2, error=0.1)
    world.stored(world.save(0, 2), "digits:0:1")
    world.report(1, 2, error=0.9)
    child = world.trial(2)
    assert (child.parent, child.config, child.origin) == (0, {"lr": 0.5}, CheckpointRef("0-2", 2, 1))
    assert ("digits:1:1", "stopped") in world.stops()
    world.end(1, EndReason.STOPPED)
    assert world.trial(1).state is TrialState.STOPPED
    assert world.of(c.StartAttempt)[-1].checkpoint == CheckpointRef("0-2", 2, 1)
    assert world.experiment().scheduler.asked.children == [(0, 2, 2)]  # type: ignore[attr-defined]


def test_what_a_clone_needs_outlives_its_parent_until_the_clone_has_its_own() -> None:
    world = World()
    swapping(world)
    world.report(0, 2, error=0.5)
    world.stored(world.save(0, 2), "digits:0:1")
    world.report(1, 2, error=0.9)
    world.end(1, EndReason.STOPPED)
    world.ran(2)
    world.report(2, 3, error=0.1)
    world.report(0, 4, error=0.4)
    world.end(0)
    assert [kept.ref.digest for kept in world.trial(0).kept] == ["0-2"]  # not the best, and still needed
    world.stored(world.save(2, 3), "digits:2:1")
    assert world.trial(0).kept == []


def test_a_clone_of_a_parent_that_saved_nothing_yet_waits_while_the_parent_is_asked() -> None:
    world = World()
    swapping(world)
    world.report(0, 2, error=0.1)
    world.report(1, 2, error=0.9)
    assert world.trial(2).awaits
    assert world.of(c.AskForCheckpoint) == [c.AskForCheckpoint(instance="local-0", attempt="digits:0:1")]  # type: ignore[arg-type]
    world.end(1, EndReason.STOPPED)
    assert world.trial(2).state is TrialState.PENDING
    world.save(0, 2)
    assert world.of(c.StartAttempt)[-1].attempt == "digits:2:1"
    assert world.of(c.StartAttempt)[-1].checkpoint == CheckpointRef("0-2", 2, 1)


def test_what_the_parent_saved_long_ago_is_not_enough_while_it_runs() -> None:
    world = World()
    swapping(world)
    world.stored(world.save(0, 1), "digits:0:1")
    world.report(0, 2, error=0.1)
    world.report(1, 2, error=0.9)
    assert (world.trial(2).awaits, world.trial(2).origin) == (True, CheckpointRef("0-1", 1, 1))
    assert world.experiment().scheduler.asked.children == [(0, 2, 2)]  # type: ignore[attr-defined]
    world.end(1, EndReason.STOPPED)
    assert world.trial(2).state is TrialState.PENDING
    world.save(0, 2)
    assert world.of(c.StartAttempt)[-1].checkpoint == CheckpointRef("0-2", 2, 1)


def test_what_the_parent_saved_long_ago_is_better_than_nothing_where_it_ends_first() -> None:
    world = World()
    swapping(world)
    world.stored(world.save(0, 1), "digits:0:1")
    world.report(0, 2, error=0.1)
    world.report(1, 2, error=0.9)
    world.end(1, EndReason.STOPPED)
    world.end(0, EndReason.RETURNED)
    assert world.of(c.StartAttempt)[-1].checkpoint == CheckpointRef("0-1", 1, 1)


def test_a_clone_of_a_parent_that_ends_without_saving_begins_at_the_beginning() -> None:
    world = World()
    swapping(world)
    world.report(0, 2, error=0.1)
    world.report(1, 2, error=0.9)
    world.end(1, EndReason.STOPPED)
    world.end(0, EndReason.RETURNED)
    assert world.of(c.StartAttempt)[-1].attempt == "digits:2:1"
    assert world.of(c.StartAttempt)[-1].checkpoint is None


def test_clones_do_not_count_towards_the_number_of_trials_and_all_of_it_survives_a_restart() -> None:
    world = World()
    swapping(world)
    world.report(0, 2, error=0.1)
    world.stored(world.save(0, 2), "digits:0:1")
    world.report(1, 2, error=0.9)
    world = world.restarted()
    assert not world.experiment().can_create()
    assert len(world.experiment().trials) == 3
    world.join(slots=2)
    world.end(1, EndReason.STOPPED)
    assert world.of(c.StartAttempt)[-1].checkpoint == CheckpointRef("0-2", 2, 1)


def test_people_are_told_where_a_trial_goes_on_and_whose_clone_it_is() -> None:
    world = World()
    promoted(world)
    world.ran(1)
    assert world.experiment().events[-1].text.startswith("trial 1 goes on from epoch 1: lr=")
    world = World()
    swapping(world)
    world.report(0, 2, error=0.1)
    world.stored(world.save(0, 2), "digits:0:1")
    world.report(1, 2, error=0.9)
    world.end(1, EndReason.STOPPED)
    world.ran(2)
    assert world.experiment().events[-1].text == "trial 2 began as a clone of trial 0 at epoch 2: lr=0.5"
