"""Pausing and resuming in the core."""

from __future__ import annotations

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.model.checkpoint import CheckpointRef
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.promoting import RUNGS, promoted
from tests.coordinator.core.world import World, two_machines


def test_a_trial_at_its_rung_is_paused_and_the_best_goes_on_from_its_checkpoint() -> None:
    world = World()
    digest = promoted(world)
    assert [stop[1] for stop in world.stops()] == ["paused"] * 3
    assert [world.trial(n).state.value for n in range(3)] == ["paused", "starting", "paused"]
    start = world.of(c.StartAttempt)[-1]
    assert (start.attempt, start.checkpoint, start.target) == ("digits:1:2", CheckpointRef(digest, 1, 1), 3)
    assert start.run.pauses


def test_a_report_at_the_target_that_goes_on_is_answered_with_the_next_one() -> None:
    world = World()
    promoted(world)
    world.ran(1)
    world.send(
        e.AgentConnected(instance="local-0", epoch=1, inventory=world.core.state.instances["local-0"].room.inventory)
    )  # type: ignore[union-attr]
    world.report(1, 9, error=0.05)
    assert world.trial(1).target is None
    assert world.of(c.LetGoOn)[-1] == c.LetGoOn(instance="local-0", attempt="digits:1:2", target=None)  # type: ignore[arg-type]


def test_when_nobody_can_be_promoted_any_more_the_experiment_is_complete() -> None:
    world = World()
    promoted(world)
    world.ran(1)
    world.report(1, 3, error=0.05)
    world.save(1, 3)
    world.end(1, EndReason.PAUSED)
    assert world.experiment().state is ExperimentState.COMPLETED
    assert [world.trial(n).state for n in range(3)] == [TrialState.STOPPED] * 3


def test_a_program_that_returns_at_its_target_is_paused_all_the_same() -> None:
    world = World()
    world.submit(trials=3, **RUNGS)
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.end(0, EndReason.RETURNED)
    assert world.trial(0).state is TrialState.PAUSED


def test_steps_that_a_resumed_trial_repeats_are_counted_once() -> None:
    world = World()
    promoted(world)
    world.ran(1)
    before = world.experiment().reports
    world.report(1, 1, error=0.1)
    world.report(1, 2, error=0.09)
    assert world.experiment().reports == before + 1
    assert [row.observed for row in world.reports[-2:]] == [False, True]


def test_what_is_not_stored_yet_is_resumed_only_where_it_lies() -> None:
    world = two_machines()
    world.submit(trials=2, parallel=1)
    world.join(slots=1)
    world.ran(0)
    world.report(0, 1, error=0.5)
    world.send(e.PauseAsked(experiment="digits"))
    digest = world.save(0, 1)
    attempt = world.trial(0).current.id  # type: ignore[union-attr]
    world.end(0, EndReason.PAUSED)
    world.join(slots=1, instance="local-1")
    world.send(e.AgentDisconnected(instance="local-0", epoch=1))
    world.send(e.ResumeAsked(experiment="digits"))
    assert world.trial(0).state is TrialState.PENDING
    world.stored(digest, attempt)
    current = world.trial(0).current
    assert current is None  # trial 1 took the place meanwhile, for at most one may run
    world.end(1)
    current = world.trial(0).current
    assert current is not None
    assert (current.instance, current.checkpoint) == ("local-1", CheckpointRef(digest, 1, 1))


def test_a_checkpoint_that_went_with_its_machine_is_not_waited_for() -> None:
    world = two_machines()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    stored = world.save(0, 1)
    world.stored(stored, "digits:0:1")
    world.save(0, 2)
    world.join(slots=1, instance="local-1")
    world.send(e.InstanceVanished(instance="local-0", epoch=1, reason="killed"))
    current = world.trial(0).current
    assert current is not None
    assert (current.instance, current.checkpoint) == ("local-1", CheckpointRef(stored, 1, 1))


def test_after_a_restart_nobody_is_promoted_twice() -> None:
    world = World()
    promoted(world)
    world = world.restarted()
    world.join(slots=3)
    assert [world.trial(n).state.value for n in range(3)] == ["paused", "starting", "paused"]
    world.ran(1)
    world.report(1, 3, error=0.05)
    world.save(1, 3)
    world.end(1, EndReason.PAUSED)
    assert world.experiment().state is ExperimentState.COMPLETED


def test_a_trial_that_is_still_saving_is_not_resumed_and_its_slot_mate_goes_on() -> None:
    world = World()
    world.submit(trials=4, **RUNGS)
    world.join(slots=2)
    for trial, error in ((0, 0.9), (1, 0.8), (2, 0.1)):
        if trial == 2:
            world.end(0, EndReason.PAUSED)
        world.ran(trial)
        world.report(trial, 1, error=error)
    world.end(1, EndReason.PAUSED)  # a slot is free, and the best, trial 2, is still saving
    assert world.trial(2).state is TrialState.RUNNING
    assert world.trial(3).state is TrialState.STARTING
    world.end(2, EndReason.PAUSED)
    assert world.trial(2).state is TrialState.STARTING


def test_a_program_that_fails_while_it_saves_for_a_pause_has_failed() -> None:
    world = World()
    world.submit(trials=3, retries=1, **RUNGS)
    world.join(slots=1)
    world.ran(0)
    world.report(0, 1, error=0.5)
    world.end(0, EndReason.RAISED, "RuntimeError: disk on fire")
    assert world.trial(0).state is TrialState.PAUSED  # it is tried again when it is promoted
    assert world.trial(0).failures == 1
    world.ran(1)
    world.report(1, 1, error=0.9)
    world.end(1, EndReason.PAUSED)
    assert world.trial(1).failures == 0
    world = World()
    world.submit(trials=2, **RUNGS)
    world.join(slots=1)
    world.ran(0)
    world.report(0, 1, error=0.5)
    world.end(0, EndReason.RAISED, "RuntimeError: disk on fire")
    assert world.trial(0).state is TrialState.FAILED


def test_paused_trials_are_among_those_that_are_shown() -> None:
    world = World()
    promoted(world)
    assert list(world.experiment().recent) == [2, 1, 0]
