"""Pausing, resuming and cloning in the core, and what is kept for them."""

from __future__ import annotations

from typing import Any

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.snapshots import best_trial
from clustertune.model.checkpoint import CheckpointRef, SavedKind
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.world import World, two_machines

RUNGS: dict[str, Any] = {
    "scheduler": {"type": "asha-promotion", "reduction_factor": 3},
    "resource": {"name": "epoch", "min": 1, "max": 9},
}


def promoted(world: World, **changes: Any) -> str:
    """Three trials reach the first rung, pause with checkpoints, and the best of them is resumed; its digest."""
    world.submit(trials=3, **RUNGS, **changes)
    world.join(slots=1)
    for trial, error in ((0, 0.9), (1, 0.1), (2, 0.5)):
        world.ran(trial)
        world.report(trial, 1, error=error)
        attempt = world.trial(trial).current.id  # type: ignore[union-attr]
        digest = world.save(trial, 1)
        world.end(trial, EndReason.PAUSED)
        world.stored(digest, attempt)
    return "1-1"


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


def test_of_a_running_trial_the_newest_is_kept_and_older_ones_go_once_it_is_stored() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    for level in (1, 2):
        world.stored(world.save(0, level), "digits:0:1")
    world.save(0, 3)
    assert [kept.ref.digest for kept in world.trial(0).kept] == ["0-2", "0-3"]
    assert world.of(c.DeleteStored) == [c.DeleteStored(experiment="digits", digest="0-1")]
    assert [x.digests for x in world.of(c.DiscardCheckpoints)] == [("0-1",)]


def test_the_same_content_at_two_levels_is_stored_once_and_deleted_with_the_last() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    world.stored(world.save(0, 1, "same"), "digits:0:1")
    world.save(0, 2, "same")
    assert [(kept.ref.resource, kept.stored) for kept in world.trial(0).kept] == [(2, True)]
    assert len(world.of(c.StoreCheckpoint)) == 1
    assert world.of(c.DeleteStored) == []


def test_of_ended_trials_only_the_best_keeps_its_last() -> None:
    world = World()
    world.submit(trials=3)
    world.join(slots=3)
    for trial, error in ((0, 0.5), (1, 0.9), (2, 0.1)):
        world.ran(trial)
        world.report(trial, 1, error=error)
        world.save(trial, 1, wanted=False)
        world.save(trial, 1, f"result-{trial}", wanted=False, kind=SavedKind.RESULT)
    assert world.of(c.StoreCheckpoint) == []  # nobody waits for them
    for trial in (0, 1, 2):
        world.end(trial)
    assert {trial.number for trial in world.experiment().trials if trial.kept} == {2}
    assert {x.digest for x in world.of(c.StoreCheckpoint)} == {"2-1", "result-2"}
    assert world.core.state.busy()  # until they are stored, nobody leaves
    for digest in ("2-1", "result-2"):
        world.stored(digest, "digits:2:1")
    assert not world.core.state.busy()


def test_what_was_to_be_stored_is_asked_for_again_after_a_reconnection_and_after_a_restart() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    world.save(0, 1)
    assert len(world.of(c.StoreCheckpoint)) == 1
    world.join(slots=1)
    assert len(world.of(c.StoreCheckpoint)) == 2
    again = world.restarted()
    again.join(slots=1)
    assert again.of(c.StoreCheckpoint) == [c.StoreCheckpoint(instance="local-0", attempt="digits:0:1", digest="0-1")]  # type: ignore[arg-type]


def test_a_checkpoint_that_cannot_be_had_is_given_up_for_the_one_before_and_no_trial_is_lost() -> None:
    world = World()
    digest = promoted(world)
    world.end(1, EndReason.NO_CHECKPOINT, "the store has no such object")
    trial = world.trial(1)
    assert trial.state is TrialState.STARTING
    assert trial.current is not None
    assert trial.current.checkpoint is None
    assert trial.failures == 0
    assert any(digest_notice for digest_notice in trial.notices if "epoch 1 is lost" in digest_notice)
    assert c.DeleteStored(experiment="digits", digest=digest) in world.commands


def test_beyond_the_limit_on_the_disk_running_trials_give_way_worst_first_and_paused_ones_never() -> None:
    world = World()
    world.submit(trials=4, checkpoints={"disk": 25}, **RUNGS)
    world.join(slots=3)
    for trial in (0, 1, 2):
        world.ran(trial)
    world.report(0, 1, error=0.9)  # paused
    world.stored(world.save(0, 1, size=10), "digits:0:1")
    world.end(0, EndReason.PAUSED)
    world.stored(world.save(1, 1, size=10), "digits:1:1")
    assert {t.number for t in world.experiment().trials if t.kept} == {0, 1}
    world.stored(world.save(2, 1, size=10), "digits:2:1")
    left = {t.number for t in world.experiment().trials if t.kept}
    assert 0 in left
    assert len(left) == 2
    assert not world.experiment().over_limit


def test_where_all_are_needed_the_limit_gives_way_loudly() -> None:
    world = World()
    world.submit(trials=1, checkpoints={"disk": 5}, stop={"time": "9h"})
    world.join(slots=1)
    world.ran(0)
    world.send(e.PauseAsked(experiment="digits"))
    digest = world.save(0, 1, size=10)
    world.end(0, EndReason.PAUSED)
    world.stored(digest, "digits:0:1")
    assert [kept.stored for kept in world.trial(0).kept] == [True]
    assert any("more than checkpoints.disk allows" in event.text for event in world.experiment().events)


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


def test_what_is_to_be_deleted_is_deleted_after_a_restart_too_until_that_is_known() -> None:
    world = World()
    promoted(world)
    world.send(e.StopAsked(experiment="digits"))
    doomed = {command.digest for command in world.of(c.DeleteStored)}
    assert doomed
    again = world.restarted()
    assert {command.digest for command in again.of(c.DeleteStored)} == doomed
    for digest in doomed:
        again.send(e.CheckpointDeleted(experiment="digits", digest=digest))
    assert again.restarted().of(c.DeleteStored) == []


def test_what_a_lost_machine_was_bringing_may_be_in_the_storage_and_is_deleted() -> None:
    world = World()
    world.submit(trials=1, **RUNGS)
    world.join(slots=1)
    world.ran(0)
    digest = world.save(0, 1)
    assert world.of(c.StoreCheckpoint)
    world.send(e.InstanceVanished(instance="local-0", epoch=1, reason="gone"))
    assert world.of(c.DeleteStored) == [c.DeleteStored(experiment="digits", digest=digest)]


def test_what_a_dismissed_trial_saved_is_deleted() -> None:
    world = World()
    world.submit(trials=3, scheduler={"type": "dismissing"}, resource={"name": "epoch", "max": 4})
    world.join(slots=1)
    for trial, error in ((0, 0.9), (1, 0.5)):
        world.ran(trial)
        world.report(trial, 1, error=error)
        world.stored(world.save(trial, 1), f"digits:{trial}:1")
        world.end(trial, EndReason.PAUSED)
    assert world.trial(0).state is TrialState.STOPPED
    assert world.trial(0).kept == []
    assert world.of(c.DeleteStored) == [c.DeleteStored(experiment="digits", digest="0-1")]
    assert [(x.attempt, x.digests) for x in world.of(c.DiscardCheckpoints)][-1] == ("digits:0:1", ("0-1",))
    assert [kept.ref.digest for kept in world.trial(1).kept] == ["1-1"]


def test_the_storage_of_an_experiment_that_is_over_is_tidied_when_nothing_is_on_its_way_until_that_is_done() -> None:
    world = World()
    world.submit(trials=2)
    world.join(slots=2)
    for trial in (0, 1):
        world.ran(trial)
        world.report(trial, 1, error=0.5 - trial / 10)
        world.save(trial, 1)
    world.send(e.StopAsked(experiment="digits"))
    world.end(0, EndReason.STOPPED)
    world.end(1, EndReason.STOPPED)
    assert world.experiment().state.ended
    assert world.of(c.TidyStorage) == []  # the best one's last is still being stored
    world.stored("1-1", "digits:1:1")
    assert world.of(c.TidyStorage) == [c.TidyStorage(experiment="digits")]
    again = world.restarted()
    assert again.of(c.TidyStorage) == [c.TidyStorage(experiment="digits")]
    again.send(e.StorageTidied(experiment="digits"))
    assert again.restarted().of(c.TidyStorage) == []


def test_where_nothing_was_saved_no_storage_is_tidied() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.end(0)
    assert world.experiment().state.ended
    assert world.restarted().of(c.TidyStorage) == world.of(c.TidyStorage) == []


def test_what_an_agent_holds_and_nobody_needs_is_discarded_again() -> None:
    world = World()
    world.submit(trials=2)
    world.join(slots=2)
    world.ran(0)
    for level in (1, 2):
        world.stored(world.save(0, level), "digits:0:1")
    held = {"digits:0:1": ("0-1", "0-2"), "digits:1:1": ("1-1",), "gone:5:1": ("x",)}
    told = world.send(e.CheckpointsHeld(instance="local-0", epoch=1, digests=held))
    assert [(x.attempt, x.digests) for x in told if isinstance(x, c.DiscardCheckpoints)] == [
        ("digits:0:1", ("0-1",)),
        ("digits:1:1", ("1-1",)),
        ("gone:5:1", ("x",)),
    ]
    assert [kept.ref.digest for kept in world.trial(0).kept] == ["0-2"]


def test_what_keeps_the_best_ones_checkpoint_from_being_stored_is_told_until_it_is() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    world.report(0, 1, error=0.5)

    def problem() -> str:
        return best_trial(world.core, world.experiment()).problem

    for level, error in ((1, "the disk is full"), (2, "the bucket is gone")):
        digest, who = world.save(0, level), {"instance": "local-0", "epoch": 1, "attempt": "digits:0:1"}
        assert problem() == ""
        world.send(e.StoringFailed(**who, digest=digest, error=error))
        assert problem() == error
        world.stored(digest, "digits:0:1")
        assert problem() == ""


def test_however_many_checkpoints_are_gone_the_experiment_goes_on() -> None:
    world = World()
    world.submit(trials=4)
    world.join(slots=4)
    for trial in range(4):
        world.ran(trial)
        world.stored(world.save(trial, 1), f"digits:{trial}:1")
    world.send(e.PauseAsked(experiment="digits"))
    for trial in range(4):
        world.end(trial, EndReason.PAUSED)
    world.send(e.ResumeAsked(experiment="digits"))
    for trial in range(4):
        world.end(trial, EndReason.NO_CHECKPOINT, "the checkpoint is gone")
    assert world.experiment().state is ExperimentState.RUNNING
    assert [world.trial(n).state for n in range(4)] == [TrialState.STARTING] * 4
    assert all(command.checkpoint is None for command in world.of(c.StartAttempt)[-4:])


def test_on_a_slow_line_a_newer_checkpoint_waits_until_the_one_before_is_stored() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    for level in (1, 2, 3):
        world.save(0, level)
    assert [command.digest for command in world.of(c.StoreCheckpoint)] == ["0-1"]
    assert [kept.ref.digest for kept in world.trial(0).kept] == ["0-1", "0-3"]
    world.stored("0-1", "digits:0:1")
    assert [command.digest for command in world.of(c.StoreCheckpoint)] == ["0-1", "0-3"]
    assert [kept.ref.digest for kept in world.trial(0).kept] == ["0-1", "0-3"]
    world.stored("0-3", "digits:0:1")
    assert [kept.ref.digest for kept in world.trial(0).kept] == ["0-3"]


def test_a_trial_that_is_paused_has_its_last_one_stored_at_once() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    world.save(0, 1)
    world.send(e.PauseAsked(experiment="digits"))
    world.save(0, 2)
    assert [command.digest for command in world.of(c.StoreCheckpoint)] == ["0-1", "0-2"]
    assert [kept.ref.digest for kept in world.trial(0).kept] == ["0-2"]


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
