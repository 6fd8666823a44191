"""What auto chooses for which experiment."""

from __future__ import annotations

import pytest

from clustertune.model.parameters import Choice, Float
from clustertune.model.space import Space
from clustertune.search.choosing import Chosen, choose_scheduler, choose_searcher
from clustertune.search.registry import Registry
from clustertune.search.schedulers.ladder import rung_levels

PLANE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
SIX = Space({"a": Choice((1, 2, 3)), "b": Choice((1, 2))})


def searcher(
    space: Space = PLANE,
    trials: int | None = 64,
    parallel: int | None = None,
    *,
    scheduler: str = "fifo",
    earlier: bool = False,
) -> Chosen:
    return choose_searcher(space=space, trials=trials, parallel=parallel, scheduler=scheduler, earlier=earlier)


def test_trials_that_run_to_their_end_are_chosen_by_a_model() -> None:
    assert searcher().type == "bayesian"
    assert searcher(trials=None).type == "bayesian"


@pytest.mark.parametrize(("trials", "parallel"), [(9, None), (64, 32)])
def test_where_nothing_can_be_learned_in_time_chance_proposes(trials: int, parallel: int | None) -> None:
    assert searcher(trials=trials, parallel=parallel).type == "random"


def test_a_past_to_learn_from_makes_fewer_trials_enough() -> None:
    assert (searcher(trials=9).type, searcher(trials=9, earlier=True).type) == ("random", "bayesian")


@pytest.mark.parametrize(
    ("scheduler", "chosen"),
    [
        ("asha", "multi-fidelity"),
        ("hyperband", "multi-fidelity"),
        ("population-based", "random"),
        ("plateau", "bayesian"),
    ],
)
def test_a_model_learns_from_levels_where_trials_are_halved_and_none_where_configurations_change(
    scheduler: str, chosen: str
) -> None:
    assert searcher(scheduler=scheduler).type == chosen


def test_without_a_limit_only_a_small_space_is_tried_out() -> None:
    large = Space({"a": Choice(tuple(range(1000))), "b": Choice(tuple(range(1000)))})
    assert (searcher(SIX, trials=None).type, searcher(large, trials=None).type) == ("random", "bayesian")


def test_a_space_that_is_tried_out_whole_needs_no_model() -> None:
    chosen = searcher(SIX, trials=6)
    assert (chosen.type, chosen.because) == ("random", "all 6 configurations of this space will be tried")
    single = Space({"a": Choice((1,))})
    assert searcher(single).because == "there is one configuration"


def test_without_levels_to_compare_at_trials_run_to_their_end() -> None:
    assert choose_scheduler(min_resource=1, max_resource=None, trials=64).type == "fifo"
    assert choose_scheduler(min_resource=5, max_resource=5, trials=64).type == "fifo"


@pytest.mark.parametrize("max_resource", [9, 81, 1000, 10_000])
@pytest.mark.parametrize("trials", [64, 100, None])
def test_with_levels_each_bracket_has_its_turn_among_the_trials_that_there_are(
    max_resource: int, trials: int | None
) -> None:
    chosen = choose_scheduler(min_resource=1, max_resource=max_resource, trials=trials)
    assert chosen.type == "asha"
    registry, limits = Registry.default(), {"min_resource": 1, "max_resource": max_resource}
    scheduler = registry.make_scheduler("asha", chosen.options, space=PLANE, seed=0, **limits)  # type: ignore[arg-type]
    first = [scheduler.target(trial) for trial in range(trials or 150)]
    assert set(first) == {*rung_levels(1, max_resource, 3), max_resource}
    assert first.count(1) > first.count(max_resource)


@pytest.mark.parametrize("max_resource", [None, 1, 2, 3, 27, 100, 1000])
@pytest.mark.parametrize("trials", [None, 1, 7, 64, 5000])
def test_nothing_stands_in_the_way_of_what_is_chosen(max_resource: int | None, trials: int | None) -> None:
    registry = Registry.default()
    chosen = registry.choose_scheduler(min_resource=1, max_resource=max_resource, trials=trials)
    limits = {"min_resource": 1, "max_resource": max_resource}
    assert registry.scheduler_problems(chosen.type, chosen.options, **limits) == []
    assert not registry.scheduler_pauses(chosen.type, chosen.options)  # no program is asked for what it may not do
