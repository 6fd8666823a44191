"""What auto chooses for which experiment."""

from __future__ import annotations

import pytest

from clustertune.model.parameters import Choice, Float
from clustertune.model.space import Space
from clustertune.search.choosing import Chosen, choose_scheduler, choose_searcher
from clustertune.search.registry import Registry

PLANE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
SIX = Space({"a": Choice((1, 2, 3)), "b": Choice((1, 2))})


def searcher(
    space: Space = PLANE, trials: int | None = 64, parallel: int | None = None, *, compared: bool = False
) -> Chosen:
    return choose_searcher(space=space, trials=trials, parallel=parallel, compared=compared)


def test_trials_that_run_to_their_end_are_chosen_by_a_model() -> None:
    assert searcher().type == "bayesian"
    assert searcher(trials=None).type == "bayesian"


@pytest.mark.parametrize(("trials", "parallel"), [(9, None), (64, 32)])
def test_where_nothing_can_be_learned_in_time_chance_proposes(trials: int, parallel: int | None) -> None:
    assert searcher(trials=trials, parallel=parallel).type == "random"


def test_a_space_that_is_tried_out_whole_needs_no_model() -> None:
    chosen = searcher(SIX, trials=6)
    assert (chosen.type, chosen.because) == ("random", "all 6 configurations of this space will be tried, each once")
    assert searcher(SIX, trials=None).type == "random"


def test_without_levels_to_compare_at_trials_run_to_their_end() -> None:
    assert choose_scheduler(min_resource=1, max_resource=None, trials=64).type == "fifo"
    assert choose_scheduler(min_resource=5, max_resource=5, trials=64).type == "fifo"


def test_with_levels_brackets_take_turns_within_the_trials_that_there_are() -> None:
    few, many = (choose_scheduler(min_resource=1, max_resource=81, trials=trials) for trials in (64, 1000))
    assert (few.type, dict(few.options)) == ("asha", {"reduction_factor": 3, "brackets": 5, "loop": 64})
    assert dict(many.options) == {"reduction_factor": 3, "brackets": 5}
    assert dict(choose_scheduler(min_resource=1, max_resource=81, trials=None).options) == dict(many.options)


@pytest.mark.parametrize("max_resource", [None, 1, 2, 3, 27, 100, 1000])
@pytest.mark.parametrize("trials", [None, 1, 7, 64, 5000])
def test_nothing_stands_in_the_way_of_what_is_chosen(max_resource: int | None, trials: int | None) -> None:
    registry = Registry.default()
    chosen = registry.choose_scheduler(min_resource=1, max_resource=max_resource, trials=trials)
    limits = {"min_resource": 1, "max_resource": max_resource}
    assert registry.scheduler_problems(chosen.type, chosen.options, **limits) == []
    assert not registry.scheduler_pauses(chosen.type, chosen.options)  # no program is asked for what it may not do
