"""Who of a rung may be promoted."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from clustertune.search.schedulers.promotion_rung import PromotionRung

LOSSES = st.one_of(st.integers(0, 5).map(float), st.floats(), st.sampled_from([math.nan, math.inf, -math.inf]))


def best_not_promoted(recorded: list[tuple[int, float]], promoted: set[int], reduction_factor: float) -> int | None:
    """The rule, word by word: sort everything, take the first floor(n / eta), leave out who was promoted."""
    ranked = sorted(recorded, key=lambda record: (record[1] if math.isfinite(record[1]) else math.inf, record[0]))
    best = ranked[: math.floor(Fraction(len(ranked)) / Fraction(reduction_factor))]
    return next((trial for trial, _ in best if trial not in promoted), None)


@given(
    st.lists(st.tuples(LOSSES, st.booleans()), max_size=60),
    st.sampled_from([2, 3, 4, 2.5, 7]),
    st.randoms(use_true_random=False),
)
def test_it_names_who_sorting_all_records_would(steps, reduction_factor, random) -> None:  # type: ignore[no-untyped-def]
    trials = list(range(len(steps)))
    random.shuffle(trials)
    rung, recorded, promoted = PromotionRung(1, reduction_factor), [], set()
    for trial, (loss, promotes) in zip(trials, steps, strict=True):
        recorded.append((trial, loss))
        rung.record(trial, loss)
        found = rung.promotable()
        assert found == best_not_promoted(recorded, promoted, reduction_factor)
        if promotes and found is not None:
            rung.promote(found)
            promoted.add(found)
    assert len(rung) == len(steps)


def test_a_trial_that_fell_out_of_the_best_and_rose_again_is_promoted_once() -> None:
    rung = PromotionRung(1, 2)
    for trial, loss in enumerate([0.5, 0.9, 0.1]):
        rung.record(trial, loss)  # of two the best is 0; of three it is 2, and 0 has fallen
    assert rung.promotable() == 2
    rung.promote(2)
    rung.record(3, 0.8)  # of four the best two are 2 and 0
    assert rung.promotable() == 0
    rung.promote(0)
    assert rung.promotable() is None
