"""Machines that come, go silent and are let go, and what is placed on them."""

from __future__ import annotations

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.fleet import LOST_AFTER_S
from clustertune.coordinator.core.snapshots import waiting
from clustertune.model.trial import ExperimentState, TrialState
from tests.coordinator.core.world import World, new_core, two_machines


def test_an_experiment_launches_a_machine_and_fills_its_slots() -> None:
    world = World()
    world.submit()
    assert world.commands == [c.Launch(instance="local-0", epoch=1)]
    world.join(slots=2)
    assert world.started() == ["digits:0:1", "digits:1:1"]
    assert world.trial(0).state is TrialState.STARTING
    world.ran(0)
    assert world.trial(0).state is TrialState.RUNNING


def test_what_a_fenced_epoch_says_changes_nothing() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    old = world.trial(0).current
    assert old is not None
    world.send(e.InstanceVanished(instance="local-0", epoch=1, reason="killed"))
    world.send(e.Ticked(), after_s=5)
    world.join(slots=1, epoch=2)
    assert world.trial(0).current is not None
    before = len(world.journal)
    world.send(e.Reported(instance="local-0", epoch=1, attempt=old.id, reports=()))
    world.send(e.AttemptRan(instance="local-0", epoch=1, attempt=old.id))
    assert len(world.journal) == before


def test_an_agent_unheard_of_for_two_minutes_loses_its_attempts() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.send(e.AgentDisconnected(instance="local-0", epoch=1))
    for _ in range(int(LOST_AFTER_S) - 2):
        world.send(e.Ticked(), after_s=1)
    assert world.trial(0).current is not None
    for _ in range(4):
        world.send(e.Ticked(), after_s=1)
    assert world.trial(0).state is TrialState.PENDING


def test_the_time_that_the_coordinator_slept_counts_against_no_agent() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.send(e.Ticked(), after_s=1)
    world.send(e.AgentDisconnected(instance="local-0", epoch=1))
    world.send(e.Ticked(), after_s=3600)
    assert world.trial(0).current is not None


def test_a_returning_agent_is_told_again_what_it_should_run_and_end() -> None:
    world = World()
    world.submit()
    world.join(slots=2)
    world.send(e.AgentDisconnected(instance="local-0", epoch=1))
    world.send(e.StopAsked(experiment="digits"))
    commands = world.join(slots=2)
    assert [type(x).__name__ for x in commands] == ["StartAttempt", "StopAttempt"] * 2


def test_two_experiments_share_the_slots_evenly() -> None:
    world = World()
    world.submit("a")
    world.submit("b")
    world.join(slots=4)
    assert len(world.experiment("a").active) == len(world.experiment("b").active) == 2


def test_fractions_of_a_gpu_share_a_card_and_whole_ones_do_not() -> None:
    world = World()
    world.submit("small", per_trial={"cpus": 0.1, "gpus": 0.5}, trials=2)
    world.submit("large", per_trial={"cpus": 0.1, "gpus": 1}, trials=2)
    world.join(slots=None, gpus=2)
    small = {world.trial(n, "small").current.gpus for n in (0, 1)}  # type: ignore[union-attr]
    assert len(small) == 1
    assert len(world.experiment("large").active) == 1


def test_a_machine_that_will_not_start_is_tried_again_ever_more_slowly() -> None:
    world = World()
    world.submit()
    for epoch in (1, 2, 3):
        world.send(e.LaunchFailed(instance="local-0", epoch=epoch, error="no"))
        assert world.core.fleet.problem == "no"
        world.send(e.Ticked(), after_s=60)
    launches = [x.epoch for x in world.commands if isinstance(x, c.Launch)]
    assert launches == [1, 2, 3, 4]


def test_a_machine_that_fails_holds_back_no_other() -> None:
    world = two_machines()
    world.submit()
    world.send(e.LaunchFailed(instance="local-0", epoch=1, error="no", retry=False))
    assert world.core.fleet.problem == "local-0: no"
    assert waiting(world.core, world.experiment()) == "a machine is being started"
    world.send(e.InstanceVanished(instance="local-1", epoch=1, reason="gone"))
    assert world.core.fleet.problem == "local-0: no (and 1 other machine)"
    told = "no machine is up; those that failed are tried again by themselves"
    assert waiting(world.core, world.experiment()) == told
    world.send(e.Ticked(), after_s=1)
    assert [(x.instance, x.epoch) for x in world.commands if isinstance(x, c.Launch)][2:] == [("local-1", 2)]
    world.join(slots=2, instance="local-1", epoch=2)
    assert world.core.fleet.problem == "local-0: no"
    assert world.started() == ["digits:0:1", "digits:1:1"]


def test_a_demand_waits_for_machines_that_are_yet_to_come() -> None:
    world = two_machines()
    world.submit(per_trial={"cpus": 64})
    world.join(slots=None, cpus=2, instance="local-0")
    assert world.experiment().state is ExperimentState.RUNNING
    world.join(slots=None, cpus=64, instance="local-1")
    assert world.started() == ["digits:0:1"]


def test_idle_machines_are_let_go() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=1)
    world.report(0, 1, error=0.1)
    world.end(0)
    world.send(e.Ticked(), after_s=61)
    assert isinstance(world.commands[-1], c.Terminate)
    assert not world.core.state.instances


def test_a_restart_without_the_secrets_starts_nothing_until_they_come_back() -> None:
    world = World()
    world.submit(secrets=["HF_TOKEN"], trials=4)
    world.join(slots=1)
    fresh = world.restarted()
    fresh.join(slots=2)
    assert fresh.started() == ["digits:0:1"]
    fresh.send(e.ResumeAsked(experiment="digits", secrets=True))
    assert fresh.started() == ["digits:0:1", "digits:1:1"]


def test_a_demand_that_no_machine_meets_is_refused_also_when_the_machine_is_there_already() -> None:
    world = World()
    world.submit(trials=1)
    world.join(slots=None, cpus=2)
    large = world.submit("large", per_trial={"cpus": 64})
    assert large.state is ExperimentState.FAILED


def test_a_leaving_coordinator_starts_nothing_and_its_trials_run_again_when_it_is_back() -> None:
    world = World()
    world.submit(trials=4)
    world.join(slots=2)
    world.now += 1
    step = world.core.leave(world.now, stop_agents=True)
    world.journal += [(world.now, fact) for fact in step.facts]
    assert [type(x) for x in step.commands] == [c.Terminate]
    assert world.send(e.Ticked()) == []
    fresh = world.restarted()
    fresh.join(slots=2, epoch=2)
    assert fresh.started() == ["digits:0:2", "digits:1:2"]


def test_down_ends_machines_that_were_given_up_too_for_an_agent_may_be_back_there() -> None:
    world = two_machines()
    world.submit(trials=1)
    world.join(slots=1, instance="local-0")
    world.join(slots=1, instance="local-1")
    world.report(0, 1, error=0.1)
    world.end(0)
    world.send(e.InstanceVanished(instance="local-1", epoch=1, reason="unheard of"))
    told = [command for command in world.send(e.DownAsked()) if isinstance(command, c.Terminate)]
    assert [(command.instance, command.epoch) for command in told] == [("local-0", 1), ("local-1", 1)]


def test_down_ends_no_machine_that_never_was_launched() -> None:
    world = two_machines()
    assert world.send(e.DownAsked()) == []


def test_how_long_an_agent_may_be_silent_can_be_set() -> None:
    world = World(core=new_core(lost_after_s=3.0))
    world.submit()
    world.join(slots=1)
    world.send(e.AgentDisconnected(instance="local-0", epoch=1))
    world.send(e.Ticked(), after_s=1)
    assert world.trial(0).current is not None
    world.send(e.Ticked(), after_s=1)
    world.send(e.Ticked(), after_s=1)
    assert world.trial(0).state is TrialState.PENDING
    assert "unheard of for 3 s" in [fact.reason for _, fact in world.journal if isinstance(fact, f.InstanceGone)]
