"""Drawing what is allowed: the distribution stays, the seed and the trial decide, and there is an end.

What a draw costs was measured by timing ``allowed_config`` where one draw in 1,000 is allowed, on the machine that this
was written on: 5 microseconds for each draw of two floats.
"""

from __future__ import annotations

from collections import Counter

import pytest

from clustertune.model.space import Float, Int, Space
from clustertune.model.trial import Config
from clustertune.search.contracts import NoConfig, Searcher
from clustertune.search.registry import Registry

REGISTRY = Registry.default()
TRIANGLE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}, {}, ["x + y < 1"])
SQUARE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
both = pytest.mark.parametrize("name", ["random", "sobol"])


def make(name: str, space: Space, seed: int = 0, initial: tuple[Config, ...] = ()) -> Searcher:
    return REGISTRY.make_searcher(name, {}, space=space, seed=seed, initial=initial)


def configs(searcher: Searcher, count: int) -> list[Config]:
    found = [searcher.suggest(trial) for trial in range(count)]
    return [config for config in found if not isinstance(config, NoConfig)]


@both
def test_points_spread_over_what_is_allowed_as_they_would_over_everything(name: str) -> None:
    found = configs(make(name, TRIANGLE), 4000)
    # The triangle is cut into four of equal size: at each corner one, and one in the middle.
    cells = Counter("x" if float(c["x"]) > 0.5 else "y" if float(c["y"]) > 0.5
                    else "0" if float(c["x"]) + float(c["y"]) < 0.5 else "middle" for c in found)  # fmt: skip
    # The standard deviation of each is 27.
    assert all(abs(cells[cell] - 1000) < 110 for cell in ("x", "y", "0", "middle"))


@both
def test_what_would_have_been_proposed_and_is_allowed_is_proposed(name: str) -> None:
    free, bound = configs(make(name, SQUARE), 200), configs(make(name, TRIANGLE), 200)
    for before, after in zip(free, bound, strict=True):
        assert TRIANGLE.allows(after)
        assert (before == after) is TRIANGLE.allows(before)


@both
def test_a_proposal_depends_on_the_seed_and_the_trial_alone(name: str) -> None:
    expected = configs(make(name, TRIANGLE, seed=5), 60)
    for trial in (59, 3, 40):
        assert make(name, TRIANGLE, seed=5).suggest(trial) == expected[trial]
    assert configs(make(name, TRIANGLE, seed=6), 60) != expected


@both
def test_where_one_point_in_thousands_is_allowed_it_is_found(name: str) -> None:
    narrow = Space(SQUARE.parameters, {}, ["0.5 < x < 0.5005"])
    assert len(configs(make(name, narrow), 5)) == 5


@both
def test_where_nothing_is_allowed_the_search_is_over(name: str) -> None:
    assert make(name, Space(SQUARE.parameters, {}, ["x > 1"])).suggest(0) is NoConfig.EXHAUSTED


@both
def test_a_finite_space_too_large_to_be_counted_is_used_up(name: str) -> None:
    space = Space({"a": Int(1, 400), "b": Int(1, 400)}, {}, ["a == b and a % 16 == 0"])
    assert (space.size, space.finite) == (None, True)
    found = configs(make(name, space), 30)
    assert sorted(int(config["a"]) for config in found) == list(range(16, 401, 16))


@both
def test_users_configurations_that_cannot_be_completed_are_left_aside(name: str) -> None:
    searcher = make(name, TRIANGLE, initial=({"x": 0.9}, {"x": 0.8, "y": 0.9}))
    first, second = configs(searcher, 2)
    assert first["x"] == 0.9
    assert TRIANGLE.allows(first)
    assert TRIANGLE.allows(second)


def test_a_grid_has_those_of_its_points_that_are_allowed() -> None:
    found = configs(REGISTRY.make_searcher("grid", {"points": 3}, space=TRIANGLE, seed=0), 9)
    assert [tuple(config.values()) for config in found] == [(0.0, 0.0), (0.0, 0.5), (0.5, 0.0)]
