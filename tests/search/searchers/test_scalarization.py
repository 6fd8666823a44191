"""Several losses to one: weights, scales, constraints; and a search that finds both ends of a front."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import numpy as np
import pytest
import scipy.linalg  # noqa: F401 - its threads are limited with the others
from threadpoolctl import threadpool_limits

from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.registry import Registry
from clustertune.search.searchers.past import Past
from clustertune.search.searchers.scalarization import penalized, scalarized, weigh, weights

SPACE = Space({name: Float(0.0, 1.0) for name in "abcd"})
ALL = np.array([True, True, True])


def told(*reports: tuple[tuple[float, ...], float]) -> Past:
    past = Past()
    for trial, (losses, violation) in enumerate(reports):
        past.created(trial, {"x": trial})
        past.observe_all(trial, 1, losses, violation)
    return past


def losses(past: Past) -> list[float]:
    return [known.losses[1] for known in past.trials.values()]


def test_weights_are_a_function_of_seed_and_number_and_add_up_to_one() -> None:
    assert weights(1, 2, 3) == weights(1, 2, 3) != weights(1, 3, 3)
    assert sum(weights(7, 0, 4)) == pytest.approx(1.0)
    first = [weights(0, number, 2)[0] for number in range(400)]
    assert fmean(first) == pytest.approx(0.5, abs=0.05)
    assert fmean(0.059 < one < 0.941 for one in first) == pytest.approx(0.69, abs=0.05)


def test_the_augmented_chebyshev_function_is_as_worked_by_hand() -> None:
    vectors = np.array([[0.0, 20.0], [1.0, 10.0], [2.0, 0.0]])
    # Spans reach to the third quartile, by the lower value: 1 and 10. With weights 1/4 and 3/4 and rho 0.05:
    expected = [1.5 + 0.05 * 1.5, 0.75 + 0.05 * 1.0, 0.5 + 0.05 * 0.5]
    assert scalarized(vectors, ALL, np.array([0.25, 0.75])) == pytest.approx(expected)


def test_one_objective_keeps_its_own_scale() -> None:
    past = told(((3.0,), 0.0), ((1.0,), 0.0))
    weigh(past)
    assert losses(past) == [3.0, 1.0]


def test_who_breaks_constraints_comes_after_the_worst_that_keeps_them_in_the_order_of_how_much() -> None:
    past = told(((3.0,), 0.0), ((0.0,), 5.0), ((1.0,), 0.0), ((0.0,), 0.1))
    weigh(past)
    kept, much, best, little = losses(past)
    assert best < kept < little < much <= kept + (kept - best)


def test_where_all_break_constraints_only_by_how_much_counts() -> None:
    assert penalized(np.array([9.0, 1.0]), np.array([0.5, 1.0])) == pytest.approx([1 / 3, 1 / 2])


def test_a_later_report_that_is_no_number_takes_the_place_of_the_vector() -> None:
    past = told(((3.0, 1.0), 0.0))
    past.observe(0, 1, float("nan"))
    weigh(past)
    assert len(list(past.worthless())) == 1


def two_ends(config: Config) -> tuple[float, float]:
    """The front is the straight line from one of two points to the other."""
    values = [float(value) for value in config.values()]
    return sum((value - 0.2) ** 2 for value in values), sum((value - 0.8) ** 2 for value in values)


def ends(searcher: str, seed: int, trials: int = 30) -> tuple[float, float]:
    """The best of each objective after so many trials."""
    registry = Registry.default()
    made: Any = registry.make_searcher(searcher, {}, space=SPACE, seed=seed)
    chance = registry.make_stand_in(space=SPACE, seed=seed)
    found: list[tuple[float, float]] = []
    for trial in range(trials):
        if hasattr(made, "propose"):
            config: Any = chance.config(trial, set()) if trial < 8 else made.propose(1)[0]
            made.created(trial, config)
            made.observe_all(trial, 1, two_ends(config), 0.0)
        else:
            config = made.suggest(trial)
        found.append(two_ends(config))
    return min(left for left, _ in found), min(right for _, right in found)


def test_a_model_finds_both_ends_of_a_front_better_than_chance() -> None:
    with threadpool_limits(1):
        modelled = np.mean([ends("bayesian", seed) for seed in (0, 1)], axis=0)
    drawn = np.mean([ends("random", seed) for seed in range(20)], axis=0)
    assert (modelled < drawn).all()
    assert modelled.sum() < 0.8 * drawn.sum()


def test_the_first_proposals_do_not_depend_on_how_many_are_asked_for_and_differ() -> None:
    registry = Registry.default()
    made: Any = registry.make_searcher("bayesian", {}, space=SPACE, seed=3)
    chance = registry.make_stand_in(space=SPACE, seed=3)
    for trial in range(6):
        config: Any = chance.config(trial, set())
        made.created(trial, config)
        made.observe_all(trial, 1, two_ends(config), 0.0)
    with threadpool_limits(1):
        three = made.propose(3)
        assert made.propose(1) == three[:1]
    assert len({repr(config) for config in three}) == 3
