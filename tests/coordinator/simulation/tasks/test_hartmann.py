"""Hartmann functions: their minima, and what bias and noise make of low levels."""

from __future__ import annotations

from itertools import product

import pytest

from clustertune.coordinator.simulation.tasks.hartmann import DIFFICULTIES, Difficulty, Hartmann

MINIMA = {
    3: (0.114614, 0.555649, 0.852547),
    6: (0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573),
}


def at(point: tuple[float, ...]) -> dict[str, float]:
    return {f"x{number}": x for number, x in enumerate(point)}


@pytest.mark.parametrize("dimensions", [3, 6])
@pytest.mark.parametrize("difficulty", DIFFICULTIES.values())
def test_the_highest_level_is_exact_and_lowest_is_its_minimum(dimensions: int, difficulty: Difficulty) -> None:
    task = Hartmann(dimensions=dimensions, difficulty=difficulty)
    least = task.loss(at(MINIMA[dimensions]), 100, seed=1)
    assert least == pytest.approx(task.lowest, abs=1e-5)
    assert least >= task.lowest
    grid = product((0.05, 0.35, 0.65, 0.95), repeat=dimensions) if dimensions == 3 else [(0.5,) * 6, (0.2,) * 6]
    assert all(task.loss(at(point), 100, seed=1) > least for point in grid)


def test_low_levels_are_flattened_as_the_bias_says_and_noisy_upwards() -> None:
    point = at(MINIMA[3])
    flat = Hartmann(dimensions=3, difficulty=Difficulty(2.5, 0.0))
    noisy = Hartmann(dimensions=3, difficulty=Difficulty(2.5, 2.0))
    by_level = [flat.loss(point, level, seed=0) for level in (1, 3, 10, 30, 100)]
    assert by_level == sorted(by_level, reverse=True)
    added = [noisy.loss(point, level, seed=0) - flat.loss(point, level, seed=0) for level in range(1, 101)]
    assert min(added) >= 0
    assert sum(added[:10]) > 5 * sum(added[-10:])
    # Half-normal noise of deviation 2 at level 1: its mean is 2 * sqrt(2 / pi).
    draws = [noisy.loss(point, 1, seed) - flat.loss(point, 1, seed) for seed in range(2000)]
    assert sum(draws) / len(draws) == pytest.approx(1.596, abs=0.1)


def test_noise_hangs_on_configuration_level_and_seed_and_on_nothing_else() -> None:
    task = Hartmann(dimensions=6, difficulty=DIFFICULTIES["bad"])
    here, there = at((0.5,) * 6), at((0.5,) * 5 + (0.500001,))
    assert task.loss(here, 7, seed=1) == task.loss(dict(reversed(here.items())), 7, seed=1)
    assert len({task.loss(here, 7, 1), task.loss(here, 7, 2), task.loss(here, 8, 1), task.loss(there, 7, 1)}) == 4


def test_a_curve_reports_what_loss_says_level_by_level() -> None:
    task = Hartmann(dimensions=3, max_resource=9, metric="y", sign=-1.0, step_seconds=2.0)
    config = at((0.1, 0.2, 0.3))
    steps = list(task.curve(config, seed=5))
    assert steps == [(level, 2.0, {"y": -task.loss(config, level, 5)}) for level in range(1, 10)]


def test_there_is_none_of_four_dimensions() -> None:
    with pytest.raises(ValueError, match="of 3 and of 6 dimensions, found 4"):
        Hartmann(dimensions=4)
