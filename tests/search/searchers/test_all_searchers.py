"""What every searcher that is registered promises, on every kind of space."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from clustertune.model.space import Choice, Constant, Float, Int, Ordinal, Space
from clustertune.model.trial import Config
from clustertune.search.contracts import NoConfig
from clustertune.search.registry import Registry

REGISTRY = Registry.default()

SPACES: Mapping[str, Space] = {
    "mixed": Space(
        {
            "lr": Float(1e-5, 1.0, log=True),
            "x": Float(-2.0, 2.0),
            "n": Int(1, 4096, log=True),
            "m": Int(-5, 5),
            "c": Choice(("a", "b", True, 1.5)),
            "o": Ordinal((16, 32, 64)),
            "k": Constant("same"),
        }
    ),
    "stepped": Space({"f": Float(0.0, 1.0, step=0.1), "i": Int(0, 60, step=5), "x": Float(0.0, 1.0)}),
    "conditional": Space(
        {
            "momentum": Float(0.0, 0.9),
            "solver": Choice(("sgd", "adam")),
            "nesterov": Choice((True, False)),
            "beta": Float(0.8, 0.999),
            "depth": Int(1, 3),
            "width": Int(8, 64),
        },
        {
            "momentum": {"solver": ("sgd",)},
            "nesterov": {"solver": ("sgd",)},
            "beta": {"solver": ("adam",)},
            "width": {"depth": (2, 3)},
        },
    ),
    "constrained": Space(
        {
            "hidden": Int(1, 256, log=True),
            "depth": Int(1, 16),
            "lr": Float(1e-4, 1.0, log=True),
            "solver": Choice(("sgd", "adam")),
        },
        {},
        ["hidden * depth <= 256", "lr < 0.1 or solver == 'sgd'"],
    ),
    "tight": Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}, {}, ["0.02 < x - y < 0.03"]),
    "one float": Space({"x": Float(0.0, 1.0)}),
}
FINITE: Mapping[str, Space] = {
    "finite": Space({"n": Int(1, 4), "c": Choice(("a", "b")), "s": Choice((True, 1))}, {"s": {"c": ("a",)}}),
    "finite and constrained": Space(
        {"a": Int(1, 6, step=1), "b": Int(1, 6, step=1), "c": Float(0.0, 1.0, step=0.5)},
        {},
        ["a * b == 12", "c < 1 or a > 2"],
    ),
    "constant": Space({"k": Constant(1)}),
}

OPTUNA = ["tpe", "cmaes", "nsgaii", "qmc", "random"]
EVERY = [(name, {}) for name in REGISTRY.searcher_names()] + [("optuna", {"sampler": name}) for name in OPTUNA[1:]]
QUICK = [
    (name, options) for name, options in EVERY if REGISTRY.searcher_design(name, options, space=SPACES["mixed"]) is None
]
"""Whoever joins the registry joins these tests."""

every = pytest.mark.parametrize(("name", "options"), EVERY, ids=[f"{n}{o.get('sampler', '')}" for n, o in EVERY])


class Driver:
    """A searcher as the core uses it, with a loss that depends on the configuration."""

    def __init__(self, name: str, options: Mapping[str, Any], space: Space, seed: int = 0) -> None:
        self.space = space
        self.searcher: Any = REGISTRY.make_searcher(name, options, space=space, seed=seed)
        self.design = REGISTRY.searcher_design(name, options, space=space)
        self._stand_in = REGISTRY.make_stand_in(space=space, seed=seed)
        self.configs: list[Config] = []
        self.told: list[tuple[Any, ...]] = []

    def next(self) -> Config | None:
        """What it proposes for the next trial, which nothing is told of yet."""
        trial = len(self.configs)
        if self.design is None:
            found = self.searcher.suggest(trial)
        elif trial < min(self.design, 4):
            found = self._stand_in.config(trial, {repr(config) for config in self.configs})
        else:
            found = next(iter(self.searcher.propose(1)), None)
        return None if isinstance(found, NoConfig) else found

    def tell(self, what: str, *arguments: Any) -> None:
        self.told.append((what, *arguments))
        if what != "created" or hasattr(self.searcher, "created"):
            getattr(self.searcher, what)(*arguments)

    def create(self) -> Config | None:
        config = self.next()
        if config is not None:
            self.tell("created", len(self.configs), config)
            self.configs.append(config)
        return config

    def run(self, trials: int) -> list[Config]:
        """Trials three at a time, of every fate: some reach a second level, some fail, some report no number."""
        for trial in range(trials):
            if self.create() is None:
                break
            if trial >= 3:
                self._end(trial - 3)
        return self.configs

    def _end(self, trial: int) -> None:
        loss = self._loss(self.configs[trial])
        if trial % 7 == 5:
            self.tell("forget", trial)
            return
        bad = {1: math.nan, 4: math.inf, 9: -math.inf, 10: 1e300}
        self.tell("observe", trial, 1, bad.get(trial % 11, loss))
        if trial % 3 == 0:
            self.tell("observe", trial, 9, loss / 2)
            self.tell("observe", trial, 1, loss / 2)

    def _loss(self, config: Config) -> float:
        return sum((unit - 0.3) ** 2 for unit in self.space.to_unit(config))

    def again(self, name: str, options: Mapping[str, Any], seed: int = 0) -> Driver:
        """Another, after a restart: told the same, asked for nothing."""
        fresh = Driver(name, options, self.space, seed)
        for what, *arguments in self.told:
            fresh.tell(what, *arguments)
        fresh.configs = list(self.configs)
        return fresh


@every
@pytest.mark.parametrize("kind", SPACES)
def test_every_proposal_is_a_legal_configuration_that_is_allowed(name: str, options: dict[str, Any], kind: str) -> None:
    space = SPACES[kind]
    configs = Driver(name, options, space).run(10)
    # A grid has its own points, of which few may be allowed.
    assert len(configs) == 10 or name == "grid"
    for config in configs:
        assert space.check(config) == []
        assert space.allows(config)
        assert list(config) == [name for name in space.names if name in config]
        assert space.fill(config, [0.5] * len(space.dimensions)) == config
        assert json.loads(json.dumps(config)) == config
    assert len({repr(config) for config in configs}) == len(configs)


@every
@pytest.mark.parametrize("kind", FINITE)
def test_a_finite_space_is_used_up_without_repeats_and_then_there_is_nothing(
    name: str, options: dict[str, Any], kind: str
) -> None:
    space = FINITE[kind]
    driver = Driver(name, options, space)
    configs = driver.run(100)
    assert len(configs) == len({repr(config) for config in configs}) == space.size
    assert all(space.allows(config) for config in configs)
    assert driver.next() is None
    if driver.design is None:
        assert driver.searcher.suggest(len(configs)) is NoConfig.EXHAUSTED


@every
def test_the_same_seed_proposes_the_same_and_another_seed_something_else(name: str, options: dict[str, Any]) -> None:
    space = SPACES["conditional"]
    first = Driver(name, options, space, seed=3).run(12)
    assert Driver(name, options, space, seed=3).run(12) == first
    if name != "grid":
        assert Driver(name, options, space, seed=4).run(12) != first


@every
def test_after_a_restart_it_goes_on_as_it_would_have(name: str, options: dict[str, Any]) -> None:
    driver = Driver(name, options, SPACES["constrained"])
    for trials in (6, 11):
        driver.run(trials - len(driver.configs))
        fresh = driver.again(name, options)
        assert fresh.next() == driver.next()
        assert fresh.next() == driver.next()


@every
def test_with_nothing_but_bad_news_it_goes_on(name: str, options: dict[str, Any]) -> None:
    driver = Driver(name, options, SPACES["mixed"])
    for trial in range(8):
        assert driver.create() is not None
        if trial % 2:
            driver.tell("forget", trial)
        else:
            driver.tell("observe", trial, 1, math.nan)
    assert driver.create() is not None


@pytest.mark.parametrize(("name", "options"), QUICK)
def test_a_user_s_own_configurations_come_first_and_are_completed_to_allowed_ones(
    name: str, options: dict[str, Any]
) -> None:
    space = SPACES["constrained"]
    initial: list[Config] = [{"hidden": 200}, {"lr": 0.5}, {"hidden": 16, "depth": 16, "lr": 0.01, "solver": "adam"}]
    for seed in range(5):
        searcher = REGISTRY.make_searcher(name, options, space=space, seed=seed, initial=initial)
        found = [searcher.suggest(trial) for trial in range(3)]
        for config, given in zip(found, initial, strict=True):
            assert isinstance(config, dict)
            assert given.items() <= config.items()
            assert space.allows(config)


@pytest.mark.parametrize(("name", "options"), [pair for pair in EVERY if pair not in QUICK])
def test_the_first_of_many_proposals_are_the_few(name: str, options: dict[str, Any]) -> None:
    driver = Driver(name, options, SPACES["conditional"])
    driver.run(9)
    many = driver.searcher.propose(4)
    assert driver.searcher.propose(2) == many[:2]
    assert len({repr(config) for config in [*driver.configs, *many]}) == len(driver.configs) + 4
