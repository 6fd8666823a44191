"""What is kept of checkpoints in the core: stored, given up, deleted."""

from __future__ import annotations

from typing import Any, NoReturn

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.snapshots import best_trial
from clustertune.coordinator.core.state import Kept
from clustertune.model.checkpoint import SavedKind
from clustertune.model.instance import Inventory
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.promoting import RUNGS, promoted
from tests.coordinator.core.world import World, check


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


class Unseen(list[Kept]):
    """Nobody may look at what is in it."""

    def __iter__(self) -> NoReturn:
        raise AssertionError("looked at what a trial keeps that has nothing to do with it")


def test_what_one_trial_saves_has_nobody_look_at_what_all_others_keep() -> None:
    world = World()
    world.submit(trials=2, checkpoints={"disk": "1GiB"})
    world.join(slots=2)
    for trial in (0, 1):
        world.ran(trial)
        world.stored(world.save(trial, 1), f"digits:{trial}:1")
    kept = world.trial(0).kept
    world.trial(0).kept = Unseen(kept)  # it stands for the thousands that schedulers pause
    saved: dict[str, Any] = {"kind": SavedKind.CHECKPOINT, "wanted": True, "size_bytes": 1}
    attempt = {"attempt": "digits:1:1", "instance": "local-0", "epoch": 1}
    for digest, level in (("1-1", 2), ("1-3", 3)):
        world.core.handle(e.CheckpointSaved(**attempt, **saved, digest=digest, resource=level), world.now)
        world.core.handle(e.CheckpointStored(attempt="digits:1:1", digest=digest), world.now)  # type: ignore[arg-type]
    machine = Inventory(cpus=2, memory_bytes=2**30, slots=2)
    world.core.handle(e.AgentConnected(instance="local-0", epoch=1, inventory=machine), world.now)
    world.trial(0).kept = kept
    assert [(kept.ref.digest, kept.stored) for kept in world.trial(1).kept] == [("1-3", True)]
    check(world.core)


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


def test_what_a_machine_that_is_gone_says_it_saved_keeps_no_trial_waiting_for_it() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.ran(0)
    world.send(e.InstanceVanished(instance="local-0", epoch=1, reason="killed"))
    saved = {"kind": SavedKind.CHECKPOINT, "resource": 1, "digest": "late", "size_bytes": 1, "wanted": True}
    world.send(e.CheckpointSaved(instance="local-0", epoch=1, attempt="digits:0:1", **saved))
    assert world.trial(0).kept == []
    world.send(e.Ticked(), after_s=1.0)
    world.join(slots=1, epoch=2)
    assert world.of(c.StartAttempt)[-1].checkpoint is None
    world.ran(0)
    world.report(0, 1, error=0.5)
    world.end(0)
    assert not world.core.state.busy()  # the machine may go
