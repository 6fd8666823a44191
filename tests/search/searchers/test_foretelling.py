"""How well low levels foretell high ones decides how much a model is trusted."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from clustertune.search.searchers.foretelling import foretold
from clustertune.search.searchers.past import Past


def past(losses: Callable[[int, int], float], trials: int = 20, levels: tuple[int, ...] = (1, 3, 9)) -> Past:
    """``losses`` by trial and level; all reach the highest."""
    found = Past()
    for trial in range(trials):
        found.created(trial, {"x": trial})
        for level in levels:
            found.observe(trial, level, losses(trial, level))
    return found


def test_who_leads_early_and_late_is_foretold_wholly() -> None:
    assert foretold(past(lambda trial, level: (trial - 7) ** 3 / level)) == pytest.approx(1.0)


def test_who_leads_early_and_trails_late_is_foretold_wrongly() -> None:
    assert foretold(past(lambda trial, level: trial * (1 if level == 3 else -1))) == pytest.approx(-1.0)


def test_each_pair_of_levels_counts_by_how_many_were_compared() -> None:
    told = past(lambda trial, level: trial, trials=12, levels=(1, 3))
    for trial in range(4):
        told.observe(trial, 9, -trial)
    assert foretold(told) == pytest.approx((12 - 4) / 16)


@pytest.mark.parametrize("trials", [0, 1, 7])
def test_of_few_comparisons_nothing_follows(trials: int) -> None:
    assert foretold(past(lambda trial, level: trial, trials, levels=(1, 3))) is None


def test_equal_losses_and_those_that_are_none_foretell_nothing() -> None:
    assert foretold(past(lambda trial, level: 0.5)) is None
    assert foretold(past(lambda trial, level: math.nan)) is None


def test_a_single_level_has_nothing_to_foretell_and_can_be_trusted() -> None:
    assert foretold(past(lambda trial, level: trial, levels=(9,))) == 1.0
    assert foretold(past(lambda trial, level: trial, trials=7, levels=(9,))) is None


def test_levels_that_lie_close_are_compared_from_the_lowest_to_the_highest() -> None:
    told = past(lambda trial, level: trial if level < 50 else -trial, levels=(30, 40, 50))
    assert foretold(told) == pytest.approx(-1.0)


def test_levels_that_are_neighbours_are_not_compared() -> None:
    """Else 79 comparisons of neighbours, which are always alike, would hide that 1 and 2 say nothing of 40."""
    told = past(lambda trial, level: trial if level < 40 else (trial * 7) % 20, levels=tuple(range(1, 81)))
    found = foretold(told)
    assert found is not None
    assert found < 0.9


def test_the_first_trials_count_and_not_those_that_a_model_proposed_later() -> None:
    told = past(lambda trial, level: trial if trial < 30 or level == 1 else -trial, trials=200, levels=(1, 3))
    assert foretold(told) == pytest.approx(1.0)


def test_a_trial_that_failed_tells_nothing() -> None:
    told = past(lambda trial, level: trial, trials=12, levels=(1, 3))
    for trial in range(6):
        told.forget(trial)
    assert foretold(told) is None
