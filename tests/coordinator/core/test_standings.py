"""What schedulers are told of reports with several losses: numbers that rank as the reports do."""

from __future__ import annotations

import math
from random import Random

from clustertune.coordinator.core.standings import Standings, crowding_distances
from clustertune.model.front import Measured, dominates
from clustertune.search.schedulers.rung import Rung


def tell(standings: Standings, *points: tuple[float, ...], violation: float = 0.0) -> list[float]:
    """What each is given, in the order in which they come."""
    given = []
    for losses in points:
        trial, measured = len(standings), Measured(losses=losses, violation=violation)
        given.append(standings.standing(trial, measured))
        standings.record(trial, measured, given[-1])
    return given


def test_the_first_stands_in_the_middle_of_its_half_and_others_by_how_many_dominate_them() -> None:
    assert tell(Standings(), (5.0, 5.0), (1.0, 1.0), (9.0, 9.0)) == [0.25, 0.125, 2.5 / 6]
    assert tell(Standings(), (5.0, 5.0), violation=1.0) == [0.75]


def test_who_is_dominated_by_none_stands_before_who_is_dominated_by_some() -> None:
    first, worse, other_end, between = tell(Standings(), (1.0, 9.0), (2.0, 10.0), (9.0, 1.0), (3.0, 11.0))
    assert max(first, other_end) < worse < between


def test_of_equally_dominated_ones_who_has_more_room_stands_first() -> None:
    standings = Standings()
    given = tell(standings, (0.0, 10.0), (1.0, 9.0), (10.0, 0.0), (0.9, 9.1), (5.0, 5.0))
    crowded, lonely = given[3], given[4]
    assert lonely < crowded


def test_the_same_again_stands_where_it_stood() -> None:
    given = tell(Standings(), (0.0, 2.0), (1.0, 1.0), (2.0, 0.0), (1.0, 1.0))
    assert given[3] == given[1]
    assert len(set(given)) == 3
    breakers = Standings()
    once, other = tell(breakers, (1.0, 1.0), violation=0.5)[0], tell(breakers, (7.0, 7.0), violation=0.5)[0]
    assert once == other


def test_however_often_the_same_is_reported_who_is_worse_or_breaks_a_constraint_stands_behind() -> None:
    standings = Standings()
    breaks = tell(standings, (0.3,), violation=0.125)[0]
    worse = tell(standings, (1.0,))[0]
    equal = tell(standings, *[(0.5,)] * 100)
    better, between = tell(standings, (0.4,), (0.7,))
    assert better < equal[0] == max(equal) < between < worse < breaks


def test_where_floating_point_has_no_number_left_the_newcomer_ties_with_the_one_before_it() -> None:
    standings = Standings()
    breaks = tell(standings, (0.0,), violation=1e-9)[0]
    # Each lies between the first of all and the one before.
    given = tell(standings, *[(1.0 / n if n else 0.0,) for n in range(200)])
    assert given[1:] == sorted(given[1:], reverse=True)
    assert given[-1] == given[0] < given[40] < given[1] < breaks


def test_who_breaks_constraints_stands_after_all_who_keep_them_and_the_more_the_further() -> None:
    standings = Standings()
    much = tell(standings, (0.0, 0.0), violation=2.0)[0]
    little = tell(standings, (0.0, 0.0), violation=0.1)[0]
    kept, also_kept = tell(standings, (8.0, 8.0), (9.0, 9.0))
    assert kept < also_kept < little < much


def test_with_one_objective_standings_rank_as_losses_and_violations_do_in_whatever_order_they_come() -> None:
    generator, standings, told = Random(3), Standings(), []
    for trial in range(300):
        measured = Measured(losses=(generator.gauss(0, 1),), violation=max(0.0, generator.gauss(0, 1)))
        standing = standings.standing(trial, measured)
        standings.record(trial, measured, standing)
        told.append((standing, (measured.violation, measured.losses if measured.keeps else ())))
    assert sorted(told) == sorted(told, key=lambda pair: pair[1])
    assert all(0.0 < standing < 1.0 for standing, _ in told)
    assert len({standing for standing, _ in told}) == 300


def test_a_rung_decides_by_standings_as_if_it_had_counted_who_dominates_whom() -> None:
    generator, standings, rung = Random(5), Standings(), Rung(1, 3)
    seen: list[tuple[float, float]] = []
    for trial in range(120):
        losses = (generator.random(), generator.random())
        measured = Measured(losses=losses)
        standing = standings.standing(trial, measured)
        standings.record(trial, measured, standing)
        seen.append(losses)
        ranks = [sum(dominates(other, one) for other in seen) for one in seen]
        ahead, level = sum(rank < ranks[-1] for rank in ranks), sum(rank == ranks[-1] for rank in ranks)
        room = max(1, len(seen) // 3)
        good = rung.record(trial, standing)
        if ahead + level <= room:
            assert good, trial
        if ahead >= room:
            assert not good, trial


def test_crowding_is_the_way_round_the_neighbours_and_has_no_end_at_the_ends() -> None:
    distances = crowding_distances([(0.0, 4.0), (1.0, 3.0), (3.0, 1.0), (4.0, 0.0)])
    assert distances == [math.inf, 0.75 + 0.75, 0.75 + 0.75, math.inf]
    assert crowding_distances([(1.0, 1.0), (1.0, 1.0)]) == [0.0, 0.0]
