"""What stands in for a model: spread evenly, without repeats, the same everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustertune.model.constraint_text import FUNCTIONS
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


TIGHT = Space({name: Int(1, 200) for name in "abc"}, {}, ["abs(a) + b + c <= 20"])
ALLOWED = [
    f"{{'a': {a}, 'b': {b}, 'c': {c}}}" for a in range(1, 19) for b in range(1, 20 - a) for c in range(1, 21 - a - b)
]


@pytest.mark.parametrize("left", [1140, 600, 10, 1, 0])
def test_hardly_anything_is_looked_at_for_each_configuration_of_a_tight_space(
    left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    monkeypatch.setitem(FUNCTIONS, "abs", (lambda value: computed.append(value) or abs(value), 1, 1))  # type: ignore[index]
    space = Space(TIGHT.parameters, {}, [TIGHT.constraints[0].text])
    stand_in, seen = StandIn(space, 1), set(ALLOWED[: len(ALLOWED) - left])
    for trial in range(2000, 2040):
        config = stand_in.config(trial, seen)
        assert (key(config) if isinstance(config, dict) else config) in (set(ALLOWED) - seen or {NoConfig.EXHAUSTED})
    # The way through the grid, once, is 34,000 of them.
    assert len(computed) < 34_000 + 40 * 300


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=8))
def test_what_stands_in_hangs_on_what_was_seen_and_not_on_what_was_asked_before(asked: list[set[int]]) -> None:
    space = Space({"a": Int(1, 400), "b": Int(1, 400)}, {}, ["a + b <= 5"])
    everything = list(map(key, space.grid(400)))
    lived_on = StandIn(space, 1)
    for trial, indices in enumerate(asked):
        seen = {everything[index] for index in indices}
        assert lived_on.config(trial, seen) == StandIn(space, 1).config(trial, seen)
