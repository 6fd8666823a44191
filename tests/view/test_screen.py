"""The live view at every size."""

from __future__ import annotations

import dataclasses

import pytest
from rich.cells import cell_len

from clustertune.model.snapshot import Event, Incumbent
from clustertune.model.trial import ExperimentState, TrialState
from clustertune.view.screen import packed, screen
from tests.client.coordinator_api import experiment, row
from tests.view.screens import lines


def event(level: str, text: str) -> Event:
    return Event(id=1, time=0.0, level=level, kind="notice", text=text)


def test_the_first_lines_tell_name_state_progress_and_incumbent() -> None:
    shown = lines(screen(experiment(), width=80, height=24))
    assert shown[0].startswith("digits  running  12s")
    assert shown[0].endswith("2/2 slots  asha  random")
    assert shown[1].endswith("12/64 trials ended  143 reports")
    assert shown[2] == "best validation_error  0.02777  trial 7, epoch 27"
    assert shown[3] == "  learning_rate 0.01235  solver sgd"


def test_running_trials_show_how_far_they_are() -> None:
    shown = "\n".join(lines(screen(experiment(), width=80, height=24)))
    assert "12  running  ━─────────── 3/27" in shown
    assert shown.index("running  ━") < shown.index("stopped  ━")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("height", [3, 6, 10, 24, 60])
def test_nothing_is_wider_or_higher_than_the_screen(width: int, height: int) -> None:
    config = {f"parameter_{index}": 0.123456 * index for index in range(20)}
    crowded = experiment(
        running=tuple(row(n, error="x" * 300) for n in range(30)),
        best=Incumbent(trial=7, value=0.5, resource=27, config=config),
        problem="the disk is full: " + "y" * 300,
        waiting="for something",
    )
    shown = lines(screen(crowded, width=width, height=height, events=[event("error", "z" * 300)], hint="h" * 99), width)
    assert len(shown) <= height
    assert all(cell_len(line) <= width for line in shown)


def test_running_trials_without_room_are_counted() -> None:
    crowded = experiment(running=tuple(row(n) for n in range(30)))
    shown = lines(screen(crowded, width=80, height=12))
    assert len(shown) <= 12
    listed = sum("running  ━" in line for line in shown)
    assert f"… {30 - listed} more running" in shown


def test_troubles_stand_below() -> None:
    troubled = experiment(problem="the disk is full", waiting="all slots are taken", running=())
    shown = lines(screen(troubled, width=80, height=24, events=[event("info", "fine"), event("warning", "slow")]))
    assert shown[-3:] == ["the disk is full", "waiting: all slots are taken", "! slow"]


def test_a_reason_is_not_said_again_by_its_event() -> None:
    failed = experiment(state=ExperimentState.FAILED, reason="its only trial failed", running=())
    shown = lines(
        screen(failed, width=80, height=24, events=[event("error", "digits is failed: its only trial failed")])
    )
    assert [line for line in shown if "its only trial failed" in line] == ["its only trial failed"]


def test_no_incumbent_yet_says_so() -> None:
    assert "best validation_error  none yet" in lines(screen(experiment(best=None, reports=0), width=80, height=24))
    shown = lines(screen(experiment(best=None), width=80, height=24))
    assert "best validation_error  no trial reported a finite validation_error yet" in shown


def test_a_time_limit_that_is_nearer_bounds_the_bar() -> None:
    timed = experiment(time_limit_s=15.0)
    assert "12s of 15s" in lines(screen(timed, width=80, height=24))[1]


def test_what_is_unbounded_has_no_bar() -> None:
    endless = experiment(limit=None)
    assert lines(screen(endless, width=80, height=24))[1] == "12 trials ended  143 reports"


def test_trials_that_wait_to_be_promoted_are_counted() -> None:
    waiting = experiment(counts={"paused": 30, "completed": 2, "running": 2})
    shown = lines(screen(waiting, width=100, height=24), 100)
    assert shown[1].endswith("2/64 trials ended, 30 paused  143 reports")


def test_a_resource_without_a_maximum_is_a_bare_number() -> None:
    shown = lines(screen(experiment(max_resource=None), width=80, height=24))
    assert any(line.split()[:3] == ["12", "running", "3"] for line in shown)


def test_markup_and_control_characters_in_names_are_shown_and_not_obeyed() -> None:
    nasty = experiment(
        name="[bold red]x",
        metric="[link=http://example.org]m",
        resource="[/]\x1b[2J",
        running=(row(1, error="[red]\x1b]0;title\x07"),),
        best=Incumbent(trial=1, value=1.0, resource=1, config={"[b]p": "\x1b[31m[i]v"}),
    )
    shown = "\n".join(lines(screen(nasty, width=120, height=24), 120))
    assert "[bold red]x" in shown
    assert "[b]p \\x1b[31m[i]v" in shown
    assert "[red]\\x1b]0;title\\x07" in shown
    assert "\x1b" not in shown


def test_a_paused_experiment_tells_its_reason() -> None:
    paused = experiment(state=ExperimentState.PAUSED, reason="paused by its user", running=())
    shown = lines(screen(paused, width=80, height=24))
    assert "paused by its user" in shown


def test_failed_trials_show_their_error() -> None:
    failed = row(5, state=TrialState.FAILED, error="ValueError: shapes differ", value=None, last_value=None)
    shown = lines(screen(experiment(recent=(failed,)), width=100, height=24), 100)
    assert any("failed" in line and line.endswith("ValueError: shapes differ") for line in shown)


def test_items_that_do_not_fit_are_counted() -> None:
    assert [line.plain for line in packed(["aaaa 1", "bbbb 2", "cccc 3"], 18, 1)] == ["  aaaa 1  … 2 more"]


def test_rendering_leaves_the_snapshot_as_it_was() -> None:
    snapshot = experiment()
    before = dataclasses.replace(snapshot)
    screen(snapshot, width=80, height=24)
    assert snapshot == before
