"""What earlier experiments say counts as far as they rank what is observed now, and no further."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest

from clustertune.model.space import Choice, Float, Space
from clustertune.model.trial import Config
from clustertune.search.contracts import EarlierExperiment, EarlierTrial
from clustertune.search.registry import Registry
from clustertune.search.searchers.encoding import Encoder
from clustertune.search.searchers.model_search import standardized
from clustertune.search.searchers.surrogates import Data, Surrogate, learn
from clustertune.search.searchers.transfer import Transfer

SPACE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
ENCODER = Encoder(SPACE)
Task = Callable[[Config], float]


def bowl(config: Config) -> float:
    return (float(config["x"]) - 0.3) ** 2 + (float(config["y"]) - 0.6) ** 2


def upside_down(config: Config) -> float:
    return -bowl(config)


def nearly(config: Config) -> float:
    return 7.0 + 3.0 * bowl({"x": float(config["x"]) - 0.05, "y": float(config["y"]) + 0.05})


def chance(config: Config) -> float:
    return Random(repr(config)).random()


def configs(count: int, seed: int, space: Space = SPACE) -> list[Config]:
    draw = Random(seed)
    return [space.from_unit([draw.random() for _ in space.dimensions]) for _ in range(count)]


def earlier(task: Task, count: int = 25, seed: int = 1, space: Space = SPACE) -> EarlierExperiment:
    trials = tuple(EarlierTrial(config=c, share=1.0, loss=task(c)) for c in configs(count, seed, space))
    return EarlierExperiment(name="earlier", trials=trials)


@cache
def transfer(*tasks: Task) -> Transfer:
    return Transfer([earlier(task) for task in tasks], ENCODER, 0)


def observed(task: Task, count: int, seed: int = 2) -> Data:
    tried = configs(count, seed)
    return Data(ENCODER.encode(tried), standardized(np.array([task(c) for c in tried])), np.zeros(count))


def weights(*tasks: Task, count: int = 10, kind: Surrogate = "gp") -> list[float]:
    data = observed(bowl, count)
    found: list[float] = transfer(*tasks).weights(learn(kind, data, 0), data, 0).tolist()
    return found


@pytest.mark.parametrize("kind", ["gp", "et"])
def test_who_ranks_what_is_observed_counts_and_who_does_not_has_no_weight(kind: Surrogate) -> None:
    reverse, alike, noise = weights(upside_down, nearly, chance, kind=kind)
    assert reverse == 0.0
    assert alike > 0.5
    assert noise < 0.1


def test_few_observations_prove_nothing() -> None:
    assert weights(bowl, count=3) == [0.0]
    assert weights(bowl, count=5)[0] > 0.0


def test_too_few_trials_teach_nothing() -> None:
    data = observed(bowl, 10)
    learned = learn("gp", data, 0)
    assert Transfer([earlier(bowl, 4)], ENCODER, 0).weights(learned, data, 0).tolist() == []


def errors(model: Any, task: Task) -> float:
    """How far the model is from ranking configurations that nobody observed."""
    asked = configs(100, 3)
    mean, _ = model.predict(ENCODER.encode(asked))
    truth = np.array([task(config) for config in asked])
    wrong = np.sign(np.subtract.outer(mean, mean)) != np.sign(np.subtract.outer(truth, truth))
    return float(wrong.mean())


def test_what_is_alike_is_known_where_nothing_was_observed() -> None:
    data = observed(bowl, 5)
    alone = errors(learn("gp", data, 0)(data), bowl)
    together = errors(transfer(nearly).learn("gp", data, 0)(data), bowl)
    assert together < 0.5 * alone


def test_what_is_observed_here_corrects_what_comes_from_there() -> None:
    data = observed(bowl, 25)
    model = transfer(nearly).learn("gp", data, 0)(data)
    mean, std = model.predict(data.rows)
    assert np.abs(mean - data.losses).max() < 0.2
    assert std.max() < 0.3
    asked = ENCODER.encode(configs(1, 9))
    believed = model.believing(asked)
    assert believed.predict(asked)[0] == pytest.approx(model.predict(asked)[0], abs=0.05)
    assert believed.predict(asked)[1] <= model.predict(asked)[1]


def test_what_did_not_vary_there_or_was_not_there_says_nothing_here() -> None:
    wider = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0), "solver": Choice(("sgd", "adam")), "new": Float(0, 1)})
    encoder = Encoder(wider)
    trials = tuple(
        EarlierTrial(config={"x": c["x"], "y": 0.5, "solver": "sgd"}, share=1.0, loss=float(c["x"]))
        for c in configs(20, 1)
    )
    tried = configs(30, 2, wider)
    losses = standardized(np.array([float(c["x"]) for c in tried]))
    data = Data(encoder.encode(tried), losses, np.zeros(len(tried)))
    model = Transfer([EarlierExperiment(name="e", trials=trials)], encoder, 0)
    guess = model._guess(np.array([1.0]), data)
    for x in (0.1, 0.9):
        rows = encoder.encode([{"x": x, "y": y, "solver": s, "new": n} for y, s, n in ((0, "sgd", 0), (1, "adam", 1))])
        assert np.ptp(guess.at(rows)) == pytest.approx(0.0)
    low, high = guess.at(encoder.encode([{"x": x, "y": 0.5, "solver": "sgd", "new": 0.5} for x in (0.1, 0.9)]))
    assert low < high


def test_who_was_stopped_early_there_is_not_held_to_be_bad_for_its_level_alone() -> None:
    """At a third of the way all losses are 10 higher: only the level tells why."""
    tried = configs(30, 1)
    trials = tuple(
        EarlierTrial(config=c, share=1.0 if n % 2 else 1 / 3, loss=bowl(c) + (0.0 if n % 2 else 10.0))
        for n, c in enumerate(tried)
    )
    data = observed(bowl, 10)
    told = Transfer([EarlierExperiment(name="e", trials=trials)], ENCODER, 0)
    assert told.weights(learn("gp", data, 0), data, 0)[0] > 0.3


def test_what_failed_there_counts_as_the_worst() -> None:
    right = [EarlierTrial(config=c, share=0.0, loss=None) for c in configs(40, 1) if float(c["x"]) > 0.7]
    rest = [EarlierTrial(config=c, share=1.0, loss=0.3) for c in configs(40, 1) if float(c["x"]) <= 0.7]
    rest[0] = EarlierTrial(config=rest[0].config, share=1.0, loss=0.4)
    experiment = EarlierExperiment(name="e", trials=(*rest, *right))
    data = observed(lambda config: float(config["x"]), 12)
    guess = Transfer([experiment], ENCODER, 0)._guess(np.array([1.0]), data)
    left, far = guess.at(ENCODER.encode([{"x": 0.3, "y": 0.5}, {"x": 0.95, "y": 0.5}]))
    assert far > left


@pytest.mark.parametrize(("there", "here"), [(0.0, None), (None, 0.0), (0.0, 0.0)])
def test_losses_that_are_all_the_same_say_nothing(there: float | None, here: float | None) -> None:
    past = transfer(lambda config: there if there is not None else bowl(config))
    data = observed(lambda config: here if here is not None else bowl(config), 6)
    assert past.weights(learn("gp", data, 0), data, 0).tolist() == [0.0]


def proposals(searcher: str, experiments: list[EarlierExperiment], task: Task, count: int = 12) -> list[Config]:
    options = {"random_share": 0.0} if searcher == "multi-fidelity" else {}
    made: Any = Registry.default().make_searcher(searcher, options, space=SPACE, seed=4)
    if experiments:
        made.earlier(experiments)
    for number, config in enumerate(configs(count, 5)):
        made.created(number, config)
        made.observe(number, 9, task(config))
    found: list[Config] = made.propose(2)
    return found


@pytest.mark.parametrize("searcher", ["bayesian", "multi-fidelity"])
def test_a_misleading_past_changes_nothing_of_what_is_proposed(searcher: str) -> None:
    assert proposals(searcher, [earlier(upside_down)], bowl) == proposals(searcher, [], bowl)


@pytest.mark.parametrize("searcher", ["bayesian", "multi-fidelity"])
def test_a_past_alike_leads_to_the_best_at_once_and_always_the_same(searcher: str) -> None:
    found = proposals(searcher, [earlier(nearly)], bowl, 6)
    assert found == proposals(searcher, [earlier(nearly)], bowl, 6)
    assert bowl(found[0]) < 0.05
    assert bowl(found[0]) < bowl(proposals(searcher, [], bowl, 6)[0])
