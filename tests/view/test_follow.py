"""Following an experiment: what is shown, when it ends, and what Ctrl-C does."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from clustertune.client.coordinator import Coordinator
from clustertune.model.clock import SystemClock
from clustertune.model.snapshot import Event, ExperimentSnapshot
from clustertune.model.trial import ExperimentState
from clustertune.view.displays import JsonDisplay, PlainDisplay
from clustertune.view.follow import follow, last_event_id
from clustertune.view.interrupts import Interrupts
from clustertune.view.link import Link
from tests.client.coordinator_api import CoordinatorApi, Request, experiment

EXPERIMENT = "GET /v1/experiments/digits"
DONE = {"state": ExperimentState.COMPLETED, "running": ()}


class Recorder:
    """A display that remembers, and may do something at each frame."""

    def __init__(self, at_frame: Callable[[int], None] = lambda _frame: None) -> None:
        self.snapshots: list[ExperimentSnapshot] = []
        self.events: list[Event] = []
        self.said: list[str] = []
        self._at_frame = at_frame

    def show(self, snapshot: ExperimentSnapshot, events: Sequence[Event]) -> None:
        self.snapshots.append(snapshot)
        self.events.extend(events)
        self._at_frame(len(self.snapshots))

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        pass


@pytest.fixture
def link(api: CoordinatorApi) -> Iterator[Link]:
    found = Link("digits", api.client(), api.client, {})
    yield found
    found.coordinator.close()


def events(*ids: int) -> tuple[Event, ...]:
    return tuple(Event(id=n, time=0.0, level="info", kind="best", text=f"event {n}") for n in ids)


def interrupt(_frame: int) -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_it_is_shown_until_it_is_over(api: CoordinatorApi, link: Link) -> None:
    api.queue(EXPERIMENT, (200, experiment()), (200, experiment()))
    api.answers[EXPERIMENT] = (200, experiment(**DONE))
    display = Recorder()
    with Interrupts() as interrupts:
        assert follow(link, display, interrupts, pause_on_interrupt=True).state is ExperimentState.COMPLETED
    assert len(display.snapshots) == 3


def test_each_event_is_shown_once(api: CoordinatorApi, link: Link) -> None:
    def answer(request: Request) -> tuple[int, Any]:
        after = int(request.query["after"])
        return 200, experiment(events=events(*range(after + 1, min(after + 3, 8))), **(DONE if after >= 7 else {}))

    api.answers[EXPERIMENT] = answer
    display = Recorder()
    with Interrupts() as interrupts:
        follow(link, display, interrupts, pause_on_interrupt=True)
    assert [event.id for event in display.events] == [1, 2, 3, 4, 5, 6, 7]


def test_an_ended_experiment_is_followed_until_its_trials_are_gone(api: CoordinatorApi, link: Link) -> None:
    api.queue(EXPERIMENT, (200, experiment(state=ExperimentState.STOPPED)))
    api.answers[EXPERIMENT] = (200, experiment(state=ExperimentState.STOPPED, running=()))
    with Interrupts() as interrupts:
        assert follow(link, Recorder(), interrupts, pause_on_interrupt=True).running == ()


def test_ctrl_c_pauses_and_waits_for_the_trials(api: CoordinatorApi, link: Link) -> None:
    paused = experiment(state=ExperimentState.PAUSED)
    api.queue(EXPERIMENT, (200, experiment()), (200, paused))
    api.answers[EXPERIMENT] = (200, experiment(state=ExperimentState.PAUSED, running=()))
    api.answers["POST /v1/experiments/digits/pause"] = (200, paused)
    display = Recorder(lambda frame: interrupt(frame) if frame == 1 else None)
    with Interrupts() as interrupts:
        last = follow(link, display, interrupts, pause_on_interrupt=True)
    assert (last.state, last.running) == (ExperimentState.PAUSED, ())
    assert sum(request.path.endswith("/pause") for request in api.requests) == 1
    assert display.said == ["pausing: its trials save and end; Ctrl-C again leaves at once"]


def test_ctrl_c_only_leaves_where_it_may_not_pause(api: CoordinatorApi, link: Link) -> None:
    api.answers[EXPERIMENT] = (200, experiment())
    with Interrupts() as interrupts:
        assert follow(link, Recorder(interrupt), interrupts, pause_on_interrupt=False).state is ExperimentState.RUNNING
    assert not any(request.method == "POST" for request in api.requests)


def test_a_second_ctrl_c_interrupts_at_once(api: CoordinatorApi, link: Link) -> None:
    api.answers[EXPERIMENT] = (200, experiment())
    api.answers["POST /v1/experiments/digits/pause"] = (200, experiment())
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        follow(link, Recorder(interrupt), interrupts, pause_on_interrupt=True)


def test_a_pause_that_comes_too_late_is_no_error(api: CoordinatorApi, link: Link) -> None:
    api.queue(EXPERIMENT, (200, experiment()))
    api.answers[EXPERIMENT] = (200, experiment(**DONE))
    api.answers["POST /v1/experiments/digits/pause"] = (409, {"error": "digits has completed"})
    display = Recorder(lambda frame: interrupt(frame) if frame == 1 else None)
    with Interrupts() as interrupts:
        assert follow(link, display, interrupts, pause_on_interrupt=True).state is ExperimentState.COMPLETED


def test_a_full_disk_delays_the_pause_and_says_so(api: CoordinatorApi, link: Link) -> None:
    api.queue(EXPERIMENT, (200, experiment()), (200, experiment()))
    api.answers[EXPERIMENT] = (200, experiment(state=ExperimentState.PAUSED, running=()))
    api.queue("POST /v1/experiments/digits/pause", (503, {"error": "the disk is full"}))
    api.answers["POST /v1/experiments/digits/pause"] = (200, experiment(state=ExperimentState.PAUSED))
    display = Recorder(lambda frame: interrupt(frame) if frame == 1 else None)
    with Interrupts() as interrupts:
        follow(link, display, interrupts, pause_on_interrupt=True)
    assert display.said[0] == "cannot pause yet: the disk is full"


def test_a_coordinator_that_went_away_is_replaced_and_given_the_secrets(api: CoordinatorApi) -> None:
    gone = Coordinator(1, "token")
    api.queue(EXPERIMENT, (200, experiment()))
    api.answers[EXPERIMENT] = (200, experiment(**DONE))
    api.answers["POST /v1/experiments/digits/resume"] = (200, experiment())
    link, display = Link("digits", gone, api.client, {"KEY": "value"}), Recorder()
    with Interrupts() as interrupts:
        follow(link, display, interrupts, pause_on_interrupt=True)
    link.coordinator.close()
    assert display.said == [
        "the coordinator went away; starting it again (nothing is lost)", "the coordinator is back",
    ]  # fmt: skip
    assert [request.body for request in api.requests if request.method == "POST"] == [{"secrets": {"KEY": "value"}}]


def test_the_last_event_is_found_without_showing_any(api: CoordinatorApi) -> None:
    api.queue(EXPERIMENT, (200, experiment(events=events(4, 9))))
    api.answers[EXPERIMENT] = (200, experiment())
    with api.client() as client:
        assert last_event_id(client, "digits") == 9


def test_an_ignored_sigint_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupts.count == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_sigterm_unwinds_so_that_the_terminal_is_put_right() -> None:
    with pytest.raises(SystemExit) as ended, Interrupts():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_plain_lines_have_the_time_and_mark_warnings() -> None:
    out = io.StringIO()
    warning = Event(id=1, time=0.0, level="warning", kind="notice", text="slow\x1b[2J")
    started = Event(id=2, time=0.0, level="info", kind="trial-started", text="trial 3 began")
    PlainDisplay(out, SystemClock()).show(experiment(), [warning, started])
    assert re.fullmatch(r"\d\d:\d\d:\d\d  warning: slow\\x1b\[2J\n", out.getvalue())


def test_plain_lines_tell_the_progress_after_a_while_of_silence() -> None:
    clock, out = Hands(), io.StringIO()
    display = PlainDisplay(out, clock)
    display.show(experiment(), [])
    assert out.getvalue() == ""
    clock.now += 11.0
    display.show(experiment(problem="the disk is full"), [])
    assert out.getvalue().endswith(
        "12/64 trials ended, 2 running, best validation_error 0.02777 (trial 7), 12s, the disk is full\n"
    )


def test_json_lines_hold_the_events_whole() -> None:
    out = io.StringIO()
    JsonDisplay(out).show(experiment(), events(3))
    assert json.loads(out.getvalue()) == {
        "type": "event", "experiment": "digits", "id": 3, "time": 0.0, "level": "info", "kind": "best",
        "text": "event 3", "trial": None,
    }  # fmt: skip


class Hands:
    """A clock that is set by hand."""

    now = 0.0

    def monotonic_s(self) -> float:
        return self.now

    def wall_s(self) -> float:
        return self.now
