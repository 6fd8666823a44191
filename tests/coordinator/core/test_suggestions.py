"""Slow searchers, as the core sees them: asked ahead of need, and never waited for longer than it is worth."""

from __future__ import annotations

from typing import Any

import pytest

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.ahead import Ahead
from clustertune.model.trial import EndReason
from tests.coordinator.core.world import World

SLOW = {"searcher": {"type": "counting"}, "resource": {"max": 9}, "trials": 20}


@pytest.fixture
def world() -> World:
    """Two slots, both taken by trials that came before the searcher could learn anything."""
    world = World()
    world.submit(**SLOW)
    world.join(slots=2)
    world.ran(0)
    world.ran(1)
    world.send(e.Suggested(experiment="digits", known=0, configs=()))
    return world


def asked(world: World) -> list[c.Suggest]:
    """Questions, without the one that only makes the searcher's process start."""
    return [command for command in world.of(c.Suggest) if command.count]


def answer(world: World, *values: float, after_s: float = 0.001) -> None:
    last = asked(world)[-1]
    configs = tuple({"lr": value} for value in values)
    world.send(e.Suggested(experiment="digits", known=last.known, configs=configs), after_s)


def finish(world: World, trial: int, loss: float, *, elapsed_s: float = 1.0) -> None:
    world.report(trial, 9, error=loss)
    who = world._who(trial, "digits")
    ending = e.Ending(reason=EndReason.RETURNED, elapsed_s=elapsed_s)
    world.send(e.AttemptOver(**who, ending=ending))


def sources(world: World) -> list[str]:
    return [trial.source for trial in world.experiment().trials]


def test_the_first_trials_are_spread_evenly_and_nobody_is_asked(world: World) -> None:
    assert sources(world) == ["design", "design"]
    assert asked(world) == []
    first, second = (world.trial(n).config["lr"] for n in (0, 1))
    assert first != second


def test_the_users_own_configurations_come_first_and_are_marked() -> None:
    world = World()
    world.submit(**SLOW, initial=[{"lr": 0.5}])
    world.join(slots=3)
    assert [world.trial(n).source for n in range(3)] == ["initial", "design", "design"]
    assert world.trial(0).config == {"lr": 0.5}


def test_its_process_is_started_before_there_is_anything_to_ask() -> None:
    world = World()
    world.submit(**SLOW)
    assert [(command.count, command.known) for command in world.of(c.Suggest)] == [(0, 0)]


def test_a_finite_report_makes_it_ask_with_all_that_is_known(world: World) -> None:
    world.report(0, 9, error=float("nan"))
    assert asked(world) == []
    world.report(1, 9, error=0.5)
    (command,) = asked(world)
    assert [told[0] for told in command.told[: command.known]] == ["created", "created", "observe", "observe"]
    assert command.told[3] == ("observe", 1, 9, 0.5)


def test_what_is_ready_is_taken_with_what_it_was_computed_from(world: World) -> None:
    world.report(0, 9, error=0.5)
    answer(world, 0.25)
    finish_known = asked(world)[-1].known
    world.end(0)
    assert (world.trial(2).config, world.trial(2).source) == ({"lr": 0.25}, "")
    created = [fact for _, fact in world.journal if getattr(fact, "config", None) == {"lr": 0.25}]
    assert created[0].observations == finish_known  # type: ignore[union-attr]


def test_where_trials_are_short_and_nothing_is_ready_another_fills_in_and_says_so(world: World) -> None:
    finish(world, 0, 0.5, elapsed_s=0.01)
    assert sources(world)[2:] == ["fill-in"]
    assert world.trial(2).notices == ("quasi-random: the searcher had nothing ready",)


def test_where_trials_are_long_the_slot_waits_for_what_knows_the_last_report(world: World) -> None:
    finish(world, 0, 0.5, elapsed_s=600.0)
    assert len(world.experiment().trials) == 2
    answer(world, 0.125, after_s=0.5)
    assert (world.trial(2).config, world.trial(2).source) == ({"lr": 0.125}, "")


def test_it_waits_less_than_a_hundredth_of_a_trials_time(world: World) -> None:
    finish(world, 0, 0.5, elapsed_s=600.0)
    world.send(e.Ticked(), 4.7)
    assert len(world.experiment().trials) == 2
    world.send(e.Ticked(), 0.2)
    assert sources(world)[2:] == ["fill-in"]


def test_older_proposals_are_better_than_none_once_the_wait_is_over(world: World) -> None:
    world.report(0, 9, error=0.5)
    answer(world, 0.25, after_s=5.0)
    world.report(1, 9, error=0.4)
    world.end(0)
    assert world.trial(2).config == {"lr": 0.25}


def test_a_slow_answer_makes_it_wait_less_often_from_then_on(world: World) -> None:
    finish(world, 0, 0.5, elapsed_s=200.0)
    world.send(e.Ticked(), 2.0)
    assert sources(world)[2:] == ["fill-in"]
    answer(world, 0.25, after_s=10.0)
    finish(world, 1, 0.4, elapsed_s=200.0)
    assert world.trial(3).config == {"lr": 0.25}
    world.ran(2)
    finish(world, 2, 0.3, elapsed_s=200.0)
    assert sources(world)[4:] == ["fill-in"]


def test_what_was_tried_meanwhile_is_passed_over(world: World) -> None:
    finish(world, 0, 0.5, elapsed_s=0.01)
    filled_in = world.trial(2).config["lr"]
    answer(world, filled_in, 0.75, after_s=5.0)  # type: ignore[arg-type]
    world.ran(2)
    world.report(2, 9, error=0.3)
    world.end(2)
    assert world.trial(3).config == {"lr": 0.75}


def test_one_question_at_a_time_and_no_newer_one_before_it_had_a_rest_or_is_needed(world: World) -> None:
    world.report(0, 9, error=0.5)
    world.report(1, 9, error=0.4)
    assert len(asked(world)) == 1
    answer(world, 0.25, 0.3, after_s=1.0)
    assert [command.known for command in asked(world)] == [3]
    world.send(e.Ticked(), 3.9)
    assert [command.known for command in asked(world)] == [3]
    world.send(e.Ticked(), 0.2)
    assert [command.known for command in asked(world)] == [3, 4]


def test_a_free_slot_ends_the_rest(world: World) -> None:
    world.report(0, 9, error=0.5)
    answer(world, 0.25, 0.3, after_s=1.0)
    finish(world, 1, 0.4, elapsed_s=600.0)
    assert [command.known for command in asked(world)] == [3, 4]


def test_as_many_are_asked_for_as_were_needed_last_time_and_never_more_than_there_are_trials_left() -> None:
    world = World()
    world.submit(**{**SLOW, "trials": 10})
    world.join(slots=8)
    world.send(e.Suggested(experiment="digits", known=0, configs=()))
    for number in range(8):
        world.ran(number)
    finish(world, 0, 0.5, elapsed_s=0.01)
    assert asked(world)[-1].count <= 2


def test_an_empty_answer_ends_the_search(world: World) -> None:
    world.report(0, 9, error=0.5)
    answer(world)
    world.end(0)
    finish(world, 1, 0.4)
    assert world.experiment().exhausted
    assert world.experiment().reason == "every configuration was tried"


def test_a_searcher_that_fails_is_told_of_once_and_tried_again_later(world: World) -> None:
    world.report(0, 9, error=0.5)
    world.send(e.SuggestingFailed(experiment="digits", error="ValueError: x"))
    world.end(0)
    assert sources(world)[2:] == ["fill-in"]
    before = len(asked(world))
    world.send(e.Ticked(), 4.0)
    assert len(asked(world)) == before
    world.send(e.Ticked(), 2.0)
    assert len(asked(world)) == before + 1
    world.send(e.SuggestingFailed(experiment="digits", error="ValueError: y"))
    said = [event.text for event in world.experiment().events if event.kind == "searcher"]
    assert said == ["the searcher fails, and quasi-random configurations stand in: ValueError: x"]


def test_failed_trials_are_forgotten_and_ended_ones_told_of_with_their_value(world: World) -> None:
    world.report(0, 3, error=0.2)
    world.report(0, 9, error=0.5)
    world.end(0)
    world.end(1, EndReason.INFEASIBLE)
    told = _told(world)
    assert ("observe", 0, 9, 0.5) in told
    assert ("observe", 0, 3, 0.2) in told
    assert ("forget", 1) in told


def test_after_a_restart_the_same_has_been_told_and_it_is_asked_again(world: World) -> None:
    world.report(0, 9, error=0.5)
    world.end(0)
    world.end(1, EndReason.RAISED, "boom")
    again = world.restarted()
    assert _told(again) == _told(world)
    assert asked(again)[-1].known == len(_told(world))


def test_a_searcher_ended_on_purpose_is_asked_again_when_the_experiment_goes_on(world: World) -> None:
    world.report(0, 9, error=0.5)
    world.send(e.PauseAsked(experiment="digits"))
    world.send(e.SuggestingFailed(experiment="digits", error=""))
    before = len(asked(world))
    world.send(e.ResumeAsked(experiment="digits"))
    assert len(asked(world)) == before + 1
    assert not [event for event in world.experiment().events if event.kind == "searcher"]


def test_finite_spaces_are_filled_in_without_repeats_to_their_end() -> None:
    world = World()
    space: dict[str, Any] = {"lr": {"type": "int", "low": 1, "high": 5}}
    world.submit(**{**SLOW, "space": space, "trials": 50, "searcher": {"type": "counting", "design": 50}})
    world.join(slots=9)
    assert sorted(trial.config["lr"] for trial in world.experiment().trials) == [1, 2, 3, 4, 5]  # type: ignore[type-var]
    assert world.experiment().exhausted


def _told(world: World) -> list[Any]:
    searcher = world.experiment().searcher
    assert isinstance(searcher, Ahead)
    return searcher.told
