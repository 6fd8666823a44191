"""First in, first out."""

from __future__ import annotations

import math

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, StartNew
from clustertune.search.schedulers.fifo import Fifo, FifoOptions


def test_every_trial_runs_to_the_maximum() -> None:
    scheduler = Fifo(min_resource=1, max_resource=9, seed=0, options=FifoOptions())
    assert scheduler.next() == StartNew()
    assert scheduler.target(0) == 9
    assert scheduler.on_report(0, 9, math.nan) is Decision.CONTINUE
    scheduler.on_end(0, TrialState.COMPLETED)


def test_without_a_maximum_no_report_is_waited_for() -> None:
    assert Fifo(min_resource=1, max_resource=None, seed=0, options=FifoOptions()).target(3) is None
