"""What is told of raw numbers, on runs small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from benchmarks.search.comparison import Comparison
from benchmarks.search.tell import tell

Ends = Mapping[tuple[str, str], Sequence[float]]

ENDS: Ends = {
    ("easy", "ours"): [1.0, 1.0, 1.0],
    ("easy", "random"): [3.0, 3.0, 5.0],
    ("easy", "peer"): [2.0, 2.0, 2.0],
    ("hard", "ours"): [4.0, 4.0, 4.0],
    ("hard", "random"): [2.0, 2.0, 2.0],
    ("hard", "peer"): [1.0, 3.0, 3.0],
}


def compared(
    ends: Ends = ENDS, *, ours: Sequence[str] = ("ours", "random"), known: Mapping[str, float] | None = None
) -> Comparison:
    runs = {
        (task, name, seed): [(0.2, value + 10.0), (0.9, value)]
        for (task, name), values in ends.items()
        for seed, value in enumerate(values)
    }
    return Comparison(runs, ours=ours, peers=["peer"], default="ours", random="random", known=known or {})


def test_ranks_are_over_seeds_then_over_tasks() -> None:
    found = compared()
    assert found.mean_rank("ours", 1.0) == pytest.approx((1 + 3) / 2)
    assert found.mean_rank("random", 1.0) == pytest.approx((3 + (2 + 1 + 1) / 3) / 2)
    assert found.mean_rank("peer", 1.0) == pytest.approx((2 + (1 + 2 + 2) / 3) / 2)


def test_who_ends_worse_than_random_search_with_the_same_seed_falls_short_of_it() -> None:
    found = compared()
    assert found.short_of_random("ours") == 3 / 6
    assert found.short_of_random("peer") == 2 / 6
    assert found.short_of_random("random") == 0.0
    assert found.short_of_random("nobody") is None


def test_before_anything_was_found_all_are_equal() -> None:
    assert compared().mean_rank("ours", 0.1) == 2.0


def test_another_of_ours_changes_nobodys_rank_and_is_ranked_in_the_defaults_place() -> None:
    other = {("easy", "other"): [0.0, 0.0, 0.0], ("hard", "other"): [0.0, 0.0, 0.0]}
    found, without = compared(ENDS | other, ours=("ours", "other", "random")), compared()
    assert found.mean_rank("other", 1.0) == 1.0
    assert found.mean_rank("peer", 1.0) == without.mean_rank("peer", 1.0)
    assert found.mean_rank("ours", 1.0) == without.mean_rank("ours", 1.0)


def test_the_best_known_is_what_was_handed_in_or_found_whichever_is_less() -> None:
    assert compared(known={"easy": 0.5, "hard": 1.5}).best_known == {"easy": 0.5, "hard": 1.0}


def test_regret_is_measured_with_random_searchs_median() -> None:
    found = compared(known={"easy": 0.0})
    assert found.regrets("easy", "random", 1.0) == pytest.approx([1.0, 1.0, 5 / 3])
    assert found.mean_regret("ours", 1.0) == pytest.approx((1 / 3 + 3.0) / 2)


def test_a_loss_is_a_worse_median_and_says_by_how_much() -> None:
    tests = {(tested.task, tested.other): tested for tested in compared().tests}
    assert len(tests) == 4
    assert not tests["easy", "peer"].lost
    assert tests["easy", "random"].deficit == pytest.approx(-2 / 3)
    assert tests["hard", "random"].lost
    assert tests["hard", "random"].deficit == 1.0


def test_p_values_are_corrected_over_all_tasks_and_others_together() -> None:
    # Three pairs in one direction: 2 of 8 ways. Four such tests, so that none is left below 1.
    assert [tested.p for tested in compared().tests] == [0.25] * 4
    assert [tested.corrected_p for tested in compared().tests] == [1.0] * 4


def test_only_seeds_that_all_have_are_paired() -> None:
    ends = {**ENDS, ("easy", "peer"): [2.0], ("hard", "peer"): []}
    found = compared(ends)
    seeds = {(tested.task, tested.other): tested.seeds for tested in found.tests}
    assert seeds == {("easy", "random"): 3, ("easy", "peer"): 1, ("hard", "random"): 3}
    assert found.complete_seeds("peer") == 0


def test_who_lacks_a_task_has_no_mean_over_tasks() -> None:
    found = compared({**ENDS, ("hard", "peer"): []})
    assert found.mean_rank("peer", 1.0) is None
    assert found.mean_regret("peer", 1.0) is None
    assert found.mean_regret("ours", 1.0) is not None


def test_tables_list_every_loss() -> None:
    cells = [
        {"task": task, "strategy": name, "seed": seed, "trials": 5, "reports": 9, "deciding_s": 0.01}
        for (task, name), values in ENDS.items()
        for seed in range(len(values))
    ]
    told = tell(compared(), cells)
    assert "| hard | peer | 4 | 3 | 33.3% |" in told
    assert "Of 2 pairs of task and peer ours has the worse median in 1:" in told
    assert "more than 5% worse on 1" in told
