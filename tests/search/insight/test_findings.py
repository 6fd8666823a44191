"""Something is said where the trials say it, and nothing where they do not."""

from __future__ import annotations

import math
from random import Random

import pytest

from clustertune.model.parameters import Constant, Float
from clustertune.model.space import Space
from clustertune.search.insight.evidence import Fault, Told
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
    assert found.silent == "5 trials that can be compared say too little about 6 parameters: it takes 12 at least"
    assert found.fit is None


def worthless(fault: Fault, count: int) -> list[Told]:
    return [Told(config=config, level=0, loss=math.inf, curve={}, fault=fault) for config in drawn(count)]


def test_where_none_spoke_it_says_so() -> None:
    assert insight(SPACE, []).silent == "no trial has reported anything yet"


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({Fault.FAILED: 20}, "all 20 trials failed: there is nothing to compare"),
        ({Fault.DIVERGED: 3}, "all 3 trials had no finite value: there is nothing to compare"),
        ({Fault.INFEASIBLE: 1}, "the only trial ended infeasible: there is nothing to compare"),
        ({Fault.BROKE: 30}, "none of the 30 trials keeps all metric constraints: there is nothing to compare"),
        ({Fault.BROKE: 1}, "the only trial breaks a metric constraint: there is nothing to compare"),
        (
            {Fault.BROKE: 28, Fault.FAILED: 2},
            (
                "none of the 30 trials can be compared (2 failed, 28 broke a metric constraint): "
                "there is nothing to compare"
            ),
        ),
    ],
)
def test_where_no_trial_can_be_compared_it_says_what_there_was(faults: dict[Fault, int], words: str) -> None:
    assert insight(SPACE, [one for fault, count in faults.items() for one in worthless(fault, count)]).silent == words


def test_few_that_keep_the_constraints_are_told_from_the_many_that_do_not() -> None:
    broken = worthless(Fault.BROKE, 25)
    assert insight(SPACE, [*trials(lambda x: float(x["decay"]), 1), *broken]).silent == (
        "1 trial that can be compared says too little about 6 parameters: it takes 12 at least "
        "(25 broke a metric constraint)"
    )
    assert insight(SPACE, [*trials(lambda _: 0.5, 20, noise=0.0), *broken]).silent == (
        "all 20 trials that can be compared have the same value (25 broke a metric constraint)"
    )


@pytest.mark.parametrize("size", [1e-300, 1e200, 1e308])
def test_losses_of_any_size_say_the_same(size: float) -> None:
    space = Space({"x": Float(0.0, 1.0), "junk": Float(0.0, 1.0)})
    told = [(config, (float(config["x"]) - 0.3) * scale) for config in drawn(60, space=space) for scale in (1.0, size)]
    usual, scaled = (
        insight(space, [Told(config=config, level=1, loss=loss, curve={}) for config, loss in told[first::2]])
        for first in (0, 1)
    )
    assert scaled.fit == pytest.approx(usual.fit, abs=1e-3)
    assert [one.name for one in scaled.findings] == ["x", "junk"]
    assert scaled.findings[0].advice == usual.findings[0].advice


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
    assert found.held_back == "18 trials that can be compared are too few to narrow a range by: it takes 25"


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
