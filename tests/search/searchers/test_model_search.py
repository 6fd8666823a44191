"""Losses of any size are brought to one scale, and models propose from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from clustertune.model.space import Constant, Float, Space
from clustertune.search.searchers.bayesian import Bayesian, BayesianOptions
from clustertune.search.searchers.model_search import standardized
from clustertune.search.searchers.multi_fidelity import MultiFidelity

_GOOD, _DIVERGED = [0.1, 0.3, 0.2, 0.5, 0.4, 0.25, 0.7, 0.15], [1e9, 3e12]
LARGEST, SMALLEST = 1.7e308, 5e-324


@pytest.mark.parametrize("size", [1e-315, 1e-300, 1e-5, 1e200, 1e308])
@pytest.mark.parametrize("losses", [_GOOD, [-loss for loss in _GOOD], [loss - 0.3 for loss in _GOOD]])
def test_losses_count_alike_whatever_their_size(losses: Sequence[float], size: float) -> None:
    scaled = np.array(losses) * size
    assert standardized(scaled) == pytest.approx(standardized(np.array(losses)), abs=1e-5)


@pytest.mark.parametrize("worst", [1e12, LARGEST])
def test_however_bad_the_bad_ones_are_the_good_ones_differ_as_much(worst: float) -> None:
    found = standardized(np.array([*_GOOD, *_DIVERGED, worst, -0.0, SMALLEST]))
    assert found == pytest.approx(standardized(np.array([*_GOOD, 1e6, 1e6, 1e6, 0.0, 0.0])), abs=1e-9)


@pytest.mark.parametrize("loss", [0.1, 0.0, -LARGEST, LARGEST, SMALLEST])
def test_losses_that_are_all_the_same_are_all_zero(loss: float) -> None:
    assert not standardized(np.full(20, loss)).any()


@pytest.mark.parametrize("pair", [(-LARGEST, LARGEST), (SMALLEST, 2 * SMALLEST), (1.0, np.nextafter(1.0, 2.0))])
def test_the_widest_and_the_narrowest_difference_is_one(pair: tuple[float, float]) -> None:
    assert standardized(np.array(pair * 5)) == pytest.approx([-1.0, 1.0] * 5)


@pytest.mark.parametrize("size", [2.0**-1060, 2.0**700, 2.0**1023])
def test_proposals_are_the_same_whatever_the_size_of_the_losses(size: float) -> None:
    proposed = []
    for scale in (1.0, size):
        searcher = Bayesian(space=Space({"x": Float(0.0, 1.0)}), seed=0, initial=(), options=BayesianOptions())
        for trial in range(10):
            searcher.created(trial, {"x": trial / 10})
            searcher.observe(trial, 1, abs(trial - 3) / 8 * scale)
        proposed.append(searcher.propose(2))
    assert proposed[0] == proposed[1]
    assert abs(float(proposed[0][0]["x"]) - 0.3) < 0.1


@pytest.mark.parametrize("searcher", [Bayesian, MultiFidelity])
def test_where_nothing_varies_there_is_nothing_left_to_propose(searcher: type[Bayesian | MultiFidelity]) -> None:
    only = searcher(space=Space({"k": Constant(1)}), seed=0, initial=(), options=searcher.Options())
    only.created(0, {"k": 1})
    only.observe(0, 1, 0.5)
    assert only.propose(2) == []
