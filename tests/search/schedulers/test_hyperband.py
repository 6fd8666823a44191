"""Hyperband: which trial begins where."""

from __future__ import annotations

from clustertune.search.contracts import Decision
from clustertune.search.registry import Registry
from clustertune.search.schedulers.hyperband import Hyperband, HyperbandOptions

CONTINUE, PAUSE, STOP = Decision.CONTINUE, Decision.PAUSE, Decision.STOP


def scheduler(trials: int, high: int = 9) -> Hyperband:
    made = Hyperband(min_resource=1, max_resource=high, seed=0, options=HyperbandOptions())
    for trial in range(trials):
        made.on_create(trial, {})
    return made


def test_the_brackets_follow_each_other_in_a_loop() -> None:
    # R = 9, eta = 3: s = 2 has 9 trials from 1 on, s = 1 ceil(3 * 3 / 2) = 5 from 3 on, s = 0 has 3 at 9; then again.
    hyperband = scheduler(9 + 5 + 3 + 2)
    assert [hyperband.target(trial) for trial in range(19)] == [1] * 9 + [3] * 5 + [9] * 3 + [1] * 2


def test_a_bracket_worked_by_hand() -> None:
    hyperband = scheduler(14)
    # Trials 9 to 13 are bracket 1: of five, floor(5 / 3) = 1 goes on to 9.
    decided = [hyperband.on_report(trial, 3, loss) for trial, loss in zip(range(9, 14), [5, 4, 6, 3, 7], strict=True)]
    assert decided == [PAUSE, PAUSE, STOP, PAUSE, STOP]
    assert hyperband.target(12) == 9


def test_the_trials_of_the_last_bracket_run_to_the_end() -> None:
    hyperband = scheduler(17)
    assert [hyperband.on_report(trial, 9, float(trial)) for trial in (14, 15, 16)] == [CONTINUE] * 3


def test_the_last_trial_may_come_in_any_bracket() -> None:
    for trials in range(1, 20):
        hyperband = scheduler(trials)
        hyperband.on_no_more()
        hyperband.on_no_more()
        alone = {0: 0, 9: 9, 14: 14}.get(trials - 1)  # the only one of its bracket
        if alone is not None:
            level = hyperband.target(alone)
            assert level is not None
            assert hyperband.on_report(alone, level, 9.9) is CONTINUE


def test_it_says_that_it_pauses_and_that_it_needs_a_maximum() -> None:
    registry = Registry.default()
    assert registry.scheduler_pauses("hyperband", {})
    [(_, message)] = registry.scheduler_problems("hyperband", {}, min_resource=1, max_resource=None)
    assert "hyperband compares trials" in message
