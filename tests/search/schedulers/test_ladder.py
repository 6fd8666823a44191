"""Ladders: their levels, and how many trials reach each."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.search.schedulers.ladder import Bracket, hyperband_brackets, rank, rung_levels


@pytest.mark.parametrize(
    ("low", "high", "factor", "levels"),
    [
        (1, 243, 3, [1, 3, 9, 27, 81]),
        (1, 81, 3, [1, 3, 9, 27]),
        (1, 82, 3, [1, 3, 9, 27, 81]),
        (2, 100, 4, [2, 8, 32]),
        (1, 20, 2.5, [1, 2, 6, 15]),
        (10, 10, 3, []),
        (1, 2, 3, [1]),
        (1, 5**13, 5, [5**k for k in range(13)]),
    ],
)
def test_rungs_lie_a_factor_apart_and_below_the_maximum(low: int, high: int, factor: float, levels: list[int]) -> None:
    assert rung_levels(low, high, factor) == levels


def test_the_brackets_are_those_of_the_papers_algorithm() -> None:
    # R = 81, eta = 3, so s_max = 4. n = ceil(5 * 3**s / (s + 1)): 81, ceil(33.75) = 34, 15, ceil(7.5) = 8, 5; then
    # n_i = floor(n * 3**-i) at r_i = 81 * 3**(i - s).
    assert hyperband_brackets(1, 81, 3) == [
        Bracket((1, 3, 9, 27, 81), (81, 27, 9, 3, 1)),
        Bracket((3, 9, 27, 81), (34, 11, 3, 1)),
        Bracket((9, 27, 81), (15, 5, 1)),
        Bracket((27, 81), (8, 2)),
        Bracket((81,), (5,)),
    ]


def test_levels_are_counted_down_from_the_maximum_and_rounded_down() -> None:
    # 100, 33.3, 11.1, 3.7, 1.2: s_max = 4, since 3**4 <= 100 < 3**5.
    assert hyperband_brackets(1, 100, 3)[0].levels == (1, 3, 11, 33, 100)
    # The least resource is 5, and 25 / 2**2 = 6.25, the next would be 3.125.
    assert hyperband_brackets(5, 25, 2)[0].levels == (6, 12, 25)


def test_the_top_bracket_is_not_lost_to_rounding() -> None:
    # log(243) / log(3) is 4.999… in floating point.
    assert [len(bracket.levels) for bracket in hyperband_brackets(1, 243, 3)] == [6, 5, 4, 3, 2, 1]


@given(st.integers(1, 50), st.integers(0, 2_000), st.sampled_from([2, 3, 4, 2.5, 7]))
def test_every_bracket_climbs_from_the_least_resource_or_more_to_the_maximum(
    low: int, more: int, factor: float
) -> None:
    for bracket in hyperband_brackets(low, low + more, factor):
        assert low <= bracket.levels[0]
        assert bracket.levels[-1] == low + more
        assert sorted(set(bracket.levels)) == list(bracket.levels)
        assert len(bracket.sizes) == len(bracket.levels)
        assert sorted(bracket.sizes, reverse=True) == list(bracket.sizes)
        assert bracket.sizes[-1] >= 1


def test_what_is_not_finite_ranks_last_and_ties_go_to_the_lower_number() -> None:
    losses = [(0, math.nan), (1, 2.0), (2, -math.inf), (3, 1.0), (4, 2.0)]
    assert [trial for _, trial in sorted(rank(*record) for record in losses)] == [3, 1, 4, 0, 2]
