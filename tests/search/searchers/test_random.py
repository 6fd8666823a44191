"""Random and quasi-random search: what both promise, and what each does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustertune.model.space import Choice, Constant, Float, Int, Space
from clustertune.model.trial import Config
from clustertune.search.contracts import NoConfig, Searcher
from clustertune.search.registry import Registry

ENDLESS = Space(
    {"lr": Float(1e-4, 1.0, log=True), "solver": Choice(("sgd", "adam")), "momentum": Float(0, 0.9)},
    {"momentum": {"solver": ("sgd",)}},
)
FINITE = Space(
    {"width": Int(1, 40, log=True), "solver": Choice(("sgd", "adam")), "nesterov": Choice((True, False))},
    {"nesterov": {"solver": ("sgd",)}},
)
Make = Callable[..., Searcher]


@pytest.fixture(params=["random", "sobol"])
def make(request: pytest.FixtureRequest) -> Make:
    def searcher(space: Space, seed: int = 0, initial: Sequence[Config] = ()) -> Searcher:
        return Registry.default().make_searcher(request.param, {}, space=space, seed=seed, initial=initial)

    return searcher


def suggest(searcher: Searcher, count: int) -> list[Config | NoConfig]:
    return [searcher.suggest(trial) for trial in range(count)]


@pytest.mark.parametrize("space", [ENDLESS, FINITE], ids=["endless", "finite"])
def test_a_suggestion_depends_on_the_seed_and_the_trials_number_alone(make: Make, space: Space) -> None:
    expected = suggest(make(space, seed=3), 100)
    for trial in (99, 17, 0, 18):
        assert make(space, seed=3).suggest(trial) == expected[trial]
    jumping = make(space, seed=3)
    assert [jumping.suggest(trial) for trial in (50, 3, 90)] == [expected[50], expected[3], expected[90]]
    assert suggest(make(space, seed=4), 100) != expected


def test_what_is_observed_changes_nothing(make: Make) -> None:
    watching = make(ENDLESS)
    for trial in range(20):
        watching.observe(trial, 1, 0.5)
        watching.forget(trial)
    assert suggest(watching, 20) == suggest(make(ENDLESS), 20)


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_a_fresh_process_with_another_hash_seed_suggests_the_same(name: str) -> None:
    program = (
        "import json; from clustertune.model.space import *; from clustertune.search.registry import Registry\n"
        "space = Space({'lr': Float(1e-4, 1.0, log=True), 'n': Int(1, 9)})\n"
        f"s = Registry.default().make_searcher({name!r}, {{}}, space=space, seed=11)\n"
        "print(json.dumps([s.suggest(t) for t in (700, 0, 1, 2)]))"
    )
    answers = [
        json.loads(subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": hashed}, check=True,
                                  capture_output=True, text=True).stdout)
        for hashed in ("1", "2")
    ]  # fmt: skip
    assert answers[0] == answers[1]


def test_a_finite_space_is_gone_through_once_and_then_exhausted(make: Make) -> None:
    suggested = suggest(make(FINITE), 125)
    assert FINITE.size == 120
    assert len({repr(config) for config in suggested[:120]}) == 120
    assert suggested[120:] == [NoConfig.EXHAUSTED] * 5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 2**53), st.booleans())
def test_any_finite_space_is_gone_through_without_repeats(high: int, seed: int, log: bool) -> None:
    space = Space({"n": Int(1, high + 1, log=log), "c": Constant("x")})
    searcher = Registry.default().make_searcher("random", {}, space=space, seed=seed)
    values = [config["n"] for config in suggest(searcher, high + 1) if not isinstance(config, NoConfig)]
    assert sorted(values) == list(range(1, high + 2))
    assert searcher.suggest(high + 1) is NoConfig.EXHAUSTED


def test_a_large_finite_space_is_used_up_without_going_over_it_again_and_again() -> None:
    space = Space({"n": Int(1, 20_000, log=True)})
    suggested = suggest(Registry.default().make_searcher("random", {}, space=space, seed=1), 20_001)
    assert len({repr(config) for config in suggested}) == 20_001
    assert suggested[-1] is NoConfig.EXHAUSTED


def test_the_users_own_configurations_come_first_and_are_filled_in(make: Make) -> None:
    searcher = make(ENDLESS, initial=[{"lr": 0.01, "solver": "adam"}, {"solver": "sgd"}])
    first, second, third = suggest(searcher, 3)
    assert first == {"lr": 0.01, "solver": "adam"}
    assert not isinstance(second, NoConfig)
    assert second["solver"] == "sgd"
    assert ENDLESS.check(second) == []
    assert set(second) == {"lr", "solver", "momentum"}
    assert third == make(ENDLESS).suggest(2)


def test_the_users_own_configurations_are_not_proposed_again(make: Make) -> None:
    suggested = suggest(make(FINITE, initial=[{"width": 7, "solver": "adam"}, {"width": 7, "solver": "adam"}]), 122)
    assert Counter(map(repr, suggested))[repr({"width": 7, "solver": "adam"})] == 2
    assert suggested[121] is NoConfig.EXHAUSTED


def test_a_space_of_constants_has_one_configuration(make: Make) -> None:
    assert suggest(make(Space({"a": Constant(1)})), 2) == [{"a": 1}, NoConfig.EXHAUSTED]


def test_values_are_plain_python_numbers(make: Make) -> None:
    kinds = {
        type(value) for config in suggest(make(ENDLESS), 50) if isinstance(config, dict) for value in config.values()
    }
    assert kinds == {float, str}


def test_sobol_covers_more_evenly_than_chance() -> None:
    space = Space({"x": Float(0, 1), "y": Float(0, 1)})

    def unevenness(name: str) -> float:
        searcher = Registry.default().make_searcher(name, {}, space=space, seed=5)
        configs = [config for config in suggest(searcher, 256) if isinstance(config, dict)]
        cells = Counter((int(config["x"] * 4), int(config["y"] * 4)) for config in configs)  # type: ignore[operator]
        return pstdev(cells[x, y] for x in range(4) for y in range(4))

    assert unevenness("sobol") == 0
    assert unevenness("random") > 1


def test_sobol_goes_on_beyond_a_block_and_beyond_powers_of_two() -> None:
    searcher = Registry.default().make_searcher("sobol", {}, space=Space({"x": Float(0, 1)}), seed=1)
    values = [config["x"] for config in suggest(searcher, 1000) if isinstance(config, dict)]
    assert len(set(values)) == 1000
