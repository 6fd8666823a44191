"""Bayesian search: it learns, it is not fooled, and it stays quick."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from clustertune.model.space import Choice, Float, Int, Space
from clustertune.model.trial import Config
from clustertune.search.searchers.bayesian import Bayesian, BayesianOptions, surrogate_for
from clustertune.search.searchers.spread import StandIn

SQUARE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


def bowl(config: Config) -> float:
    return (float(config["x"]) - 0.7) ** 2 + (float(config["y"]) - 0.2) ** 2


def make(space: Space = SQUARE, seed: int = 0, **options: Any) -> Bayesian:
    return Bayesian(space=space, seed=seed, initial=(), options=BayesianOptions(**options))


def taught(searcher: Bayesian, losses: Callable[[Config], float], space: Space = SQUARE, trials: int = 8) -> Bayesian:
    stand_in = StandIn(space, 1)
    for trial in range(trials):
        config = stand_in.config(trial, set())
        assert isinstance(config, dict)
        searcher.created(trial, config)
        searcher.observe(trial, 1, losses(config))
    return searcher


def search(searcher: Bayesian, losses: Callable[[Config], float], first: int, trials: int) -> float:
    best = math.inf
    for trial in range(first, first + trials):
        (config,) = searcher.propose(1)
        searcher.created(trial, config)
        searcher.observe(trial, 1, losses(config))
        best = min(best, losses(config))
    return best


@pytest.mark.parametrize("surrogate", ["gp", "rf", "et", "gbrt"])
def test_every_model_finds_the_bottom_of_a_bowl(surrogate: str) -> None:
    found = [search(taught(make(surrogate=surrogate, seed=s), bowl), bowl, 8, 16) for s in range(2)]
    # The best of 16 points drawn at random has a loss of 0.02 on average: 1 / (16 pi).
    assert sum(found) / 2 < 0.01


@pytest.mark.parametrize("acquisition", ["ei", "lcb", "pi", "hedge"])
def test_every_acquisition_finds_the_bottom_of_a_bowl(acquisition: str) -> None:
    found = [search(taught(make(acquisition=acquisition, seed=s), bowl), bowl, 8, 10) for s in range(3)]
    assert max(found) < 0.005


def test_proposals_depend_on_what_was_told_alone() -> None:
    asked_before = taught(make(), bowl, trials=6)
    asked_before.propose(3)
    for searcher in (asked_before, taught(make(), bowl, trials=6)):
        searcher.created(6, {"x": 0.5, "y": 0.5})
    fresh = taught(make(), bowl, trials=6)
    fresh.created(6, {"x": 0.5, "y": 0.5})
    assert asked_before.propose(4) == fresh.propose(4)


def test_the_first_of_many_proposals_are_the_few() -> None:
    searcher = taught(make(), bowl)
    assert searcher.propose(5)[:2] == searcher.propose(2)


@pytest.mark.parametrize("surrogate", ["gp", "et"])
def test_proposals_asked_for_together_lie_apart(surrogate: str) -> None:
    found = taught(make(surrogate=surrogate), bowl).propose(6)
    distances = [math.dist(a.values(), b.values()) for i, a in enumerate(found) for b in found[:i]]  # type: ignore[arg-type]
    assert min(distances) > 0.01


def test_a_pending_trial_is_not_proposed_again() -> None:
    searcher = taught(make(), bowl)
    (first,) = searcher.propose(1)
    searcher.created(8, first)
    (second,) = searcher.propose(1)
    assert math.dist(first.values(), second.values()) > 0.01  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_a_loss_that_is_none_or_huge_does_not_hide_the_others(bad: float) -> None:
    def spoiled(config: Config) -> float:
        return bad if float(config["x"]) < 0.4 else bowl(config)

    searcher = taught(make(), spoiled, trials=10)
    if bad == -math.inf:
        searcher.forget(0)
    assert search(searcher, bowl, 10, 10) < 0.005


def test_what_was_not_finite_on_the_way_is_forgiven_at_the_end() -> None:
    proposed = []
    for stumbles in (False, True):
        searcher = make()
        for trial in range(20):
            config: Config = {"x": (trial % 5 + 0.5) / 5, "y": (trial // 5 + 0.5) / 4}
            searcher.created(trial, config)
            if stumbles and bowl(config) < 0.1:
                searcher.observe(trial, 1, math.nan)
                searcher.observe(trial, 3, math.inf)
            searcher.observe(trial, 9, bowl(config))
        lesson = searcher._lesson(searcher._search.past)
        proposed.append((lesson.taught, lesson.losses, lesson.worthless))
    assert proposed[0] == proposed[1]


def test_who_diverged_at_the_end_was_worth_nothing() -> None:
    searcher = taught(make(), bowl)
    searcher.observe(3, 9, math.nan)
    lesson = searcher._lesson(searcher._search.past)
    assert lesson.worthless == [searcher._search.past.trials[3].config]
    assert len(lesson.taught) == 7


def test_failed_trials_keep_it_away_from_where_they_failed() -> None:
    searcher = make()
    for trial in range(16):
        config: Config = {"x": (trial % 4 + 0.5) / 4, "y": (trial // 4 + 0.5) / 4}
        searcher.created(trial, config)
        if float(config["x"]) > 0.5:
            searcher.forget(trial)
        else:
            searcher.observe(trial, 1, bowl(config))
    # The bottom lies where everything fails.
    assert sum(float(config["x"]) > 0.6 for config in searcher.propose(5)) <= 1


def test_equal_losses_are_no_trouble() -> None:
    searcher = taught(make(), lambda config: 0.25)
    assert len(searcher.propose(3)) == 3


def test_a_finite_space_is_used_up_and_then_there_is_nothing() -> None:
    space = Space({"n": Int(1, 4), "c": Choice(("a", "b", "c"))})
    searcher, seen = make(space), set()
    for trial in range(12):
        (config,) = searcher.propose(1) if trial > 2 else [{"n": 1, "c": "abc"[trial]}]
        seen.add(tuple(config.values()))
        searcher.created(trial, config)
        searcher.observe(trial, 1, float(config["n"]))
    assert len(seen) == 12
    assert searcher.propose(1) == []


def test_it_is_a_gaussian_process_while_there_is_little_and_trees_beyond() -> None:
    assert [surrogate_for("auto", n) for n in (5, 150, 151, 5000)] == ["gp", "gp", "et", "et"]
    assert surrogate_for("rf", 5) == "rf"


def test_thousands_of_observations_are_no_trouble() -> None:
    searcher = taught(make(), bowl, trials=3000)
    assert bowl(searcher.propose(1)[0]) < 0.02


@pytest.mark.parametrize(("surrogate", "most"), [("gp", 400), ("et", 4000)])
def test_a_model_learns_from_the_best_and_some_others_of_many(surrogate: str, most: int) -> None:
    searcher = make(surrogate=surrogate)
    for trial in range(5000):
        searcher.created(trial, {"x": trial / 5000, "y": 0.5})
        if trial % 2:
            searcher.observe(trial, 1, trial / 5000)
        else:
            searcher.forget(trial)
    lesson = searcher._lesson(searcher._search.past)
    assert len(lesson.taught) + len(lesson.worthless) <= most
    assert list(lesson.losses)[: most // 4] == [trial / 5000 for trial in range(1, most // 2, 2)]
    assert max(lesson.losses) > 0.5


def test_a_model_that_learned_choices_proposes_the_better_one() -> None:
    space = Space({"x": Float(0, 1), "c": Choice(("a", "b", "c", "d"))})

    def loss(config: Config) -> float:
        return float(config["x"]) + (0.0 if config["c"] == "c" else 2.0)

    found = taught(make(space), loss, space, trials=16).propose(3)
    assert [config["c"] for config in found].count("c") >= 2


def test_where_hardly_anything_is_allowed_it_still_proposes_what_is() -> None:
    space = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}, constraints=["x < 0.0101 and y < 0.02"])
    searcher = taught(make(space), bowl, space)
    found = searcher.propose(3)
    assert len(found) == 3
    assert all(space.allows(config) for config in found)


def test_where_all_that_reported_well_diverged_or_failed_it_spreads_out_again() -> None:
    searcher = make()
    for trial, x in enumerate((0.2, 0.4)):
        searcher.created(trial, {"x": x, "y": 0.5})
        searcher.observe(trial, 1, x)
    searcher.observe(0, 3, math.nan)
    searcher.forget(1)
    assert len(searcher.propose(3)) == 3
