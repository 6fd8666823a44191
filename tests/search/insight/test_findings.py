"""Something is said where the trials say it, and nothing where they do not."""

from __future__ import annotations

import math
from random import Random

import pytest

from clustertune.model.parameters import Constant, Float
from clustertune.model.space import Space
from clustertune.search.insight.evidence import Told
from clustertune.search.insight.findings import insight
from tests.search.insight.told_trials import SPACE, decades, drawn, trials


@pytest.mark.parametrize("count", [12, 40])
def test_noise_says_nothing(count: int) -> None:
    found = insight(SPACE, trials(lambda _: 0.0, count, noise=1.0, seed=count))
    assert found.silent == f"these {count} trials do not say yet which parameters matter"
    assert not found.findings
    assert found.narrower is None


def test_few_trials_are_turned_away_before_a_model_is_asked() -> None:
    found = insight(SPACE, trials(lambda x: float(x["decay"]), 5))
    assert found.silent == "5 trials with a finite value say too little about 6 parameters: it takes 12 at least"
    assert found.fit is None


def test_where_all_failed_or_none_spoke_it_says_so() -> None:
    failed = [Told(config=config, level=0, loss=math.inf, curve={}) for config in drawn(20)]
    assert insight(SPACE, failed).silent.startswith("all 20 trials failed")
    assert insight(SPACE, []).silent == "no trial has reported anything yet"


def test_equal_values_and_spaces_without_choice_say_nothing() -> None:
    assert "the same value" in insight(SPACE, trials(lambda _: 0.5, 20, noise=0.0)).silent
    assert "no parameter" in insight(Space({"x": Constant(1)}), []).silent


def test_what_matters_comes_first_with_its_share_and_leads_to_a_narrower_space() -> None:
    found = insight(SPACE, trials(lambda x: decades(x, 1e-2) + 0.3 * float(x["solver"] == "lbfgs"), 100))
    assert found.silent == ""
    assert found.findings[0].name == "lr"
    assert math.fsum(one.share for one in found.findings) == pytest.approx(1.0)
    assert found.narrower is not None
    lr = found.narrower.parameters["lr"]
    assert isinstance(lr, Float)
    assert lr.high / lr.low < 1e3
    assert found.narrower.parameters["hidden"] == SPACE.parameters["hidden"]


def test_on_little_evidence_importance_is_told_and_nothing_narrowed() -> None:
    found = insight(SPACE, trials(lambda x: decades(x, 1e-4), 18, noise=0.01))
    assert found.findings[0].name == "lr"
    assert found.narrower is None
    assert found.held_back == "18 trials with a finite value are too few to narrow a range by: it takes 25"


def test_trials_that_ended_early_say_as_much_as_they_know() -> None:
    """Two thirds ended at the first rung, with a loss that is higher there for all."""
    draw = Random(3)
    chosen = []
    for one in trials(lambda x: decades(x, 1e-2), 90):
        curve = {1: one.loss + 3.0} if draw.random() < 0.66 else {1: one.loss + 3.0, 9: one.loss}
        chosen.append(Told(config=one.config, level=max(curve), loss=min(curve.values()), curve=curve))
    found = insight(SPACE, chosen)
    assert found.findings[0].name == "lr"
    assert found.fit is not None
    assert found.fit > 0.7
    assert found.early > 40
