"""What stands in for a model: spread evenly, without repeats, the same everywhere."""

from __future__ import annotations

from clustertune.model.space import Float, Int, Space
from clustertune.search.contracts import NoConfig
from clustertune.search.searchers.spread import StandIn, key, spread_point


def test_points_of_any_stretch_of_the_sequence_leave_no_large_gap() -> None:
    # The golden ratio's sequence parts the interval into gaps of three lengths at most, the longest under 2.7 / n.
    for seed in range(5):
        for first in (0, 1000):
            points = sorted(spread_point(seed, number, 1)[0] for number in range(first, first + 32))
            gaps = [b - a for a, b in zip(points, [*points[1:], points[0] + 1.0], strict=True)]
            assert max(gaps) < 2.7 / 32


def test_points_cover_a_square_more_evenly_than_chance_can_be_relied_upon_to() -> None:
    for seed in range(10):
        cells = {(int(4 * x), int(4 * y)) for x, y in (spread_point(seed, number, 2) for number in range(40))}
        assert len(cells) == 16


def test_seeds_shift_the_sequence() -> None:
    assert spread_point(1, 0, 3) != spread_point(2, 0, 3)
    assert spread_point(1, 0, 3) == spread_point(1, 0, 3)


def test_the_users_configurations_come_first_and_are_completed() -> None:
    stand_in = StandIn(Space({"x": Float(0, 1), "y": Float(0, 1)}), 3, [{"x": 0.25}])
    first = stand_in.config(0, set())
    assert isinstance(first, dict)
    assert first["x"] == 0.25
    assert 0 <= float(first["y"]) <= 1


def test_a_finite_space_is_used_up_without_repeats_and_then_there_is_nothing() -> None:
    stand_in = StandIn(Space({"x": Int(1, 7), "y": Int(1, 3)}), 0)
    seen: set[str] = set()
    for trial in range(21):
        config = stand_in.config(trial, seen)
        assert isinstance(config, dict)
        assert key(config) not in seen
        seen.add(key(config))
    assert stand_in.config(21, seen) is NoConfig.EXHAUSTED
