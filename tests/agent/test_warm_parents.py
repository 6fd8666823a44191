"""Callables: imported once, forked from there, and what stands in the way of that."""

from __future__ import annotations

import pytest

from clustertune.model.trial import EndReason
from tests.agent.test_endings import wait_until


def test_a_module_that_is_not_there_fails_every_attempt_quickly(in_rig):
    async def scenario(rig):
        for trial in range(2):
            ending = await rig.go(rig.spec(call="trian:train"), trial)
            assert ending.reason is EndReason.UNSTARTABLE
            assert ending.error == "ModuleNotFoundError: No module named 'trian'"

    in_rig(scenario)


def test_a_module_that_raises_while_it_is_imported_shows_where(in_rig):
    async def scenario(rig):
        rig.write("broken.py", "import sys\n\ndef lower():\n    sys.exit('no data here')\n\nlower()\n")
        ending = await rig.go(rig.spec(call="broken:train"))
        assert (ending.reason, ending.error) == (EndReason.UNSTARTABLE, "SystemExit: no data here")
        assert "in lower" in ending.traceback
        assert "importlib" not in ending.traceback
        rig.write("fatal.py", "import os\nprint('before', flush=True)\nos._exit(7)\n")
        ending = await rig.go(rig.spec(call="fatal:train"), 1)
        assert ending.reason is EndReason.UNSTARTABLE
        assert "ended with exit code 7" in ending.error
        assert "before" in ending.traceback

    in_rig(scenario)


@pytest.mark.parametrize("rest", ["", "while True: pass", "files = [open(os.devnull) for _ in range(60)]"])
def test_a_module_that_closes_the_connection_to_the_agent_is_told_so(in_rig, rest):
    async def scenario(rig):
        rig.write("closing.py", f"import os\nos.closerange(3, 100)\n{rest}\ndef train(config): return 1\n")
        ending = await rig.go(rig.spec(call="closing:train"))
        assert ending.reason is EndReason.UNSTARTABLE
        assert "it closed the connection to the agent while it was imported" in ending.error
        assert "file descriptors above 2" in ending.error
        assert (await rig.go(rig.call("return 1"), 1)).reason is EndReason.RETURNED

    in_rig(scenario)


def test_a_coroutine_function_is_answered_with_how_to_wrap_it(in_rig):
    async def scenario(rig):
        for trial, threads in enumerate(
            ["", "import threading, time\nthreading.Thread(target=time.sleep, args=(9,)).start()\n"]
        ):
            rig.write("train.py", f"{threads}async def train(config): return 1\n")
            ending = await rig.go(rig.spec(call="train:train"), trial)
            assert ending.reason is EndReason.UNSTARTABLE
            assert ending.error == (
                "train is a coroutine function, which clustertune cannot call; "
                "wrap it: def train(config): asyncio.run(...)"
            )
            assert "RuntimeWarning" not in ending.log_tail

    in_rig(scenario)


def test_a_function_that_takes_no_configuration_is_shown_with_its_line(in_rig):
    async def scenario(rig):
        path = rig.write("train.py", "\ndef train(): return 1\n\ndef two(config, other): return 1\n")
        ending = await rig.go(rig.spec(call="train:train"))
        assert ending.reason is EndReason.UNSTARTABLE
        assert ending.error.startswith("TypeError: train() takes 0 positional arguments but 1 was given")
        assert ending.error.endswith(f"defined at {path}:2")
        ending = await rig.go(rig.spec(call="train:two"), 1)
        assert ending.error.startswith("TypeError: two() missing 1 required positional argument: 'other'")
        assert ending.error.endswith(f"defined at {path}:4")
        ending = await rig.go(rig.call("raise TypeError('mine')", "other"), 2)
        assert (ending.reason, ending.error) == (EndReason.RAISED, "TypeError: mine")

    in_rig(scenario)


def test_at_most_two_warm_parents_stay_without_trials(in_rig):
    async def scenario(rig):
        body = "import os; return os.getppid()"
        for trial in range(6):
            await rig.go(rig.call(body, f"train{trial}"), trial)
        parents = [int(rig.coordinator.values(f"digits:{trial}:1")[0][1]) for trial in range(6)]
        wait_until(lambda: {child.pid for child in rig.agent.children()} == set(parents[-2:]))
        await rig.go(rig.spec(call="train4:train"), 7)
        assert rig.coordinator.values("digits:7:1") == [(1, float(parents[4]))]
        await rig.go(rig.call(body, "train6"), 8)
        newest = int(rig.coordinator.values("digits:8:1")[0][1])
        wait_until(lambda: {child.pid for child in rig.agent.children()} == {parents[4], newest})

    in_rig(scenario)


def test_warm_parents_with_trials_stay_however_many(in_rig):
    async def scenario(rig):
        for trial in range(4):
            run = rig.call("clustertune.report(loss=1)\nwhile not os.path.exists('go'): time.sleep(0.01)", f"t{trial}")
            await rig.coordinator.send(rig.start(run, trial))
        await rig.coordinator.until(lambda: all(rig.coordinator.reports(f"digits:{trial}:1") for trial in range(4)))
        await rig.go(rig.call("return 1", "quick"), 5)
        rig.write("go", "")
        for trial in range(4):
            assert (await rig.coordinator.ended(f"digits:{trial}:1")).reason is EndReason.RETURNED
        wait_until(lambda: len(rig.agent.children()) == 2)

    in_rig(scenario)


def test_many_functions_in_turn_harm_no_trial(in_rig):
    async def scenario(rig):
        runs = [rig.call("return 1", f"t{number}") for number in range(5)]
        for trial in range(40):
            await rig.coordinator.send(rig.start(runs[trial % 5], trial))
        for trial in range(40):
            ending = await rig.coordinator.ended(f"digits:{trial}:1")
            assert (ending.reason, ending.error) == (EndReason.RETURNED, "")

    in_rig(scenario)


def test_a_function_that_is_not_there_is_answered_with_those_that_are(in_rig):
    async def scenario(rig):
        run = rig.call("pass")
        ending = await rig.go(rig.spec(call="train:fit"))
        assert ending.reason is EndReason.UNSTARTABLE
        assert "has no function 'fit'; it has: train" in ending.error
        assert (await rig.go(run, 1)).reason is EndReason.RETURNED

    in_rig(scenario)


def test_prepare_runs_once_and_its_data_is_shared(in_rig):
    async def scenario(rig):
        rig.write(
            "train.py",
            """
import os
print('importing')
def prepare():
    global data
    data = os.getpid()
    with open('prepared', 'a') as file:
        file.write('x')
def train(config):
    return data == os.getppid()
def run(config):
    return {'loss': int(data == os.getppid())}
""",
        )
        for trial in range(3):
            await rig.go(rig.spec(call="train:run"), trial)
            assert rig.coordinator.values(f"digits:{trial}:1") == [(1, 1.0)]
        assert (rig.workdir / "prepared").read_text() == "x"
        assert rig.coordinator.ending("digits:0:1").log_tail == "importing\n"
        assert rig.coordinator.ending("digits:1:1").log_tail == ""

    in_rig(scenario)


def test_that_each_trial_imports_anew_is_said_once(in_rig):
    async def scenario(rig):
        rig.write(
            "train.py",
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
            "def train(config): return 1\n",
        )
        starts = [rig.start(rig.spec(call="train:train"), trial) for trial in range(3)]
        for start in starts:  # together: all of them wait for the same first import
            await rig.coordinator.send(start)
        for start in starts:
            await rig.coordinator.ended(start.attempt)
        await rig.go(rig.spec(call="train:train"), 3)
        notices = [rig.coordinator.notices(f"digits:{trial}:1") for trial in range(4)]
        assert [sum("imports it anew" in text for text in texts) for texts in notices] in (
            [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0],
        )  # fmt: skip

    in_rig(scenario)


def test_a_changed_source_is_imported_anew_for_later_attempts(in_rig):
    async def scenario(rig):
        rig.write("part.py", "VALUE = 1\n")
        run = rig.call("import part; return part.VALUE")
        rig.write("train.py", "import part\ndef train(config): return part.VALUE\n")
        await rig.go(run, 0)
        rig.write("part.py", "VALUE = 22\n")
        await rig.go(run, 1)
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0)]
        assert rig.coordinator.values("digits:1:1") == [(1, 22.0)]

    in_rig(scenario)


def test_a_module_with_threads_gets_a_fresh_process_for_each_trial_and_says_why_once(in_rig):
    async def scenario(rig):
        rig.write(
            "train.py",
            """
import threading, time, os, clustertune
threading.Thread(target=time.sleep, args=(600,), daemon=True, name='watcher').start()
def train(config):
    clustertune.report(loss=config['lr'])
    if config['lr'] > 1:
        raise ValueError('too high')
""",
        )
        run = rig.spec(call="train:train")
        assert (await rig.go(run, 0, config={"lr": 0.5})).reason is EndReason.RETURNED
        ending = await rig.go(run, 1, config={"lr": 2.0})
        assert (ending.reason, ending.error) == (EndReason.RAISED, "ValueError: too high")
        assert rig.coordinator.values("digits:1:1") == [(1, 2.0)]
        assert any(
            "threads running" in notice and "watcher" in notice for notice in rig.coordinator.notices("digits:0:1")
        )
        assert rig.coordinator.notices("digits:1:1") == []

    in_rig(scenario)
