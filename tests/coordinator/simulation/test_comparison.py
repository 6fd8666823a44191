"""Strategies side by side: the same seeds for all, medians and quartiles over them."""

from __future__ import annotations

from statistics import median

from clustertune.coordinator.simulation.comparison import Strategy, compare, compute_points
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from tests.coordinator.simulation.stand_ins import Falling, definition

TWO = Conditions(machines=(Machine(slots=2),))


def strategies() -> list[Strategy]:
    return [
        Strategy(name=name, definition=definition(scheduler={"type": name}, trials=12, seed=5))
        for name in ("fifo", "asha")
    ]


def test_each_strategy_is_simulated_under_the_same_seeds() -> None:
    told: list[tuple[str, int]] = []
    fifo, asha = compare(strategies(), Falling(), TWO, seeds=3, told=lambda name, seed: told.append((name, seed)))
    assert told == [(name, seed) for name in ("fifo", "asha") for seed in (5, 6, 7)]
    assert list(fifo.seeds) == list(asha.seeds) == [5, 6, 7]
    # All run to the end under fifo, and the same configurations are proposed to both.
    assert [x.value for x in fifo.outcomes] == [x.value for x in asha.outcomes]
    assert all(a.compute_s < f.compute_s for f, a in zip(fifo.outcomes, asha.outcomes, strict=True))
    assert compare(strategies(), Falling(), TWO, seeds=3) == [fifo, asha]


def test_quartiles_and_median_are_of_the_seeds() -> None:
    fifo = compare(strategies()[:1], Falling(), TWO, seeds=5)[0]
    values = sorted(outcome.value for outcome in fifo.outcomes if outcome.value is not None)
    assert fifo.spread(lambda outcome: outcome.value) == (values[1], values[2], values[3])
    assert fifo.spread(lambda outcome: None) is None


def test_curves_are_medians_and_end_where_the_simulations_did() -> None:
    compared = compare(strategies(), Falling(), TWO, seeds=3)
    points = compute_points(compared, 50)
    fifo, asha = (one.curve(points) for one in compared)
    assert points == sorted(points)
    assert fifo[-1] == median(outcome.value or 0.0 for outcome in compared[0].outcomes)
    assert asha[-1] is None
    seen = [value for value in fifo if value is not None]
    assert seen == sorted(seen, reverse=True)
