"""Asynchronous successive halving with promotion."""

from __future__ import annotations

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, ResumeTrial, StartNew
from clustertune.search.registry import Registry
from clustertune.search.schedulers.asha_promotion import AshaPromotion, AshaPromotionOptions

CONTINUE, PAUSE = Decision.CONTINUE, Decision.PAUSE


def scheduler(low: int = 1, high: int = 9) -> AshaPromotion:
    return AshaPromotion(min_resource=low, max_resource=high, seed=0, options=AshaPromotionOptions())


def test_a_ladder_worked_by_hand() -> None:
    asha = scheduler()  # rungs at 1 and 3, the top at 9
    assert asha.next() == StartNew()
    assert [asha.on_report(trial, 1, loss) for trial, loss in enumerate([0.5, 0.4])] == [PAUSE, PAUSE]
    assert asha.next() == StartNew()  # of two, none is among the best third
    assert asha.on_report(2, 1, 0.6) is PAUSE
    assert asha.next() == StartNew()  # of three, the best one may, and it is still saving
    asha.on_pause(1)
    assert asha.next() == asha.next() == ResumeTrial(1)  # asking changes nothing
    asha.on_resume(1)
    assert asha.next() == StartNew()
    assert asha.target(1) == 3
    assert asha.target(0) == 3
    assert [asha.on_report(trial, 1, loss) for trial, loss in ((3, 0.7), (4, 0.8))] == [PAUSE, PAUSE]
    assert asha.on_report(5, 1, 0.1) is CONTINUE  # of six the best two are 5 and 1: it would be promoted at once
    assert asha.on_report(1, 3, 0.3) is PAUSE
    assert asha.on_report(5, 3, 0.05) is PAUSE
    assert asha.next() == StartNew()


def test_the_highest_rung_is_asked_first() -> None:
    asha = scheduler()
    for trial in range(9):
        asha.on_report(trial, 1, trial / 10)
    for trial in (0, 1):
        asha.on_report(trial, 3, 1 - trial / 10)
    asha.on_report(2, 3, 0.95)
    asha.on_pause(1)
    # At 3 the best of three is trial 1; at 1 three of nine may be promoted, of whom trials 0, 1 and 2 were.
    assert asha.next() == ResumeTrial(1)


def test_the_top_ends_the_climb() -> None:
    asha = scheduler()
    assert asha.on_report(0, 9, 0.5) is CONTINUE
    assert asha.target(0) is None


def test_a_trial_that_ended_is_not_promoted() -> None:
    asha = scheduler()
    for trial in range(3):
        asha.on_report(trial, 1, trial / 10)
    asha.on_end(0, TrialState.FAILED)
    assert asha.next() == StartNew()


def test_it_says_that_it_pauses_and_that_it_needs_a_maximum() -> None:
    registry = Registry.default()
    assert registry.scheduler_pauses("asha-promotion", {})
    assert not registry.scheduler_pauses("asha", {})
    [(option, message)] = registry.scheduler_problems("asha-promotion", {}, min_resource=1, max_resource=None)
    assert option == ""
    assert "resource: {max" in message
