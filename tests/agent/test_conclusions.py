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
        assert conclude(Seen(exit_, {"raised": "ValueError: x"}), asked, 5.0).reason is reason


def test_what_a_callable_said_goes_before_its_exit_code():
    assert conclude(Seen(Exit(code=1), {"raised": "E: x", "traceback": "t"}), None, None).error == "E: x"
    assert conclude(Seen(Exit(code=1), {"infeasible": "no"}), None, None).reason is EndReason.INFEASIBLE
    assert conclude(Seen(Exit(code=1), {"unstartable": "no"}), None, None).reason is EndReason.UNSTARTABLE


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
