"""Ranges are cut to where the good values lie, outwards and on the parameter's own scale."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from clustertune.model.parameters import Choice, Constant, Float, Int, Ordinal
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.insight.evidence import Told, evidence
from clustertune.search.insight.importance import Table, grown
from clustertune.search.insight.narrowing import Advice, Ground, narrowed
from tests.search.insight.told_trials import SPACE, decades, drawn, trials


def advice(name: str, loss: Callable[[Config], float], count: int = 120) -> Advice:
    known = evidence(trials(loss, count))
    return Ground(SPACE, known, grown(SPACE, known)).advice(name)


def test_a_log_range_is_cut_around_its_best_and_stays_log() -> None:
    found = advice("lr", lambda x: decades(x, 1e-2))
    assert isinstance(found.parameter, Float)
    assert found.parameter.log
    assert 5e-4 < found.parameter.low < 6e-3 < 2e-2 < found.parameter.high < 0.2
    assert found.beyond == ""
    assert float(f"{found.parameter.low:.1e}") == found.parameter.low


@pytest.mark.parametrize(("best", "end"), [(1.0, "high"), (1e-4, "low")])
def test_where_the_best_values_lie_at_an_end_that_end_stays_and_is_told(best: float, end: str) -> None:
    found = advice("lr", lambda x: decades(x, best))
    assert found.beyond == end
    assert isinstance(found.parameter, Float)
    kept = found.parameter.high if end == "high" else found.parameter.low
    assert kept == (1.0 if end == "high" else 1e-4)


@pytest.mark.parametrize(("best", "end"), [(0.0, "low"), (0.01, "low"), (0.08, ""), (0.14, "")])
@pytest.mark.parametrize("turned", [False, True])
def test_an_optimum_inside_the_range_is_not_taken_for_one_at_its_end(best: float, end: str, turned: bool) -> None:
    space = Space({"a": Float(0.0, 1.0)})
    for seed in range(3):
        known = evidence(
            [
                Told(config=config, level=1, loss=(abs(turned - float(config["a"])) - best) ** 2, curve={})
                for config in drawn(100, seed, space)
            ]
        )
        found = Ground(space, known, grown(space, known)).advice("a").beyond
        assert found == ("high" if end and turned else end)


def test_where_trials_fail_towards_an_end_nobody_is_sent_beyond_it() -> None:
    """The loss falls up to 0.9, and what lies beyond diverges."""
    space = Space({"a": Float(0.0, 1.0)})
    losses = [(c, -float(c["a"]) if float(c["a"]) < 0.9 else math.inf) for c in drawn(100, 1, space)]
    known = evidence([Told(config=config, level=1, loss=loss, curve={}) for config, loss in losses])
    assert Ground(space, known, grown(space, known)).advice("a").beyond == ""


def test_values_are_compared_in_the_same_rows_however_they_are_written() -> None:
    """A parameter without children is written into its own columns; the rows are those of whole configurations."""
    known = evidence(trials(lambda x: decades(x, 1e-2), 20))
    ground = Ground(SPACE, known, grown(SPACE, known))
    having = [config for config in ground.good if "momentum" in config]
    changed = [config | {"momentum": value} for value in (0.1, 0.9) for config in having]
    assert np.array_equal(ground._rows("momentum", [0.1, 0.9], having), Table(SPACE, changed).rows)


def test_a_clearly_bad_value_of_a_choice_is_dropped_and_one_hardly_worse_is_not() -> None:
    cost = {"sgd": 0.0, "adam": 0.1, "lbfgs": 2.0}
    assert advice("solver", lambda x: cost[str(x["solver"])] + float(x["decay"])).parameter == Choice(("sgd", "adam"))


def test_ordered_values_are_cut_at_their_ends() -> None:
    found = advice("batch", lambda x: float(int(x["batch"]) > 64) + 0.5 * float(int(x["batch"]) == 16))
    assert isinstance(found.parameter, Ordinal)
    assert set(found.parameter.values) <= {16, 32, 64}
    assert {32, 64} <= set(found.parameter.values)


def test_what_a_best_trial_has_is_never_cut() -> None:
    """The forest is sure of low values; one lucky trial at the other end keeps its place all the same."""
    known = evidence(
        [*trials(lambda x: 3.0 * float(x["decay"]), 100),
         *(Told(config=one.config | {"decay": 0.97}, level=1, loss=-1.0, curve={})
           for one in trials(lambda _: 0.0, 1, seed=5))]
    )  # fmt: skip
    found = Ground(SPACE, known, grown(SPACE, known)).advice("decay")
    assert found.parameter is None or float(getattr(found.parameter, "high", 0.0)) >= 0.97


def test_a_child_whose_parent_lost_its_value_is_left_out() -> None:
    space = narrowed(SPACE, {"solver": Choice(("adam", "lbfgs"))})
    assert "momentum" not in space.parameters
    assert narrowed(SPACE, {"solver": Constant("sgd")}).conditions == {"momentum": {"solver": ("sgd",)}}


def test_values_that_a_constraint_needs_stay() -> None:
    space = Space(
        {"solver": Choice(("sgd", "adam")), "momentum": Float(0.0, 0.99), "lr": Float(0.1, 1.0)},
        {"momentum": {"solver": ("sgd",)}},
        ["momentum > lr"],
    )
    found = narrowed(space, {"solver": Constant("adam"), "lr": Float(0.1, 0.5)})
    assert found.parameters["lr"] == Float(0.1, 0.5)
    assert found.parameters["solver"] == Choice(("sgd", "adam"))
    assert [constraint.text for constraint in found.constraints] == ["momentum > lr"]


def test_steps_stay_on_their_grid() -> None:
    space = Space({"width": Float(0.0, 1.0, step=0.1), "size": Int(8, 256, step=8)})
    chosen = [
        Told(
            config=config,
            level=1,
            loss=abs(float(config["width"]) - 0.4) + abs(int(config["size"]) - 64) / 200,
            curve={},
        )
        for config in space.grid(5)
    ]
    known = evidence(chosen)
    ground = Ground(space, known, grown(space, known))
    width, size = ground.advice("width").parameter, ground.advice("size").parameter
    assert isinstance(width, Float)
    assert isinstance(size, Int)
    assert (width.step, size.step) == (0.1, 8)
    assert width.low <= 0.3 < 0.5 <= width.high < 0.9
    assert size.low % 8 == 0
    assert size.low <= 56 < 72 <= size.high < 200
