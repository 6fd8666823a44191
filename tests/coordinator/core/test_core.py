"""The core's decisions, event by event, without a cluster."""

from __future__ import annotations

import math

import pytest

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.fleet import LOST_AFTER_S
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.world import World

ASHA = {
    "scheduler": {"type": "asha", "reduction_factor": 3},
    "resource": {"name": "epoch", "min": 1, "max": 9},
    "objective": {"metric": "error", "goal": "minimize"},
}


def facts(world: World, kind: type) -> list[f.Fact]:
    return [fact for _, fact in world.journal if isinstance(fact, kind)]


def test_an_experiment_launches_a_machine_and_fills_its_slots() -> None:
    world = World()
    world.submit()
    assert world.commands == [c.Launch(instance="local-0", epoch=1)]
    world.join(slots=2)
    assert world.started() == ["digits:0:1", "digits:1:1"]
    assert world.trial(0).state is TrialState.STARTING
    world.ran(0)
    assert world.trial(0).state is TrialState.RUNNING


def test_a_free_slot_is_filled_by_the_same_step_that_freed_it() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    commands = world.end(0)
    assert [type(command) for command in commands] == [c.CollectLog, c.StartAttempt]


def test_the_experiment_completes_when_all_trials_ended() -> None:
    world = World()
    world.submit()
    world.join(slots=4)
    for number, value in enumerate([0.5, 0.2, 0.9, 0.4]):
        world.report(number, 1, error=value)
        world.end(number)
    experiment = world.experiment()
    assert experiment.state is ExperimentState.COMPLETED
    assert (experiment.best, experiment.best_loss) == (1, 0.2)
    assert experiment.counts[TrialState.COMPLETED] == 4


def test_maximizing_turns_the_sign_once() -> None:
    world = World()
    world.submit(objective={"metric": "accuracy", "goal": "maximize"}, stop={"target": 0.9})
    world.join(slots=2)
    world.report(0, 1, accuracy=0.5)
    world.report(1, 1, accuracy=0.8)
    assert world.experiment().best == 1
    world.report(0, 2, accuracy=0.95)
    assert world.experiment().state is ExperimentState.COMPLETED
    assert world.experiment().reason == "the target 0.9 is reached"


def test_a_trial_that_ends_without_a_value_has_failed() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.end(0)
    assert world.trial(0).state is TrialState.FAILED
    assert world.trial(0).error == "ended without reporting 'error'"


def test_asha_stops_the_worse_trial_and_the_agent_is_told() -> None:
    world = World()
    world.submit(**ASHA)
    world.join(slots=2)
    world.report(0, 1, error=0.1)
    commands = world.report(1, 1, error=0.9)
    assert commands == [c.StopAttempt(instance="local-0", attempt="digits:1:1", reason="stopped")]
    world.end(1, EndReason.STOPPED)
    assert world.trial(1).state is TrialState.STOPPED


def test_a_trial_cut_by_the_scheduler_is_stopped_though_it_returned_by_itself() -> None:
    world = World()
    world.submit(**ASHA)
    world.join(slots=2)
    world.report(0, 1, error=0.1)
    world.report(1, 1, error=0.9)
    world.end(1, EndReason.RETURNED)
    assert world.trial(1).state is TrialState.STOPPED


def test_a_trial_that_reports_beyond_the_top_is_ended_and_complete() -> None:
    world = World()
    world.submit(**ASHA)
    world.join(slots=1)
    for epoch in range(1, 11):
        world.report(0, epoch, error=1 / epoch)
    assert world.stops() == [("digits:0:1", "stopped")]
    assert world.reports[-1].resource == 9
    world.end(0, EndReason.STOPPED)
    assert world.trial(0).state is TrialState.COMPLETED


def test_a_trial_whose_steps_pass_over_the_top_is_complete_with_the_step_that_did() -> None:
    world = World()
    world.submit(**ASHA)
    world.join(slots=1)
    world.report(0, 5, error=0.5)
    world.report(0, 10, error=0.4)
    world.end(0)
    assert world.trial(0).state is TrialState.COMPLETED
    assert world.experiment().best_loss == 0.4


def test_the_line_of_an_end_tells_the_last_value_and_a_better_best() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, 1, error=0.2)
    world.report(0, 2, error=0.3)
    world.end(0)
    assert [x.text for x in world.experiment().events if x.kind == "trial-ended"] == [
        "trial 0 completed at step 2, error 0.3 (best 0.2) after 1s"
    ]


@pytest.mark.parametrize("again", [3, 2])
def test_a_level_that_is_reported_again_counts_once_and_is_said(again: int) -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, 3, error=0.5)
    world.report(0, again, error=0.1)
    assert [row.resource for row in world.reports] == [3]
    assert world.experiment().best_loss == 0.5
    assert f"reported step {again}" in world.trial(0).notices[0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_ranks_last_and_is_never_the_best(value: float) -> None:
    world = World()
    world.submit(**ASHA)
    world.join(slots=2)
    world.report(0, 1, error=0.5)
    world.report(1, 1, error=value)
    assert world.stops() == [("digits:1:1", "stopped")]
    assert world.experiment().best == 0


def test_a_report_without_the_objective_counts_as_missing_at_a_rung() -> None:
    world = World()
    world.submit(**ASHA)
    world.join(slots=2)
    world.report(0, 1, error=0.5)
    world.report(1, 1, loss=0.1)
    assert world.stops() == [("digits:1:1", "stopped")]
    assert "holds no 'error', only loss" in world.trial(1).notices[0]


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


def test_a_pause_ends_attempts_and_a_resume_runs_those_trials_first() -> None:
    world = World()
    world.submit()
    world.join(slots=2)
    world.send(e.PauseAsked(experiment="digits"))
    assert world.stops() == [("digits:0:1", "paused"), ("digits:1:1", "paused")]
    world.end(1, EndReason.PAUSED)
    world.end(0, EndReason.PAUSED)
    assert [world.trial(n).state for n in (0, 1)] == [TrialState.PAUSED, TrialState.PAUSED]
    world.send(e.ResumeAsked(experiment="digits"))
    assert world.started()[2:] == ["digits:0:2", "digits:1:2"]


def test_a_trial_that_finishes_while_it_is_paused_is_complete() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.send(e.PauseAsked(experiment="digits"))
    world.end(0, EndReason.RETURNED)
    assert world.trial(0).state is TrialState.COMPLETED


def test_a_resume_before_the_paused_attempt_has_ended_runs_it_again() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.send(e.PauseAsked(experiment="digits"))
    world.send(e.ResumeAsked(experiment="digits"))
    world.end(0, EndReason.PAUSED)
    assert world.started() == ["digits:0:1", "digits:0:2"]


def test_a_stop_is_for_good() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.send(e.StopAsked(experiment="digits"))
    world.end(0, EndReason.STOPPED)
    assert world.experiment().state is ExperimentState.STOPPED
    assert world.trial(0).state is TrialState.STOPPED
    world.send(e.ResumeAsked(experiment="digits"))
    assert world.experiment().state is ExperimentState.STOPPED


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


def test_repeated_steps_of_a_later_attempt_are_kept_and_counted_once() -> None:
    world = World()
    world.submit(**ASHA)
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.report(0, 2, error=0.4)
    world.send(e.InstanceVanished(instance="local-0", epoch=1, reason="killed"))
    world.send(e.Ticked(), after_s=5)
    world.join(slots=1, epoch=2)
    world.report(0, 1, error=0.0)
    assert [row.observed for row in world.reports] == [True, True, False]
    assert world.experiment().best_loss == 0.4
    assert len(facts(world, f.RungReached)) == 1


def test_the_time_limit_leaves_out_pauses_and_absences() -> None:
    world = World()
    world.submit(stop={"time": 10})
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.send(e.PauseAsked(experiment="digits"), after_s=4)
    world.send(e.ResumeAsked(experiment="digits"), after_s=1000)
    world.send(e.Ticked(), after_s=4)
    fresh = world.restarted()
    fresh.send(e.Ticked(), after_s=1)
    assert fresh.experiment().state is ExperimentState.RUNNING
    fresh.send(e.Ticked(), after_s=2)
    assert fresh.experiment().reason == "the time limit is reached"


def test_flat_ends_the_search_after_so_many_trials_without_improvement() -> None:
    world = World()
    world.submit(trials=50, stop={"flat": 3})
    world.join(slots=1)
    for number in range(4):
        world.report(number, 1, error=0.1 + number)
        world.end(number)
    assert world.experiment().reason == "3 trials ended without an improvement"


def test_parallel_bounds_the_trials_at_once() -> None:
    world = World()
    world.submit(parallel=1)
    world.join(slots=8)
    assert len(world.experiment().active) == 1


def test_two_experiments_share_the_slots_evenly() -> None:
    world = World()
    world.submit("a")
    world.submit("b")
    world.join(slots=4)
    assert len(world.experiment("a").active) == len(world.experiment("b").active) == 2


def test_a_trial_that_fits_on_no_machine_fails_the_experiment_with_the_remedy() -> None:
    world = World()
    world.submit(per_trial={"cpus": 64})
    world.join(slots=None, cpus=2)
    assert world.experiment().state is ExperimentState.FAILED
    assert "lower per_trial.cpus" in world.experiment().reason


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
        assert world.core.launch_problem == "no"
        world.send(e.Ticked(), after_s=60)
    launches = [x.epoch for x in world.commands if isinstance(x, c.Launch)]
    assert launches == [1, 2, 3, 4]


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


@pytest.mark.parametrize("level", [0, -3, 2**53 + 1, 10**30])
def test_a_level_that_is_none_is_left_out_and_said(level: int) -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, level, error=0.5)
    assert world.reports == []
    assert "levels are whole numbers from 1 to 2**53" in world.trial(0).notices[0]


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


def test_repeated_steps_are_not_in_the_number_of_reports() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.report(0, 2, error=0.5)
    world.send(e.InstanceVanished(instance="local-0", epoch=1, reason="killed"))
    world.send(e.Ticked(), after_s=5)
    world.join(slots=1, epoch=2)
    world.report(0, 1, error=0.5)
    assert world.experiment().reports == 2
    assert world.restarted().experiment().reports == 2


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
