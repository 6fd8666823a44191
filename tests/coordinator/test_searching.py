"""Slow searchers as processes: asked, failing, killed, and ended with whoever started them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.searching import Searching, _Patience
from clustertune.search.registry import Registry
from tests.coordinator.core.world import definition

ROOT = Path(__file__).parents[2]


class Shell:
    """A core with one experiment, and what it was told."""

    def __init__(self, searcher: dict[str, Any]) -> None:
        self.events: list[e.Happening] = []
        names = ("local-0",)
        self.core = Core(
            algorithms=Registry.default(),
            env={},
            instances=names,
            idle_timeout_s=60.0,
            token_hash=lambda instance, epoch: f"{instance} {epoch}",
        )
        plain = definition(searcher=searcher)
        self.core.handle(e.Submitted(experiment="digits", definition=plain, workdir="/x", python="python"), 1.0)

    def handle(self, event: e.Happening) -> None:
        self.events.append(event)


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' searcher as if a package had brought it, here and in the processes started from here."""
    info = tmp_path / "counting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    entry = "counting = tests.coordinator.core.searchers:Counting"
    (info / "entry_points.txt").write_text(f"[clustertune.searchers]\n{entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    inherited = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT), *([inherited] if inherited else [])]))


def run(options: dict[str, Any], scene: Callable[[Shell, Searching], Awaitable[None]]) -> Shell:
    async def act() -> Shell:
        shell = Shell({"type": "counting", **options})
        searching = Searching(shell)
        try:
            await scene(shell, searching)
        finally:
            await searching.close()
        return shell

    return asyncio.run(act())


def ask(told: list[Any], count: int) -> c.Suggest:
    return c.Suggest(experiment="digits", told=told, known=len(told), count=count)


def searchers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended: another test's, and nobody has waited for it yet
            if "clustertune.coordinator.search_process" in child.cmdline():
                found.append(child)
    return found


TOLD: list[Any] = [("created", 0, {"lr": 0.5}), ("observe", 0, 9, 0.25), ("created", 1, {"lr": 0.25}), ("forget", 1)]


def test_it_is_told_what_is_new_and_answers_with_proposals() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask(TOLD[:2], 2))
        await searching.suggest(ask(TOLD, 1))
        assert len(searchers()) == 1

    first, second = run({}, scene).events
    assert first == e.Suggested(experiment="digits", known=2, configs=({"lr": 0.002}, {"lr": 0.003}))
    assert second == e.Suggested(experiment="digits", known=4, configs=({"lr": 0.004},))


def test_losses_that_are_no_numbers_reach_it() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        told = [TOLD[0], ("observe", 0, 1, float("nan")), ("observe", 0, 3, float("inf"))]
        await searching.suggest(ask(told, 1))

    (answer,) = run({}, scene).events
    assert answer == e.Suggested(experiment="digits", known=3, configs=({"lr": 0.003},))


def test_the_first_question_is_for_nothing_and_only_starts_it() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask([], 0))
        assert len(searchers()) == 1

    assert run({"error": "asked"}, scene).events == [e.Suggested(experiment="digits", known=0, configs=())]


def test_what_it_raises_is_told_and_the_next_question_goes_to_a_new_one() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask(TOLD, 1))
        assert searchers() == []
        await searching.suggest(ask(TOLD, 1))

    told = run({"error": "no more memory"}, scene).events
    assert [type(event) for event in told] == [e.SuggestingFailed] * 2
    for event in told:
        assert isinstance(event, e.SuggestingFailed)
        assert event.error.startswith(
            "the searcher counting (of package counting 1.0) raised RuntimeError: no more memory in propose ("
        )


def test_one_that_ends_by_itself_is_told_of_with_its_exit_code() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask(TOLD, 1))

    (failed,) = run({"dies": True}, scene).events
    assert failed == e.SuggestingFailed(experiment="digits", error="its process ended with 3: it said nothing")


def test_one_that_was_killed_is_started_again_and_told_everything() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask(TOLD[:2], 1))
        for process in searchers():
            process.send_signal(signal.SIGKILL)
        await searching.suggest(ask(TOLD[:3], 1))
        await searching.suggest(ask(TOLD, 1))

    _, failed, second = run({}, scene).events
    assert isinstance(failed, e.SuggestingFailed)
    assert "ended with -9" in failed.error
    assert second == e.Suggested(experiment="digits", known=4, configs=({"lr": 0.004},))


def test_one_that_hangs_is_ended_told_of_and_started_again() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask([], 0))
        (hung,) = searchers()
        hung.suspend()
        patience_s, searching.patience_s = searching.patience_s, 0.1
        await searching.suggest(ask(TOLD[:3], 1))
        assert not hung.is_running() or hung.status() == psutil.STATUS_ZOMBIE
        searching.patience_s = patience_s
        await searching.suggest(ask(TOLD, 1))

    _, failed, second = run({}, scene).events
    assert isinstance(failed, e.SuggestingFailed)
    assert failed.error.startswith("it did not answer within ")
    assert failed.error.endswith(" s, and its process was ended")
    assert second == e.Suggested(experiment="digits", known=4, configs=({"lr": 0.004},))


def test_one_that_hangs_before_it_took_what_it_is_told_is_ended_too() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask([], 0))
        (hung,) = searchers()
        hung.suspend()
        searching.patience_s = 0.1
        # More than a pipe holds.
        await searching.suggest(ask([("created", trial, {"lr": 0.5}) for trial in range(20_000)], 1))
        assert searchers() == []

    assert isinstance(run({}, scene).events[1], e.SuggestingFailed)


def test_a_slow_searcher_is_given_more_time_each_time_and_as_much_as_its_longest_answer_deserves() -> None:
    patience = _Patience()
    assert patience.limit_s(60.0) == 60.0
    patience.in_vain += 1
    assert patience.limit_s(60.0) == 120.0
    patience.answered(9.0)
    patience.answered(5.0)
    assert patience.limit_s(60.0) == 180.0


def test_one_that_cannot_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
        await searching.suggest(ask([], 0))

    (failed,) = run({}, scene).events
    assert isinstance(failed, e.SuggestingFailed)
    assert "No such file" in failed.error


def test_it_rests_with_its_experiment_and_that_is_no_failure() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask(TOLD[:2], 1))
        shell.core.handle(e.PauseAsked(experiment="digits"), 2.0)
        await searching.rest()
        assert searchers() == []

    assert len(run({}, scene).events) == 1


def test_closing_ends_it_in_the_middle_of_an_answer_and_nobody_calls_that_a_failure() -> None:
    async def scene(shell: Shell, searching: Searching) -> None:
        await searching.suggest(ask([], 0))
        question = asyncio.create_task(searching.suggest(ask(TOLD, 1)))
        await asyncio.sleep(0)
        (process,) = searchers()
        process.suspend()
        await searching.close()
        await question

    assert run({}, scene).events[1:] in (
        [e.SuggestingFailed(experiment="digits", error="")],
        [e.Suggested(experiment="digits", known=4, configs=({"lr": 0.004},))],
    )


def test_it_ends_when_whoever_started_it_is_killed() -> None:
    program = (
        "import asyncio, sys\n"
        "from tests.coordinator.test_searching import Shell, Searching, ask, searchers\n"
        "async def act():\n"
        "    searching = Searching(Shell({'type': 'counting'}))\n"
        "    await searching.suggest(ask([], 0))\n"
        "    print(searchers()[0].pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(act())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as starter:
        assert starter.stdout is not None
        searcher = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
        psutil.wait_procs([searcher], timeout=20)
    assert not searcher.is_running() or searcher.status() == psutil.STATUS_ZOMBIE
