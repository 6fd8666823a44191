"""When programs or machines fail: what is tried again, what ends a trial, what ends the experiment."""

from __future__ import annotations

from clustertune.coordinator.core import events as e
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.world import World


def test_a_trial_that_ends_without_a_value_has_failed() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.end(0)
    assert world.trial(0).state is TrialState.FAILED
    assert world.trial(0).error == "ended without reporting 'error'"


def test_a_failure_is_tried_again_as_often_as_retries_says() -> None:
    world = World()
    world.submit(retries=1)
    world.join(slots=1)
    world.end(0, EndReason.RAISED, "ValueError: no")
    assert world.trial(0).state is TrialState.STARTING
    assert world.started() == ["digits:0:1", "digits:0:2"]
    world.end(0, EndReason.RAISED, "ValueError: no")
    assert world.trial(0).state is TrialState.FAILED


def test_the_machines_failures_do_not_count_against_retries() -> None:
    world = World()
    world.submit(retries=0)
    for epoch in range(1, 5):
        world.join(slots=1, epoch=epoch)
        world.send(e.InstanceVanished(instance="local-0", epoch=epoch, reason="killed"), after_s=100)
    world.join(slots=1, epoch=5)
    assert world.trial(0).attempts == 5
    assert world.trial(0).failures == 0


def test_three_trials_that_fail_alike_at_first_end_the_experiment_with_the_traceback() -> None:
    world = World()
    world.submit(trials=20)
    world.join(slots=2)
    for number in range(3):
        world.end(number, EndReason.RAISED, f"ValueError: shapes ({number}, 3) differ")
    experiment = world.experiment()
    assert experiment.state is ExperimentState.FAILED
    assert experiment.reason.startswith("the first attempts of 3 trials all failed in the same way: ValueError")
    assert ("digits:3:1", "stopped") in world.stops()


def test_failures_that_differ_or_follow_a_success_do_not_end_the_experiment() -> None:
    world = World()
    world.submit(trials=20)
    world.join(slots=1)
    world.end(0, EndReason.RAISED, "ValueError: a")
    world.end(1, EndReason.RAISED, "KeyError: b")
    for number in range(2, 9):
        world.end(number, EndReason.RAISED, "ValueError: a")
    assert world.experiment().state is ExperimentState.RUNNING


def test_an_experiment_whose_trials_all_fail_differently_has_failed() -> None:
    world = World()
    world.submit(trials=2)
    world.join(slots=1)
    world.end(0, EndReason.RAISED, "ValueError: a")
    world.end(1, EndReason.RAISED, "KeyError: b")
    assert world.experiment().state is ExperimentState.FAILED
    assert world.experiment().reason == "no trial reported a finite error"


def test_a_trial_that_fits_on_no_machine_fails_the_experiment_with_the_remedy() -> None:
    world = World()
    world.submit(per_trial={"cpus": 64})
    world.join(slots=None, cpus=2)
    assert world.experiment().state is ExperimentState.FAILED
    assert "lower per_trial.cpus" in world.experiment().reason


def test_a_trial_past_its_time_keeps_what_it_reported_and_one_that_said_nothing_is_tried_again() -> None:
    world = World()
    world.submit(retries=1, trials=2)
    world.join(slots=2)
    world.report(0, 1, error=0.5)
    world.end(0, EndReason.TIMEOUT, "ran longer than trial_time")
    assert world.trial(0).state is TrialState.STOPPED
    world.end(1, EndReason.TIMEOUT, "ran longer than trial_time")
    assert world.trial(1).attempts == 2
    world.end(1, EndReason.TIMEOUT, "ran longer than trial_time")
    assert world.trial(1).state is TrialState.FAILED


def test_a_program_that_ran_and_cannot_be_started_any_more_holds_the_experiment_and_loses_no_trial() -> None:
    world = World()
    world.submit(trials=50)
    world.join(slots=2)
    world.report(0, 1, error=0.5)
    world.end(0)
    gone = "the working directory /x does not exist"
    for number in (1, 2):
        world.end(number, EndReason.UNSTARTABLE, gone)
    experiment = world.experiment()
    assert experiment.state is ExperimentState.PAUSED
    assert experiment.reason == f"trials cannot be started any more: {gone}"
    assert experiment.counts[TrialState.FAILED] == 0
    world.send(e.ResumeAsked(experiment="digits"))
    assert world.started()[-2:] == ["digits:2:2", "digits:1:2"]


def test_a_trial_that_cannot_be_started_twice_has_failed_and_the_others_go_on() -> None:
    world = World()
    world.submit(trials=3)
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.end(0)
    world.end(1, EndReason.UNSTARTABLE, "no such program: foo")
    world.send(e.ResumeAsked(experiment="digits"))
    world.end(1, EndReason.UNSTARTABLE, "no such program: foo")
    assert world.trial(1).state is TrialState.FAILED
    assert world.trial(2).state is TrialState.STARTING


def test_failures_after_a_restart_are_not_the_first_where_a_trial_had_succeeded_before() -> None:
    world = World()
    world.submit(trials=20)
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.end(0)
    fresh = world.restarted()
    fresh.join(slots=1)
    for number in range(1, 6):
        fresh.end(number, EndReason.RAISED, "ValueError: a")
    assert fresh.experiment().state is ExperimentState.RUNNING
