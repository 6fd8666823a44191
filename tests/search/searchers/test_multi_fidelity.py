"""Multi-fidelity search: reports at low levels teach what the top is like."""

from __future__ import annotations

import math
from typing import Any

import pytest

from clustertune.model.space import Float, Int, Space
from clustertune.search.contracts import EarlierExperiment, EarlierTrial
from clustertune.search.searchers.foretelling import foretold
from clustertune.search.searchers.multi_fidelity import MultiFidelity, MultiFidelityOptions, _place

LINE = Space({"x": Float(0.0, 1.0)})


def make(seed: int = 0, **options: Any) -> MultiFidelity:
    return MultiFidelity(space=LINE, seed=seed, initial=(), options=MultiFidelityOptions(**options))


def taught(searcher: MultiFidelity) -> MultiFidelity:
    """Many trials at level 1, whose best is at 0.3; the few that went on to 9 and 81 show that it moves to 0.6."""
    for trial in range(30):
        x = (trial + 0.5) / 30
        searcher.created(trial, {"x": x})
        searcher.observe(trial, 1, 1.0 + (x - 0.3) ** 2)
        if 5 < trial < 25:
            searcher.observe(trial, 9, 0.5 + (x - 0.45) ** 2)
        if 10 < trial < 22:
            searcher.observe(trial, 81, 0.1 + (x - 0.6) ** 2)
    return searcher


@pytest.mark.parametrize(("surrogate", "within"), [("gp", 0.1), ("et", 0.2)])
def test_it_asks_where_the_top_is_best_and_not_where_the_first_rung_was(surrogate: str, within: float) -> None:
    (found,) = taught(make(surrogate=surrogate, random_share=0.0)).propose(1)
    assert abs(float(found["x"]) - 0.6) < within


def test_low_levels_alone_teach_it_too() -> None:
    searcher = make(random_share=0.0)
    for trial in range(8):
        x = (trial + 0.5) / 8
        searcher.created(trial, {"x": x})
        searcher.observe(trial, 1, (x - 0.3) ** 2)
    assert abs(float(searcher.propose(1)[0]["x"]) - 0.3) < 0.15


def test_a_share_of_what_it_proposes_is_drawn_at_random() -> None:
    searcher = taught(make(random_share=0.1))
    model = taught(make(random_share=0.0)).propose(40)
    drawn = sum(config not in model for config in searcher.propose(40))
    assert 1 <= drawn <= 10
    assert taught(make(random_share=1.0)).propose(5) != model[:5]


def test_chance_proposes_alone_where_low_levels_foretell_nothing() -> None:
    def told(foretelling: bool) -> MultiFidelity:
        searcher = make()
        for trial in range(30):
            x = (trial + 0.5) / 30
            searcher.created(trial, {"x": x})
            searcher.observe(trial, 1, abs(x - 0.6) if foretelling else trial * 7 % 30)
            searcher.observe(trial, 9, abs(x - 0.6))
        return searcher

    def near(found: list[dict[str, Any]]) -> int:
        return sum(abs(float(config["x"]) - 0.6) < 0.1 for config in found)

    assert near(told(foretelling=True).propose(10)) >= 7
    assert near(told(foretelling=False).propose(10)) <= 5
    assert told(foretelling=False)._share(told(foretelling=False)._search.past) == 1.0


def test_proposals_depend_on_what_was_told_alone() -> None:
    asked_before = taught(make())
    asked_before.propose(7)
    assert asked_before.propose(5) == taught(make()).propose(5)
    assert asked_before.propose(5)[:2] == asked_before.propose(2)


def test_with_several_losses_too_what_was_asked_before_does_not_matter() -> None:
    def told() -> MultiFidelity:
        searcher = make()
        for trial in range(24):
            x = (trial * 7 % 24 + 0.5) / 24
            searcher.created(trial, {"x": x})
            for level in (1, 3):
                # Of the first loss a level foretells the next one, of the second it does not.
                searcher.observe_all(trial, level, (x, (trial * level * 5 % 24) / 24), 0.0)
        return searcher

    asked_before = told()
    for _ in range(6):
        asked_before.propose(1)
        assert asked_before.propose(8) == told().propose(8)
        assert abs(foretold(asked_before._search.past) or 0.0) < 1.0


def test_of_thousands_of_reports_those_at_the_top_are_learned_from_first() -> None:
    searcher = make(random_share=0.0)
    for trial in range(3000):
        x = (trial + 0.5) / 3000
        searcher.created(trial, {"x": x})
        searcher.observe(trial, 1, 1.0 + (x - 0.3) ** 2)
        if trial % 30 == 0:
            searcher.observe(trial, 81, 0.1 + (x - 0.6) ** 2)
    assert abs(float(searcher.propose(1)[0]["x"]) - 0.6) < 0.1


def test_levels_lie_evenly_by_factors() -> None:
    assert [round(_place(level, 1, 81), 2) for level in (1, 3, 9, 27, 81)] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert _place(9, 9, 9) == 1.0
    assert _place(0, 1, 81) == 0.0  # it failed before it reported


def test_the_value_at_the_end_is_the_last_word_on_the_highest_level() -> None:
    searcher = make()
    searcher.created(0, {"x": 0.5})
    searcher.observe(0, 1, 0.5)
    searcher.observe(0, 9, 0.75)
    searcher.observe(0, 3, 0.25)
    known = searcher._search.past.trials[0]
    assert known.losses == {1: 0.5, 9: 0.25}


def test_where_all_that_reported_failed_later_it_spreads_out_again() -> None:
    searcher = make()
    for trial, x in enumerate((0.2, 0.4)):
        searcher.created(trial, {"x": x})
        searcher.observe(trial, 1, x)
        searcher.forget(trial)
    assert len(searcher.propose(3)) == 3


def test_nothing_is_proposed_twice_in_one_breath() -> None:
    space = Space({"n": Int(1, 4), "m": Int(1, 4)})
    for seed in range(4):
        searcher = MultiFidelity(space=space, seed=seed, initial=(), options=MultiFidelityOptions(random_share=0.4))
        for trial in range(4):
            searcher.created(trial, {"n": trial + 1, "m": 1 + trial * 2 % 4})
            searcher.observe(trial, 1, float(trial))
        found = [tuple(config.values()) for config in searcher.propose(8)]
        assert len(found) == len(set(found)) == 8
        assert [tuple(config.values()) for config in searcher.propose(3)] == found[:3]


def test_losses_of_any_size_are_shifted_to_the_top() -> None:
    found = []
    for size in (1.0, 1.7e308):
        searcher = make(random_share=0.0)
        for trial in range(9):
            searcher.created(trial, {"x": trial / 9})
            searcher.observe(trial, 1, -size * (1 - abs(trial - 3) / 9))
            searcher.observe(trial, 9, size * abs(trial - 3) / 9)
        found.append(float(searcher.propose(1)[0]["x"]))
    assert found[0] == pytest.approx(found[1], abs=0.02)
    assert abs(found[0] - 0.33) < 0.1


def test_the_highest_level_is_one_at_which_somebody_diverged_too() -> None:
    searcher = taught(make())
    searcher.created(30, {"x": 0.9})
    searcher.observe(30, 1, 1.0)
    searcher.observe(30, 243, math.nan)
    lesson = searcher._lesson(searcher._search.past)
    assert lesson.levels is not None
    assert max(lesson.levels) == lesson.levels[-1] == 1.0


def test_a_single_level_teaches_it_and_a_past_is_believed_before_levels_were_compared() -> None:
    single = make()
    for trial in range(12):
        single.created(trial, {"x": (trial + 0.5) / 12})
        single.observe(trial, 9, abs((trial + 0.5) / 12 - 0.6))
    assert sum(abs(float(config["x"]) - 0.6) < 0.1 for config in single.propose(5)) >= 3

    known = tuple(EarlierTrial(config={"x": n / 40}, share=1.0, loss=abs(n / 40 - 0.6)) for n in range(40))
    past = make()
    past.earlier([EarlierExperiment(name="before", trials=known)])
    for trial, x in enumerate((0.1, 0.3, 0.5, 0.7, 0.9)):
        past.created(trial, {"x": x})
        past.observe(trial, 1, abs(x - 0.6))
        past.observe(trial, 3, abs(x - 0.6))
    assert sum(abs(float(config["x"]) - 0.6) < 0.1 for config in past.propose(5)) >= 3
