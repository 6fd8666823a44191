"""Trials that ended at different levels are made comparable; failed ones are kept apart."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest

from clustertune.model.snapshot import TrialRow
from clustertune.model.trial import TrialState
from clustertune.search.insight.evidence import Fault, Told, evidence, told


def row(trial: int, state: TrialState = TrialState.COMPLETED, value: float | None = 0.5, **changes: Any) -> TrialRow:
    known: dict[str, Any] = {
        "attempts": 1,
        "resource": 1,
        "last_value": value,
        "elapsed_s": 1.0,
        "config": {"x": trial},
    }
    return TrialRow(trial=trial, state=state, value=value, **{**known, **changes})


def test_what_failed_or_diverged_has_an_infinite_loss_and_what_said_nothing_is_left_out() -> None:
    rows = [
        row(0),
        row(1, TrialState.FAILED),
        row(2, TrialState.INFEASIBLE, None),
        row(3, TrialState.COMPLETED, None, last_value=math.nan),
        row(4, TrialState.PENDING, None),
        row(5, TrialState.STOPPED, None),
        row(6, TrialState.PAUSED),
    ]
    found = told(rows, metric="loss", goal="minimize", take="best", curves={})
    assert [(one.config["x"], one.loss) for one in found] == [
        (0, 0.5), (1, math.inf), (2, math.inf), (3, math.inf), (6, 0.5),
    ]  # fmt: skip


def test_of_what_is_worth_nothing_it_is_told_why() -> None:
    rows = [
        row(0),
        row(1, TrialState.FAILED, violation=0.5),
        row(2, TrialState.INFEASIBLE, None),
        row(3, violation=0.5),
        row(4, TrialState.COMPLETED, None, last_value=math.nan),
        row(5, violation=0.1),
    ]
    known = evidence(told(rows, metric="loss", goal="minimize", take="best", curves={}))
    assert known.faults == {Fault.FAILED: 1, Fault.INFEASIBLE: 1, Fault.BROKE: 2, Fault.DIVERGED: 1}
    assert (known.losses, len(known.worthless)) == ([0.5], 5)


def test_what_is_maximized_is_a_loss_with_its_sign_flipped_and_curves_hold_the_best_so_far() -> None:
    curves = {0: {1: -0.2, 2: -0.7, 4: -0.6}}
    [best] = told([row(0, value=0.7)], metric="loss", goal="maximize", take="best", curves=curves)
    assert (best.loss, best.curve) == (-0.7, {1: -0.2, 2: -0.7, 4: -0.7})
    [last] = told([row(0, value=0.6)], metric="loss", goal="maximize", take="last", curves=curves)
    assert last.curve == {1: -0.2, 2: -0.7, 4: -0.6}


@pytest.mark.parametrize(("take", "later"), [("best", [0.9, 0.9]), ("last", [math.inf, math.inf])])
def test_what_a_report_gained_that_broke_a_constraint_is_nobodys_gain(take: str, later: list[float]) -> None:
    """After level 1 the loss only falls where memory is passed, and no report of that counts."""
    curves = {trial: {1: 0.9, 3: math.inf, 9: math.inf} for trial in range(3)} | {3: {1: 0.8}}
    rows = [*(row(trial, value=0.9, resource=9) for trial in range(3)), row(3, value=0.8)]
    found = told(rows, metric="loss", goal="minimize", take=take, curves=curves)
    assert [found[0].curve[level] for level in (3, 9)] == later
    assert evidence(found).losses == [0.9, 0.9, 0.9, 0.8]


def test_a_trial_that_first_broke_a_constraint_tells_gains_from_where_it_keeps_all() -> None:
    curves = {trial: {1: math.inf, 3: 0.5, 9: 0.4} for trial in range(2)} | {2: {1: 0.8}, 3: {1: 0.7, 3: 0.6}}
    rows = [
        *(row(trial, value=0.4, resource=9) for trial in range(2)),
        row(2, value=0.8),
        row(3, value=0.6, resource=3),
    ]
    known = evidence(told(rows, metric="loss", goal="minimize", take="best", curves=curves))
    assert known.losses == pytest.approx([0.4, 0.4, 0.7, 0.5])


def test_gains_of_huge_losses_leave_them_finite() -> None:
    curves = {0: {1: 1.5e308, 2: -1.5e308}, 1: {1: 0.0, 2: -1.7e308}, 2: {1: 0.0, 2: -1.7e308}, 3: {1: -1e308}}
    rows = [row(trial, value=-1e308, resource=max(curve)) for trial, curve in curves.items()]
    known = evidence(told(rows, metric="loss", goal="minimize", take="last", curves=curves))
    assert all(map(math.isfinite, known.losses))
    assert known.losses[3] < -1e308


def test_of_several_objectives_the_one_that_is_asked_for_counts_and_broken_constraints_are_bad() -> None:
    rows = [
        row(0, values={"error": 0.5, "ms": 9.0}),
        row(1, values={"error": 0.5}),
        row(2, values={"error": 0.1, "ms": 8.0}, violation=0.5),
    ]
    found = told(rows, metric="ms", goal="minimize", take="last", curves={})
    assert [one.loss for one in found] == [9.0, math.inf, math.inf]


def test_early_trials_are_given_what_the_others_gained() -> None:
    """1 -> 2 gains a half each time, 2 -> 4 gains 0.1, 0.2 and 0.3: one outlier does not count."""
    trials = [
        Told(config={"x": 0}, level=1, loss=2.0, curve={1: 2.0}),
        Told(config={"x": 1}, level=2, loss=1.0, curve={1: 1.5, 2: 1.0}),
        *(
            Told(config={"x": 2}, level=4, loss=0.5 - gain, curve={1: 1.0, 2: 0.5, 3: 0.4, 4: 0.5 - gain})
            for gain in (0.1, 0.2, 0.3)
        ),
    ]
    known = evidence(trials)
    assert known.losses == pytest.approx([2.0 - 0.5 - 0.2, 1.0 - 0.2, 0.4, 0.3, 0.2])
    assert (known.early, known.middle, known.top) == (2, 4, 4)


def test_halving_by_chance_leaves_no_trace_of_the_level() -> None:
    """Losses that are noise: who went further was lucky, and is not much better for it when all are compared."""
    draw = Random(0)
    curves = [{level: draw.gauss(0.0, 1.0) for level in (1, 3)} for _ in range(400)]
    best = sorted(range(400), key=lambda trial: curves[trial][1])[:133]
    trials = []
    for trial, curve in enumerate(curves):
        reached = dict(curve) if trial in best else {1: curve[1]}
        reached = {level: min(value for at, value in reached.items() if at <= level) for level in reached}
        trials.append(Told(config={"x": trial}, level=max(reached), loss=min(reached.values()), curve=reached))
    known = evidence(trials)
    assert sorted(known.losses)[133] >= max(known.losses[trial] for trial in best) - 1.0
    assert known.early == 267
