"""One rung's decisions."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from clustertune.search.schedulers.rung import Rung

LOSSES = st.one_of(st.integers(0, 5).map(float), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf]))


def among_the_best(recorded: list[tuple[int, float]], trial: int, reduction_factor: float) -> bool:
    """The rule, word by word: sort everything, take the first floor(n / eta), at least one."""
    ranked = sorted(recorded, key=lambda record: (record[1] if math.isfinite(record[1]) else math.inf, record[0]))
    kept = max(1, math.floor(Fraction(len(ranked)) / Fraction(reduction_factor)))
    return trial in [number for number, _ in ranked[:kept]]


@given(st.lists(LOSSES, max_size=60), st.sampled_from([2, 3, 4, 2.5, 7]), st.randoms(use_true_random=False))
def test_every_decision_is_that_of_sorting_all_records(losses, reduction_factor, random) -> None:  # type: ignore[no-untyped-def]
    trials = list(range(len(losses)))
    random.shuffle(trials)
    rung, recorded = Rung(1, reduction_factor), []
    for trial, loss in zip(trials, losses, strict=True):
        recorded.append((trial, loss))
        assert rung.record(trial, loss) == among_the_best(recorded, trial, reduction_factor)
    assert len(rung) == len(losses)


def test_a_ladder_worked_by_hand() -> None:
    rung = Rung(9, 3)
    reported = [0.5, 0.6, 0.4, 0.45, 0.3, 0.35, 0.5, 0.1, 0.2]
    # n is 1, 2, …: the best one goes on until six are recorded, then the best two, and from nine on the best three.
    goes_on = [True, False, True, False, True, True, False, True, True]
    assert [rung.record(trial, loss) for trial, loss in enumerate(reported)] == goes_on


def test_the_first_at_a_rung_goes_on() -> None:
    assert Rung(1, 3).record(7, math.nan)


def test_of_two_that_tie_the_lower_number_goes_on() -> None:
    rung = Rung(1, 2)
    assert rung.record(5, 0.5)
    assert not rung.record(6, 0.5)
    rung = Rung(1, 2)
    assert rung.record(6, 0.5)
    assert rung.record(5, 0.5)


def test_what_is_not_finite_ranks_behind_every_number() -> None:
    for loss in (math.nan, math.inf, -math.inf):
        rung = Rung(1, 2)
        assert rung.record(0, 1e300)
        assert not rung.record(1, loss)
        assert rung.record(2, 1e299)
