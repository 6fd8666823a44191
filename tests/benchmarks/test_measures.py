"""The statistics, against what was worked out by hand."""

from __future__ import annotations

import math

import pytest

from benchmarks.search.measures import WORST, best_at, holm, mean_ranks, ranks, regret, signed_rank_p

PATH = [(0.1, 5.0), (0.4, 3.0), (1.0, 2.0)]


@pytest.mark.parametrize(("share", "value"), [(0.05, math.inf), (0.1, 5.0), (0.39, 5.0), (0.4, 3.0), (1.0, 2.0)])
def test_the_best_by_a_share_of_the_compute_is_the_last_improvement_up_to_it(share: float, value: float) -> None:
    assert best_at(PATH, share) == value


def test_regret_is_0_at_the_best_known_and_1_where_random_search_ends() -> None:
    assert regret(-3.0, best=-3.0, reference=-1.0) == 0
    assert regret(-1.0, best=-3.0, reference=-1.0) == 1
    assert regret(-2.5, best=-3.0, reference=-1.0) == 0.25


def test_regret_has_an_upper_bound_which_is_also_that_of_no_value_at_all() -> None:
    assert regret(1000.0, best=0.0, reference=1.0) == WORST
    assert regret(math.inf, best=0.0, reference=1.0) == WORST


def test_where_random_search_ends_at_the_best_only_the_best_has_no_regret() -> None:
    assert regret(1.0, best=1.0, reference=1.0) == 0
    assert regret(1.1, best=1.0, reference=1.0) == WORST


def test_equal_values_share_the_mean_of_their_places() -> None:
    assert ranks({"a": 3.0, "b": 1.0, "c": 3.0, "d": 7.0}) == {"b": 1.0, "a": 2.5, "c": 2.5, "d": 4.0}
    assert ranks({"a": math.inf, "b": 0.0, "c": math.inf}) == {"b": 1.0, "a": 2.5, "c": 2.5}


def test_mean_ranks_are_over_rows() -> None:
    assert mean_ranks([{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 0.0}, {"a": 1.0, "b": 1.0}]) == {"a": 1.5, "b": 1.5}
    assert mean_ranks([]) == {}


def test_holm_multiplies_the_kth_least_by_what_is_left_and_never_falls() -> None:
    # In order: .005 * 4, .01 * 3, .03 * 2, and .04 * 1, which may not be less than the .06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stays_a_probability() -> None:
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_five_pairs_that_all_differ_in_one_direction_have_the_least_p_that_five_can_have() -> None:
    # Two of the 2^5 ways to set the signs are as extreme.
    assert signed_rank_p([1, 2, 3, 4, 5], [0, 0, 0, 0, 0]) == pytest.approx(2 / 32)


def test_pairs_that_do_not_differ_say_nothing() -> None:
    assert signed_rank_p([1.0, 2.0], [1.0, 2.0]) == 1.0
