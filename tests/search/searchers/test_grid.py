"""Grid search."""

from __future__ import annotations

from clustertune.model.space import Choice, Float, Int, Space
from clustertune.search.contracts import NoConfig
from clustertune.search.registry import Registry

SPACE = Space(
    {"solver": Choice(("sgd", "adam")), "momentum": Float(0.0, 0.9), "depth": Int(1, 3)},
    {"momentum": {"solver": ("sgd",)}},
)


def test_every_combination_comes_once_with_the_last_parameter_fastest() -> None:
    grid = Registry.default().make_searcher("grid", {"points": 3}, space=SPACE, seed=0)
    suggested = [grid.suggest(trial) for trial in range(13)]
    assert suggested[:4] == [
        {"solver": "sgd", "momentum": 0.0, "depth": 1},
        {"solver": "sgd", "momentum": 0.0, "depth": 2},
        {"solver": "sgd", "momentum": 0.0, "depth": 3},
        {"solver": "sgd", "momentum": 0.45, "depth": 1},
    ]
    assert suggested[9:] == [{"solver": "adam", "depth": depth} for depth in (1, 2, 3)] + [NoConfig.EXHAUSTED]


def test_a_restarted_grid_goes_on_where_it_was() -> None:
    make = Registry.default().make_searcher
    whole = make("grid", {}, space=SPACE, seed=0)
    expected = [whole.suggest(trial) for trial in range(18)]
    assert make("grid", {}, space=SPACE, seed=0).suggest(11) == expected[11]
    assert make("grid", {}, space=SPACE, seed=0).suggest(400) is NoConfig.EXHAUSTED


def test_the_users_own_configurations_come_first_and_not_again() -> None:
    own = {"solver": "adam", "depth": 2}
    grid = Registry.default().make_searcher("grid", {"points": 2}, space=SPACE, seed=0, initial=[own])
    suggested = []
    while not isinstance(config := grid.suggest(len(suggested)), NoConfig):
        suggested.append(config)
    assert suggested[0] == own
    assert suggested.count(own) == 1
    # Integers 1 to 3 are thinned to two values, so 2 is on no grid point: 2 x 2 + 2 points, and the user's own.
    assert len(suggested) == 7


def test_true_and_one_are_different_grid_points() -> None:
    space = Space({"flag": Choice((True, 1))})
    grid = Registry.default().make_searcher("grid", {}, space=space, seed=0, initial=[{"flag": True}])
    assert [repr(grid.suggest(trial)) for trial in range(2)] == ["{'flag': True}", "{'flag': 1}"]


def test_large_integers_are_thinned_and_steps_are_kept_whole() -> None:
    space = Space({"width": Int(1, 1000, log=True), "depth": Int(2, 20, step=2)})
    grid = Registry.default().make_searcher("grid", {"points": 4}, space=space, seed=0)
    configs = [config for trial in range(100) if isinstance(config := grid.suggest(trial), dict)]
    assert sorted({config["width"] for config in configs}) == [1, 10, 100, 1000]  # type: ignore[type-var]
    assert len(configs) == 4 * 10
