"""Asynchronous Hyperband: ladders of ASHA in a loop."""

from __future__ import annotations

from clustertune.search.contracts import Decision, ResumeTrial, StartNew
from clustertune.search.registry import Registry
from clustertune.search.schedulers.async_hyperband import AsyncHyperband, AsyncHyperbandOptions

CONTINUE, PAUSE = Decision.CONTINUE, Decision.PAUSE


def scheduler(high: int = 9) -> AsyncHyperband:
    return AsyncHyperband(min_resource=1, max_resource=high, seed=0, options=AsyncHyperbandOptions())


def test_new_trials_go_to_the_brackets_as_many_as_hyperband_gives_each() -> None:
    # R = 9, eta = 3: 9 from level 1 on, ceil(3 * 3 / 2) = 5 from 3 on, 3 that run to 9; then the loop begins anew.
    asynchronous = scheduler()
    assert [asynchronous.target(trial) for trial in range(20)] == [1] * 9 + [3] * 5 + [9] * 3 + [1] * 3


def test_a_shorter_loop_keeps_the_proportions() -> None:
    asynchronous = AsyncHyperband(min_resource=1, max_resource=9, seed=0, options=AsyncHyperbandOptions(loop=8))
    assert [asynchronous.target(trial) for trial in range(9)] == [1] * 4 + [3] * 2 + [9] + [1] * 2


def test_each_bracket_promotes_within_its_own_ladder() -> None:
    asynchronous = scheduler()
    # Bracket 1 is trials 9 to 13, with a rung at 3: of three the best may go on, whatever bracket 2 did there.
    assert asynchronous.on_report(0, 3, 0.01) is PAUSE  # it passed the rungs at 1 and 3 of bracket 2
    assert [asynchronous.on_report(trial, 3, loss) for trial, loss in ((9, 0.5), (10, 0.4), (11, 0.6))] == [PAUSE] * 3
    asynchronous.on_pause(10)
    assert asynchronous.next() == ResumeTrial(10)
    asynchronous.on_resume(10)
    assert asynchronous.target(10) == 9
    assert asynchronous.next() == StartNew()


def test_the_next_turn_of_a_bracket_joins_the_ladder_of_the_turns_before() -> None:
    asynchronous = scheduler()
    for trial, loss in ((0, 0.5), (1, 0.4)):
        asynchronous.on_report(trial, 1, loss)
        asynchronous.on_pause(trial)
    assert asynchronous.next() == StartNew()
    asynchronous.on_report(17, 1, 0.9)  # the first trial of the second loop is the third at this rung
    assert asynchronous.next() == ResumeTrial(1)


def test_trials_of_the_last_bracket_are_never_paused() -> None:
    asynchronous = scheduler()
    assert asynchronous.on_report(14, 1, 9.9) is CONTINUE
    assert asynchronous.on_report(14, 9, 9.9) is CONTINUE
    assert asynchronous.target(14) is None


def test_it_says_that_it_pauses_and_that_it_needs_a_maximum() -> None:
    registry = Registry.default()
    assert registry.scheduler_pauses("async-hyperband", {})
    [(_, message)] = registry.scheduler_problems("async-hyperband", {}, min_resource=1, max_resource=None)
    assert "async-hyperband compares trials" in message
