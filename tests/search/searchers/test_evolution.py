"""Regularized evolution: worked by hand where that is possible, and better than chance."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import pytest

from clustertune.model.space import Float, Space
from clustertune.model.trial import Config
from clustertune.search.contracts import NoConfig
from clustertune.search.registry import Registry
from clustertune.search.searchers.evolution import Evolution, EvolutionOptions, _reflected
from tests.search.searchers.mixed_task import MIXED, loss_of


def make(space: Space = MIXED, seed: int = 0, **options: Any) -> Evolution:
    return Evolution(space=space, seed=seed, initial=(), options=EvolutionOptions(**options))


def suggested(searcher: Evolution, trial: int) -> Config:
    config = searcher.suggest(trial)
    assert not isinstance(config, NoConfig)
    return config


def best_of(name: str, seed: int, trials: int) -> float:
    searcher: Any = Registry.default().make_searcher(name, {}, space=MIXED, seed=seed)
    losses = []
    for trial in range(trials):
        config = searcher.suggest(trial)
        losses.append(loss_of(config))
        if hasattr(searcher, "created"):
            searcher.created(trial, config)
        if trial >= 4:  # five run at a time
            searcher.observe(trial - 4, 1, losses[trial - 4])
    return min(losses)


def test_it_is_better_than_chance_by_a_wide_margin() -> None:
    evolved, random = ([best_of(name, seed, 150) for seed in range(7)] for name in ("evolution", "random"))
    assert median(evolved) < 0.25 * median(random)
    assert max(evolved) < min(random)


def test_the_first_are_spread_over_the_space_whatever_was_observed() -> None:
    searcher, untold = make(population=6), make(population=6)
    for trial in range(6):
        config = suggested(searcher, trial)
        assert config == suggested(untold, trial)
        searcher.created(trial, config)
        searcher.observe(trial, 1, loss_of(config))
    assert suggested(searcher, 6) != suggested(untold, 6)


def differences(parent: Config, child: Config) -> set[str]:
    """Parameters whose values differ, among those that both have."""
    return {name for name in parent.keys() & child.keys() if parent[name] != child[name]}


def test_a_child_differs_from_its_parent_in_one_value() -> None:
    searcher = make(population=2, sample=1)
    parent: Config = {"lr": 0.01, "solver": "b", "width": 10, "depth": 8, "momentum": 0.5}
    searcher.created(0, parent)
    searcher.observe(0, 1, 0.5)
    changed: dict[str, set[Any]] = {}
    for trial in range(2, 202):
        child = suggested(searcher, trial)
        assert MIXED.check(child) == []
        [name] = differences(parent, child)
        changed.setdefault(name, set()).add(child[name])
        # What the change makes inactive is left out.
        assert ("momentum" in child) is (child["solver"] != "a")
    assert changed["solver"] == {"a", "c"}
    assert set(changed) == set(MIXED.names)


def test_what_a_change_makes_active_is_drawn() -> None:
    searcher = make(population=2, sample=1)
    searcher.created(0, {"lr": 0.01, "solver": "a", "width": 10, "depth": 8})
    searcher.observe(0, 1, 0.5)
    children = [suggested(searcher, trial) for trial in range(2, 202)]
    assert len({child["momentum"] for child in children if child["solver"] != "a"}) > 5


LINE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


def parents(searcher: Evolution, first: int = 50, count: int = 300) -> set[int]:
    """Whose children it proposes: trial n is told below with y = n / 16, and a child differs in one of two values."""
    found = set()
    for trial in range(first, first + count):
        child = suggested(searcher, trial)
        for name in LINE.names:
            place = float(child[name]) * 16
            if place == round(place):
                found.add(round(place))
    return found


def tell(searcher: Evolution, trial: int, *reports: tuple[int, float]) -> None:
    searcher.created(trial, {"x": trial / 16, "y": trial / 16})
    for resource, loss in reports:
        searcher.observe(trial, resource, loss)


def test_the_oldest_leaves_however_good_it_is() -> None:
    searcher = make(LINE, population=3, sample=1)
    for trial in range(5):
        tell(searcher, trial, (1, float(trial)))
    # Of five, the newest three: the best two have grown old.
    assert parents(searcher) == {2, 3, 4}


def test_age_counts_from_the_first_report() -> None:
    searcher = make(LINE, population=2, sample=1)
    for trial in range(4):
        tell(searcher, trial)
    for trial in (3, 0, 2):
        searcher.observe(trial, 1, 0.5)
    assert parents(searcher) == {0, 2}


def test_the_best_of_a_sample_becomes_the_parent() -> None:
    searcher = make(LINE, population=4, sample=200)
    for trial, loss in enumerate([0.5, 0.2, 0.1, 0.9]):
        tell(searcher, trial, (1, loss))
    assert parents(searcher) == {2}
    searcher.observe(1, 1, 0.05)  # its value at its end
    assert parents(searcher) == {1}


def test_who_was_left_behind_at_a_level_that_others_passed_ranks_below_them() -> None:
    searcher = make(LINE, population=5, sample=200)
    tell(searcher, 0, (1, 0.1))
    tell(searcher, 1, (1, 0.3), (3, 0.25))
    tell(searcher, 2, (1, 0.2), (3, 0.9), (9, 0.8))
    assert parents(searcher) == {2}
    searcher.forget(2)
    assert parents(searcher) == {1}
    searcher.forget(1)
    assert parents(searcher) == {0}


def test_levels_that_nobody_passed_are_not_compared() -> None:
    # Without rungs a trial is told of at its end, with the level of its best report: an early one is no worse.
    searcher = make(LINE, population=3, sample=200)
    tell(searcher, 0, (37, 0.1))
    tell(searcher, 1, (50, 0.3))
    assert parents(searcher) == {0}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_failed_trials_and_losses_that_are_none_have_no_children(bad: float) -> None:
    searcher = make(LINE, population=4, sample=1)
    tell(searcher, 0, (1, 0.5))
    tell(searcher, 1, (1, bad))
    tell(searcher, 2, (1, 0.1), (3, bad), (1, 0.1))
    tell(searcher, 3, (1, 0.1))
    searcher.forget(3)
    assert parents(searcher) == {0}
    tell(searcher, 4, (1, bad), (3, 0.2))  # it found itself
    assert parents(searcher) == {0, 4}


def test_trials_that_others_proposed_join_too() -> None:
    searcher = make(LINE, population=2, sample=1)
    tell(searcher, 7, (1, 0.5))
    assert parents(searcher) == {7}


@pytest.mark.parametrize(("unit", "inside"), [(0.25, 0.25), (-0.25, 0.25), (1.25, 0.75), (2.25, 0.25), (-1.5, 0.5)])
def test_a_step_beyond_an_end_is_folded_back(unit: float, inside: float) -> None:
    assert _reflected(unit) == inside
    assert 0.0 <= _reflected(1.0) < 1.0
