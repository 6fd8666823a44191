"""A coordinator that dies while one looks on: how often it is started again, and what is said."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from clustertune.client.coordinator import Coordinator
from clustertune.model.errors import CoordinatorUnreachable, JournalFull
from clustertune.view.follow import follow
from clustertune.view.interrupts import Interrupts
from clustertune.view.link import LONGEST_WAIT_S, MOST_RESTARTS, WITHIN_S, Link, Restarts
from tests.client.coordinator_api import CoordinatorApi, experiment
from tests.view.test_follow import DONE, EXPERIMENT, Recorder

FULL = "the disk of /home/me is full; free some space"


class Hurried(Interrupts):
    """Waits for nothing, and remembers how long it should have."""

    def __init__(self, at_wait: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.waited: list[float] = []
        self._at_wait = at_wait

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self._at_wait()


def gone() -> Coordinator:
    return Coordinator(1, "token")


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def full_at_first(times: int, then: Callable[[], Coordinator]) -> Callable[[], Coordinator]:
    left = [times]

    def connect() -> Coordinator:
        left[0] -= 1
        if left[0] >= 0:
            raise JournalFull(FULL)
        return then()

    return connect


def test_one_that_dies_each_time_is_given_up_with_the_end_of_its_log() -> None:
    link = Link("digits", gone(), gone, {}, log_end=lambda: "; the end of its log")
    with Hurried() as interrupts, pytest.raises(CoordinatorUnreachable, match=r"ended 8 times .*; the end of its log"):
        follow(link, Recorder(), interrupts, pause_on_interrupt=True)
    assert interrupts.waited == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


def test_restarts_are_forgotten_after_a_while_and_after_progress() -> None:
    restarts = Restarts()
    for _ in range(MOST_RESTARTS):
        assert restarts.next_wait_s(0.0) is not None
    assert restarts.next_wait_s(1.0) is None
    assert restarts.next_wait_s(WITHIN_S + 1) == 0.2
    restarts.note(experiment(reports=3))
    for _ in range(6):
        last = restarts.next_wait_s(WITHIN_S + 2)
    assert last == LONGEST_WAIT_S
    restarts.note(experiment(reports=3))
    assert restarts.next_wait_s(WITHIN_S + 2) == LONGEST_WAIT_S
    restarts.note(experiment(reports=4))
    assert restarts.next_wait_s(WITHIN_S + 2) == 0.2


def test_a_full_disk_is_waited_for_and_told_once(api: CoordinatorApi) -> None:
    api.answers[EXPERIMENT] = (200, experiment(**DONE))
    link, display = Link("digits", gone(), full_at_first(3, api.client), {}), Recorder()
    with Hurried() as interrupts:
        follow(link, display, interrupts, pause_on_interrupt=True)
    link.coordinator.close()
    assert interrupts.waited == [0.2, 2.0, 2.0, 2.0]
    assert [text for text in display.said if FULL in text] == [f"{FULL}; trying again every 2 s, Ctrl-C leaves"]


@pytest.mark.parametrize("connect", [full_at_first(9, gone), gone])
def test_ctrl_c_leaves_while_nobody_answers(connect: Callable[[], Coordinator]) -> None:
    link = Link("digits", gone(), connect, {}, leaves=True)
    with Hurried(interrupt) as interrupts, pytest.raises(KeyboardInterrupt):
        follow(link, Recorder(), interrupts, pause_on_interrupt=False)


def test_secrets_that_a_full_disk_refuses_are_offered_again(api: CoordinatorApi) -> None:
    resume = "POST /v1/experiments/digits/resume"
    refused: tuple[int, Any] = (503, {"error": "the disk is full"})
    api.queue(resume, refused)
    api.queue(EXPERIMENT, *[(200, experiment())] * 3)
    api.answers[EXPERIMENT] = (200, experiment(**DONE))
    api.answers[resume] = (200, experiment())
    link = Link("digits", gone(), api.client, {"KEY": "value"})
    with Hurried() as interrupts:
        follow(link, Recorder(), interrupts, pause_on_interrupt=True)
    link.coordinator.close()
    assert [request.body for request in api.requests if request.method == "POST"] == [{"secrets": {"KEY": "value"}}] * 2
