"""Fronts and compromises, worked by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.model.front import Measured, beats, compromise, dominates, front, front_with, least_violating

NAN = math.nan


def measured(*losses: tuple[float, ...], violations: Mapping[int, float] | None = None) -> dict[int, Measured]:
    broken = violations or {}
    return {n: Measured(losses=one, violation=broken.get(n, 0.0)) for n, one in enumerate(losses)}


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((1.0, 2.0), (2.0, 3.0), True),
        ((1.0, 2.0), (1.0, 3.0), True),
        ((1.0, 2.0), (1.0, 2.0), False),
        ((1.0, 3.0), (2.0, 2.0), False),
        ((1.0, 2.0), (1.0, NAN), True),
        ((1.0, NAN), (1.0, 2.0), False),
        ((9.0, 9.0), (NAN, NAN), True),
    ],
)
def test_one_dominates_another_where_it_is_nowhere_worse_and_somewhere_better(
    left: tuple[float, ...], right: tuple[float, ...], expected: bool
) -> None:
    assert dominates(left, right) is expected


def test_who_keeps_the_constraints_beats_who_breaks_one_however_good_that_is() -> None:
    kept, little, much = (
        Measured(losses=(9.0, 9.0)),
        Measured(losses=(0.0, 0.0), violation=0.1),
        Measured(losses=(0.0, 0.0), violation=2.0),
    )
    assert beats(kept, little)
    assert beats(little, much)
    assert not beats(little, kept)
    assert not beats(much, little)


def test_the_front_is_what_nothing_beats() -> None:
    points = measured((1.0, 9.0), (2.0, 5.0), (3.0, 6.0), (5.0, 2.0), (5.0, 3.0), (9.0, 1.0))
    assert front(points) == (0, 1, 3, 5)


def test_of_equal_points_the_first_trial_stands_for_all() -> None:
    assert front(measured((1.0, 2.0), (1.0, 2.0), (2.0, 1.0), (1.0, 2.0))) == (0, 2)


def test_one_point_is_a_front_and_its_own_compromise() -> None:
    alone = measured((3.0, 4.0))
    assert front(alone) == (0,)
    assert compromise(alone, (0,)) == 0


def test_who_breaks_a_constraint_or_has_no_number_is_not_on_the_front() -> None:
    assert front(measured((0.0, 0.0), (2.0, NAN), (3.0, 3.0), violations={0: 0.5})) == (2,)
    assert front(measured((0.0, 0.0), violations={0: 0.5})) == ()


def test_the_compromise_is_nearest_to_the_best_of_each_on_the_scale_of_the_front() -> None:
    # Scaled to the front: (0, 1), (0.25, 0.25), (1, 0); the second objective is a thousand times as large.
    points = measured((1.0, 4000.0), (2.0, 1000.0), (5.0, 0.0))
    assert compromise(points, front(points)) == 1
    assert compromise(measured((0.0, 1.0), (1.0, 0.0)), (0, 1)) == 0  # a tie goes to the lower number


def test_where_none_keeps_the_constraints_the_least_violating_is_told() -> None:
    points = measured((1.0, 1.0), (5.0, 5.0), (2.0, 2.0), violations={0: 0.5, 1: 0.2, 2: 0.2})
    assert least_violating(points) == 2
    assert least_violating({}) is None


_LOSSES = st.tuples(st.integers(0, 4).map(float), st.integers(0, 4).map(float), st.integers(0, 2).map(float))
_POINT = st.builds(
    lambda losses, violation: Measured(losses=losses, violation=violation), _LOSSES, st.sampled_from([0.0, 0.0, 0.5])
)


@given(st.lists(_POINT, max_size=25), st.sampled_from([2, 3]))
def test_on_the_front_is_exactly_who_keeps_the_constraints_and_is_beaten_by_none(
    points: list[Measured], objectives: int
) -> None:
    known = {n: Measured(losses=one.losses[:objectives], violation=one.violation) for n, one in enumerate(points)}
    expected = [
        trial
        for trial, one in known.items()
        if one.keeps and not any(beats(other, one) or (other == one and n < trial) for n, other in known.items())
    ]
    assert front(known) == tuple(expected)


@given(st.lists(st.tuples(st.integers(0, 5), _POINT), min_size=1, max_size=25))
def test_a_front_kept_up_to_date_report_by_report_is_the_front_of_all(steps: list[tuple[int, Measured]]) -> None:
    known: dict[int, Measured] = {}
    kept: tuple[int, ...] = ()
    for trial, point in steps:
        before = known.get(trial)
        known[trial] = point
        kept = front_with(kept, known, trial, before)
        assert kept == front(known)


@given(st.randoms(use_true_random=False), st.sampled_from([2, 3]))
def test_where_one_of_a_front_becomes_worse_all_that_it_alone_had_beaten_come_back(chance: Random, many: int) -> None:
    """As where an objective grows with every report; now and then a trial is worth nothing any more."""
    known = {n: Measured(losses=tuple(chance.randrange(8) for _ in range(many))) for n in range(30)}
    kept = front(known)
    for _ in range(12):
        trial = chance.choice(kept or tuple(known))
        before = known.pop(trial)
        if chance.random() < 0.8:
            worse = tuple(loss + chance.choice([0, 0, 1, 3]) for loss in before.losses)
            known[trial] = Measured(losses=worse, violation=chance.choice([0.0] * 9 + [0.5]))
        kept = front_with(kept, known, trial, before)
        assert kept == front(known)
