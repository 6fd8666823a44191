"""The core's decisions, event by event, without a cluster."""

from __future__ import annotations

import math

import pytest

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.model.trial import EndReason, ExperimentState, TrialState
from tests.coordinator.core.world import World

ASHA = {
    "scheduler": {"type": "asha", "reduction_factor": 3},
    "resource": {"name": "epoch", "min": 1, "max": 9},
    "objective": {"metric": "error", "goal": "minimize"},
}


def facts(world: World, kind: type) -> list[f.Fact]:
    return [fact for _, fact in world.journal if isinstance(fact, kind)]


def test_a_free_slot_is_filled_by_the_same_step_that_freed_it() -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    commands = world.end(0)
    assert [type(command) for command in commands] == [c.CollectLog, c.StartAttempt]


def test_what_was_chosen_for_the_user_is_said_at_the_beginning_and_what_the_user_chose_is_not() -> None:
    world = World()
    world.submit(searcher={"type": "random", "because": "there is one configuration"}, scheduler="fifo")
    lines = [line.text for line in world.experiment().events]
    assert "auto chose the searcher random: there is one configuration" in lines
    assert not [line for line in lines if "scheduler" in str(line)]


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


def test_what_a_finished_trial_says_again_after_its_machine_was_lost_is_kept_and_counted_once() -> None:
    world = World()
    world.submit(trials=1, resource={"name": "epoch", "max": 2})
    world.join(slots=1)
    world.report(0, 1, error=0.5)
    world.report(0, 2, error=0.4)
    world.send(e.InstanceVanished(instance="local-0", epoch=1, reason="killed"))
    world.send(e.Ticked(), after_s=5)
    world.join(slots=1, epoch=2)
    assert world.report(0, 1, error=0.5) != []
    world.report(0, 3, error=0.1)
    assert [(row.attempt, row.resource, row.observed) for row in world.reports] == [
        (1, 1, True),
        (1, 2, True),
        (2, 1, False),
    ]
    current = world.trial(0).current
    assert current is not None
    assert current.stop == "stopped"


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


@pytest.mark.parametrize("level", [0, -3, 2**53 + 1, 10**30])
def test_a_level_that_is_none_is_left_out_and_said(level: int) -> None:
    world = World()
    world.submit()
    world.join(slots=1)
    world.report(0, level, error=0.5)
    assert world.reports == []
    assert "levels are whole numbers from 1 to 2**53" in world.trial(0).notices[0]


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


def test_an_incumbent_that_gets_better_with_every_report_costs_one_fact_and_is_known_after_a_restart() -> None:
    world = World()
    world.submit(trials=1, resource={"name": "epoch"})
    world.join(slots=1)
    for level in range(1, 101):
        world.report(0, level, error=1 / level)
    assert len(facts(world, f.Improved)) == 1
    again = world.restarted().experiment()
    assert (again.best, again.best_loss, again.best_resource) == (0, 0.01, 100)


def test_where_the_last_report_counts_it_counts_after_a_restart_too() -> None:
    world = World()
    world.submit(trials=1, objective={"metric": "error", "goal": "minimize", "take": "last"})
    world.join(slots=1)
    for level, error in ((1, 0.5), (2, 0.3), (3, 0.4)):
        world.report(0, level, error=error)
    for experiment in (world.experiment(), world.restarted().experiment()):
        assert (experiment.best_loss, experiment.best_resource) == (0.4, 3)
        assert (experiment.trials[0].best_loss, experiment.trials[0].best_resource) == (0.4, 3)


def test_where_the_last_counts_a_restart_finds_the_last_that_was_a_number() -> None:
    world = World()
    world.submit(trials=1, objective={"metric": "error", "goal": "minimize", "take": "last"})
    world.join(slots=1)
    world.ran(0)
    for level, error in ((1, 0.2), (2, 0.9), (3, math.nan)):
        world.report(0, level, error=error)
    for found in (world, world.restarted()):
        assert (found.trial(0).best_loss, found.trial(0).best_resource) == (0.9, 2)
        assert (found.experiment().best_loss, found.experiment().best_resource) == (0.9, 2)


def test_where_the_last_counts_an_incumbent_that_says_the_same_again_is_best_there() -> None:
    world = World()
    world.submit(trials=1, objective={"metric": "error", "goal": "minimize", "take": "last"})
    world.join(slots=1)
    world.ran(0)
    for level in (1, 2):
        world.report(0, level, error=0.5)
    assert [found.experiment().best_resource for found in (world, world.restarted())] == [2, 2]
