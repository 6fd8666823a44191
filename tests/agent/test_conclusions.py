"""How it is decided how an attempt ended."""

from __future__ import annotations

import pytest

from clustertune.agent.ending import Asked, Seen, conclude
from clustertune.agent.spawner_link import Exit
from clustertune.model.trial import EndReason


@pytest.mark.parametrize(
    ("asked", "reason"),
    [(Asked.STOP, EndReason.STOPPED), (Asked.PAUSE, EndReason.PAUSED), (Asked.TIME, EndReason.TIMEOUT)],
)
def test_what_was_asked_goes_before_how_it_ended(asked, reason):
    for exit_ in (Exit(code=0), Exit(code=1), Exit(signal=9), Exit(lost="gone")):
        assert conclude(Seen(exit_, [{"raised": "ValueError: x"}]), asked, 5.0).reason is reason


def saving(exit_, said=(), **more):
    return conclude(Seen(exit_, said, saves=True, **more), Asked.PAUSE, None)


def test_one_that_fails_while_it_saves_for_a_pause_has_failed():
    raised = [{"raised": "RuntimeError: disk on fire", "traceback": "t"}]
    assert saving(Exit(code=1), raised).error == "RuntimeError: disk on fire"
    assert saving(Exit(code=1), raised).traceback == "t"
    assert saving(Exit(code=1), [*raised, {"stopped": ""}], saved=True).reason is EndReason.RAISED
    assert saving(Exit(code=3)).error == "exit code 3"
    assert saving(Exit(signal=11)).error == "killed by signal 11 (SIGSEGV)"
    assert saving(Exit(signal=9), complaint="used more memory").error == "used more memory"


def test_one_that_ends_as_it_was_asked_to_is_paused():
    for exit_ in (Exit(code=0), Exit(signal=15), Exit(code=143), Exit(lost="gone")):
        assert saving(exit_).reason is EndReason.PAUSED
    assert saving(Exit(code=1), [{"stopped": "this trial is to end now"}]).reason is EndReason.PAUSED
    assert saving(Exit(code=3), saved=True).reason is EndReason.PAUSED


def test_what_a_callable_said_goes_before_its_exit_code():
    assert conclude(Seen(Exit(code=1), [{"raised": "E: x", "traceback": "t"}]), None, None).error == "E: x"
    assert conclude(Seen(Exit(code=1), [{"infeasible": "no"}]), None, None).reason is EndReason.INFEASIBLE
    assert conclude(Seen(Exit(code=1), [{"unstartable": "no"}]), None, None).reason is EndReason.UNSTARTABLE


def test_a_lost_process_is_the_machines_fault():
    assert conclude(Seen(Exit(lost="the spawner was killed")), None, None).reason is EndReason.LOST


def test_signals_and_codes_are_named():
    assert conclude(Seen(Exit(signal=11)), None, None).error == "killed by signal 11 (SIGSEGV)"
    assert "out of memory" in conclude(Seen(Exit(signal=9)), None, None).error
    assert conclude(Seen(Exit(code=137)), None, None).error == "exit code 137"
    assert conclude(Seen(Exit(code=0)), None, None).reason is EndReason.RETURNED


def test_the_last_python_traceback_in_the_output_explains_an_exit_code():
    tail = "Traceback (most recent call last):\nold\nmore\nTraceback (most recent call last):\n  x\nKeyError: 1\n"
    found = conclude(Seen(Exit(code=1), log_tail=tail), None, None)
    assert found.traceback == "Traceback (most recent call last):\n  x\nKeyError: 1\n"


def test_of_a_group_the_rank_that_failed_first_says_why():
    said = [
        {"raised": "RuntimeError: connection closed by peer", "traceback": "t", "rank": "0"},
        {"failed": "3"},
        {"raised": "ValueError: x", "traceback": "t", "rank": "3"},
    ]
    assert conclude(Seen(Exit(code=1), said), None, None).error == "rank 3: ValueError: x"
    assert conclude(Seen(Exit(signal=9), said[:2]), None, None).error.startswith("rank 3: killed by signal 9")
    assert conclude(Seen(Exit(code=1), [{"failed": "0"}, *said[2:]]), None, None).error == "exit code 1"
