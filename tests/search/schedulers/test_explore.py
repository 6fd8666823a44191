"""Configurations changed a little."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.model.space import Choice, Constant, Float, Int, Ordinal, Parameter, Space
from clustertune.search.schedulers.explore import FACTORS, _scaled, explore

MIXED = Space(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "dropout": Float(0.0, 0.9, step=0.1),
        "layers": Int(1, 8),
        "width": Int(16, 256, step=16),
        "solver": Choice(("sgd", "adam", "lamb")),
        "size": Ordinal((1, 10, 100)),
        "momentum": Float(0.0, 0.99),
        "fixed": Constant("x"),
    },
    {"momentum": {"solver": ("sgd",)}},
)


def near(parameter: Parameter, value: object, times: int = 60) -> set[object]:
    space = Space({"x": parameter})
    return {explore(space, {"x": value}, Random(seed), 0.0)["x"] for seed in range(times)}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("parameter", "value", "moved"),
    [
        (Float(0.0, 10.0), 5.0, {4.0, 6.0}),
        (Float(0.0, 5.5), 5.0, {4.0, 5.5}),  # 6 is beyond the bound
        (Float(-10.0, 0.0), -5.0, {-4.0, -6.0}),
        (Int(1, 100), 10, {8, 12}),
        (Int(1, 100), 2, {1, 3}),  # 1.6 and 2.4 would both be 2 again
        (Int(1, 100), 1, {1, 2}),
        (Int(0, 100), 0, {0, 1}),  # 0 times anything is 0
        (Int(-10, 0), 0, {-1, 0}),
        (Int(-10, 10), 0, {-1, 1}),
        (Int(-10, 10), -2, {-3, -1}),
        (Float(0.0, 1.0, step=0.1), 0.0, {0.0, 0.1}),
        (Float(-1e308, 1e308, step=1e307), 1e307, {0.0, 2e307}),
        (Int(0, 100, step=10), 50, {40, 60}),
        (Float(0.0, 1.0, step=0.1), 0.5, {0.4, 0.6}),
        (Choice(("a", "b", "c")), "b", {"a", "c"}),
        (Choice(("a", "b", "c")), "a", {"a", "b"}),
        (Ordinal((1, 10, 100)), 10, {1, 100}),
    ],
)
def test_each_value_moves_to_a_neighbour(parameter: Parameter, value: object, moved: set[object]) -> None:
    assert near(parameter, value) == moved


STEPPED = [
    Float(low, round(low + steps * step, 10), step=step)
    for low in (0.0, 0.05, 0.1, 0.3, 1.0, -0.3, -1.0)
    for step in (0.01, 0.05, 0.1, 0.25, 0.3, 0.7)
    for steps in (1, 2, 3, 6, 9, 14, 23)
]


@pytest.mark.parametrize("factor", FACTORS)
def test_in_steps_every_value_moves_along_the_grid_towards_zero_or_away_from_it(factor: float) -> None:
    for parameter in STEPPED:
        grid = list(parameter.grid(0))
        for index, value in enumerate(grid):
            up = (factor > 1) == (value >= 0)
            moved = grid.index(_scaled(parameter, value, factor))
            end = index == (len(grid) - 1 if up else 0)
            assert moved == index if end else (moved > index if up else moved < index), (parameter, value)


def test_values_are_drawn_anew_as_often_as_was_said() -> None:
    space = Space({"x": Float(0.0, 10.0)})
    found = [explore(space, {"x": 5.0}, Random(seed), 0.25)["x"] for seed in range(2_000)]
    assert sum(value not in (4.0, 6.0) for value in found) / 2_000 == pytest.approx(0.25, abs=0.03)
    assert min(map(float, found)) < 1
    assert max(map(float, found)) > 9


@given(st.integers(0, 10_000), st.floats(0, 1), st.lists(st.floats(0, 0.999), min_size=7, max_size=7))
def test_what_comes_of_it_is_a_configuration_of_the_space(seed: int, resample: float, point: list[float]) -> None:
    config = MIXED.from_unit(point)
    found = explore(MIXED, config, Random(seed), resample)
    assert MIXED.check(found) == []
    assert ("momentum" in found) == (found["solver"] == "sgd")
    assert explore(MIXED, config, Random(seed), resample) == found
