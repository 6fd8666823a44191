"""Programs that behave badly: nothing of them is left, and the trial beside them does not notice."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from clustertune.agent.cgroup import Cgroups
from clustertune.model.trial import EndReason

MANNERED = """
for step in range(1, 101):
    clustertune.report(step, loss=step)
while not os.path.exists('go'):
    time.sleep(0.01)
clustertune.report(101, loss=101)
"""

AGENT_MOST_BYTES = 200 * 1024 * 1024

ESCAPE = """
def escape():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 256)
            os.execve('/bin/sleep', ['sleep', '616'], {})
        os._exit(0)
    os.wait()
"""


def sleepers(seconds):
    return [process.pid for process in psutil.process_iter() if said(process) == ["sleep", seconds]]


def said(process):
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


@pytest.fixture
def beside(in_rig, short_path):
    """Runs a scenario with a well-mannered trial beside it; afterwards nothing may be left of the other."""

    def run(scenario, **more):
        async def main(rig):
            good = rig.start(rig.call(MANNERED, "mannered"), 7)
            await rig.coordinator.send(good)
            await rig.coordinator.until(lambda: len(rig.coordinator.reports(good.attempt)) == 100)
            theirs = {process.pid for process in rig.agent.children()}
            await scenario(rig)
            (rig.workdir / "go").touch()
            ending = await rig.coordinator.ended(good.attempt)
            assert ending.reason is EndReason.RETURNED, ending.error
            assert [level for level, _ in rig.coordinator.values(good.attempt)] == list(range(1, 102))
            left = [process for process in rig.agent.children() if process.pid not in theirs]
            # The agent's own children start trials, or tell what there is to know of the program.
            assert [process for process in left if said(process) and process.ppid() != rig.agent.pid] == []
            assert psutil.Process(rig.agent.pid).memory_info().rss < AGENT_MOST_BYTES
            while os.listdir(rig.folder / "attempts"):
                await rig.coordinator.log(good.attempt)  # a round trip: the agent goes on meanwhile

        in_rig(main, **more)

    return run


def python(rig, body, **more):
    rig.write("rude.py", "import os, sys, time, signal, socket, json\nimport clustertune\n" + body)
    return rig.spec(command="python rude.py", **more)


def test_hundreds_of_forks_in_sessions_of_their_own_leave_nothing(beside):
    async def scenario(rig):
        body = """
for number in range(300):
    if os.fork() == 0:
        if number % 3 == 0:
            os.setsid()
        if os.fork() == 0:
            time.sleep(617)
        os._exit(0)
    os.wait()
print('forked')
"""
        ending = await rig.go(python(rig, body))
        assert (ending.reason, ending.log_tail) == (EndReason.RETURNED, "forked\n")
        assert not [p for p in psutil.process_iter() if any("rude.py" in word for word in said(p))]

    beside(scenario)


def test_a_daemon_that_hid_wherever_it_could_is_found(beside, short_path):
    async def scenario(rig):
        ending = await rig.go(python(rig, ESCAPE + "escape()\n"))
        assert ending.reason is EndReason.RETURNED
        # Without cgroups it lives until the process that started it ends.
        cgroups = Cgroups(short_path / "probe")
        assert sleepers("616") == [] or not cgroups.available
        cgroups.close()

    beside(scenario)


def test_output_without_end_is_read_and_its_ends_are_kept(beside):
    async def scenario(rig):
        run = rig.spec(command="yes 0123456789012345678901234567890123456789 | head -c 300000000", shell=True)
        ending = await rig.go(run)
        assert (ending.reason, ending.log_bytes) == (EndReason.RETURNED, 300_000_000)
        kept = sum(path.stat().st_size for path in (rig.folder / "logs").iterdir())
        assert kept < 3 * 1024 * 1024

    beside(scenario)


def test_output_that_is_no_text_and_ends_in_the_middle_of_a_line(beside):
    async def scenario(rig):
        body = "os.write(1, bytes(range(256)) * 64 + b'\\nno end'); os.kill(os.getpid(), 9)"
        ending = await rig.go(python(rig, body))
        assert (ending.reason, ending.signal) == (EndReason.RAISED, signal.SIGKILL)
        assert ending.log_tail.endswith("no end")
        assert ending.log_bytes == 64 * 256 + 7

    beside(scenario)


def test_a_hundred_thousand_reports_at_once_all_arrive(beside):
    async def scenario(rig):
        run = rig.call("for step in range(1, 100001):\n    clustertune.report(step, loss=step)")
        ending = await rig.go(run)
        assert ending.reason is EndReason.RETURNED
        assert [level for level, _ in rig.coordinator.values("digits:0:1")] == list(range(1, 100001))

    beside(scenario)


@pytest.mark.parametrize("how", ["call", "command"])
def test_more_memory_than_allowed_is_said_so(beside, how):
    async def scenario(rig):
        body = "held = []\nwhile len(held) < 400:\n    held.append(b'x' * 1000000)\ntime.sleep(600)"
        run = rig.call(body, memory_bytes=200 << 20) if how == "call" else python(rig, body, memory_bytes=200 << 20)
        ending = await rig.go(run)
        assert ending.reason is EndReason.RAISED
        assert ending.error == "used more memory than per_trial.memory (200.0 MiB) allows"

    beside(scenario)


def test_temporary_files_and_a_deleted_working_folder_go_with_the_trial(beside):
    async def scenario(rig):
        body = """
import tempfile
name = tempfile.mkstemp()[1]
assert os.path.dirname(name) == os.environ['TMPDIR'] and os.path.dirname(os.environ['CLUSTERTUNE_CONFIG']) in name
os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')
print(name)
clustertune.report(loss=1)
"""
        ending = await rig.go(rig.call(body))
        assert ending.reason is EndReason.RETURNED, ending.error
        assert (await rig.go(rig.call("return 1"), 1)).reason is EndReason.RETURNED

    beside(scenario)


def test_a_crash_leaves_no_core(beside):
    async def scenario(rig):
        body = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True); os.abort()"
        ending = await rig.go(python(rig, body))
        assert (ending.signal, ending.log_tail) == (signal.SIGABRT, "0\n")

    beside(scenario)


def test_all_descriptors_closed_and_a_report_all_the_same(beside):
    async def scenario(rig):
        ending = await rig.go(python(rig, "os.closerange(0, 256); clustertune.report(loss=1); os._exit(0)"))
        assert ending.reason is EndReason.RETURNED
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0)]

    beside(scenario)


def test_who_kills_its_own_group_or_stops_itself_has_an_end(beside):
    async def scenario(rig):
        ending = await rig.go(python(rig, "os.killpg(0, 9)"))
        assert (ending.reason, ending.signal) == (EndReason.RAISED, signal.SIGKILL)
        body = "os.nice(-5) if os.getuid() == 0 else None\nos.kill(os.getpid(), signal.SIGSTOP)"
        ending = await rig.go(python(rig, body, trial_time_s=0.5, grace_s=5.0), 1)
        assert (ending.reason, ending.signal) == (EndReason.TIMEOUT, signal.SIGTERM)

    beside(scenario)


def test_garbage_and_thousands_of_connections_shut_nobody_out(beside):
    async def scenario(rig):
        body = """
held = []
who = json.dumps({'attempt': os.environ['CLUSTERTUNE_ATTEMPT'], 'key': os.environ['CLUSTERTUNE_KEY']}).encode()
for number in range(10000):
    try:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].settimeout(5)
        held[-1].connect(os.environ['CLUSTERTUNE_SOCKET'])
        held[-1].sendall([b'', bytes(range(256)), who + b'\\n' + bytes(range(256)) + b'\\n'][number % 3])
    except OSError:
        held[:-500] = []
print('held', flush=True)
clustertune.report(loss=1)
open('go', 'w').close()
time.sleep(1)
"""
        ending = await rig.go(python(rig, body))
        assert (ending.reason, ending.log_tail) == (EndReason.RETURNED, "held\n")
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0)]

    beside(scenario)


def test_who_kills_its_spawner_is_found_guilty_and_not_run_for_ever(beside):
    async def scenario(rig):
        body = "os.kill(os.getppid(), 9)\ntime.sleep(600)"
        first = await rig.coordinator.run(rig.start(rig.call(body), attempt="digits:0:1"))
        assert first.reason is EndReason.LOST
        second = await rig.coordinator.run(rig.start(rig.call(body), attempt="digits:0:2"))
        assert second.reason is EndReason.RAISED
        assert "the process that had started it" in second.error

    beside(scenario)


def test_who_stops_what_started_it_is_heard_all_the_same(beside):
    async def scenario(rig):
        ending = await rig.go(rig.call("os.kill(os.getppid(), signal.SIGSTOP)\nclustertune.report(loss=1)"))
        assert (ending.reason, ending.error) == (EndReason.RETURNED, "")
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0)]

    beside(scenario)


def test_lines_that_no_pattern_matched_are_shown_where_the_trial_ends_without_a_value(in_rig, pattern):
    async def scenario(rig):
        run = rig.spec(command="sh -c 'echo begin; echo Loss: 0.31'", metrics=(pattern("loss", r"loss=(\S+)"),))
        ending = await rig.go(run)
        assert ending.reason is EndReason.RETURNED
        assert ending.error.endswith(r"2 lines seen, none matched 'loss=(\\S+)'; nearest was: 'Loss: 0.31'")

    in_rig(scenario)
