"""Stopping, killing, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time

import psutil

from clustertune.model.messages import MetricPattern
from clustertune.model.trial import EndReason


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(what, patience_s=10.0):
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.005)


def test_stop_raises_in_the_callables_main_thread(in_rig):
    async def scenario(rig):
        run = rig.call("""
try:
    clustertune.report(loss=1)
    time.sleep(600)
except clustertune.Stopped:
    print('cleaning up')
    raise
""")
        start = rig.start(run)
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        ending = await rig.stop()
        assert ending.reason is EndReason.STOPPED
        assert ending.log_tail == "cleaning up\n"
        assert ending.elapsed_s < 5

    in_rig(scenario)


def test_pause_is_told_as_pause_and_commands_end_by_sigterm(in_rig):
    async def scenario(rig):
        start = rig.start(rig.spec(command="sleep 600"))
        await rig.coordinator.send(start)
        await rig.coordinator.started(start.attempt)
        ending = await rig.stop(reason="paused")
        assert (ending.reason, ending.signal) == (EndReason.PAUSED, signal.SIGTERM)

    in_rig(scenario)


def test_who_ignores_sigterm_is_killed_after_the_grace(in_rig):
    async def scenario(rig):
        run = rig.call("signal.signal(15, signal.SIG_IGN); clustertune.report(loss=1); time.sleep(600)", grace_s=0.3)
        start = rig.start(run)
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        asked = time.monotonic()
        ending = await rig.stop()
        assert (ending.reason, ending.signal) == (EndReason.STOPPED, signal.SIGKILL)
        assert 0.25 < time.monotonic() - asked < 3

    in_rig(scenario)


def test_a_trial_past_its_time_is_ended(in_rig):
    async def scenario(rig):
        ending = await rig.go(rig.call("time.sleep(600)", trial_time_s=0.3))
        assert (ending.reason, ending.error) == (EndReason.TIMEOUT, "ran longer than trial_time (0.3 s)")
        rig.write("slow.py", "import time\ntime.sleep(600)\n")
        ending = await rig.go(rig.spec(call="slow:train", trial_time_s=0.3), 1)
        assert ending.reason is EndReason.TIMEOUT
        assert "was still being imported" in ending.error
        wait_until(lambda: len(rig.agent.children()) == 1)

    in_rig(scenario)


def test_a_trial_is_stopped_while_its_module_is_imported(in_rig):
    async def scenario(rig):
        rig.write("slow.py", "open('begun', 'w').close()\nimport time\ntime.sleep(600)\n")
        await rig.coordinator.send(rig.start(rig.spec(call="slow:train")))
        wait_until((rig.workdir / "begun").exists)
        assert (await rig.stop()).reason is EndReason.STOPPED
        wait_until(lambda: not rig.agent.children())

    in_rig(scenario)


def test_nothing_that_a_trial_started_outlives_it(in_rig):
    async def scenario(rig):
        script = """
            sleep 600 & echo $! >> pids
            setsid sleep 600 & echo $! >> pids
            (setsid sh -c 'sleep 600 & echo $! >> pids; wait') &
            python3 group.py &
            while [ $(wc -l < pids) -lt 4 ]; do sleep 0.01; done
        """
        rig.write("pids", "")
        rig.write(
            "group.py",
            "import os, time; os.setpgid(0, 0); print(os.getpid(), file=open('pids', 'a')); time.sleep(600)",
        )
        ending = await rig.go(rig.spec(command=script, shell=True))
        assert ending.reason is EndReason.RETURNED
        assert [pid for pid in map(int, (rig.workdir / "pids").read_text().split()) if not gone(pid)] == []

    in_rig(scenario)


def test_a_callables_forks_do_not_outlive_it_and_others_are_left_alone(in_rig):
    async def scenario(rig):
        other = rig.start(rig.call("time.sleep(600)"), 9)
        await rig.coordinator.send(other)
        pid = await rig.coordinator.started(other.attempt)
        run = rig.call("""
child = os.fork()
if child == 0:
    time.sleep(600)
print(child, flush=True)
""")
        ending = await rig.go(run)
        assert ending.reason is EndReason.RETURNED
        assert gone(int(ending.log_tail))
        assert not gone(pid)

    in_rig(scenario)


def test_the_end_waits_only_a_moment_for_output_that_somebody_else_holds(in_rig):
    async def scenario(rig):
        ours, theirs = socket.socketpair()
        begun = time.monotonic()
        # A process beyond the agent's reach: not a descendant of it, but with the trial's pipe as its output.
        rig.write(
            "give.py",
            "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect('x.sock')\nsocket.send_fds(s, [b'x'], [1])\n",
        )
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(rig.workdir / "x.sock"))
        server.listen()
        ending = await rig.go(rig.spec(command="python give.py"))
        connection, _ = server.accept()
        _, fds, _, _ = socket.recv_fds(connection, 1, 1)
        assert ending.reason is EndReason.RETURNED
        assert time.monotonic() - begun < 5
        for fd in fds:
            os.close(fd)
        for each in (ours, theirs, server, connection):
            each.close()

    in_rig(scenario)


def test_killing_a_trials_process_harms_no_other(in_rig):
    async def scenario(rig):
        run = rig.call("clustertune.report(loss=1); time.sleep(600)")
        for trial in range(2):
            await rig.coordinator.send(rig.start(run, trial))
        first, second = await rig.coordinator.started("digits:0:1"), await rig.coordinator.started("digits:1:1")
        os.kill(first, signal.SIGKILL)
        ending = await rig.coordinator.ended("digits:0:1")
        assert (ending.reason, ending.signal) == (EndReason.RAISED, 9)
        assert not gone(second)
        assert (await rig.stop(1)).reason is EndReason.STOPPED

    in_rig(scenario)


def test_killing_a_spawner_loses_its_trials_only_and_later_ones_run(in_rig):
    async def scenario(rig):
        run = rig.call("print(os.fork() and os.getpid(), flush=True); clustertune.report(loss=1); time.sleep(600)")
        other = rig.start(rig.spec(command="sleep 600"), 1)
        await rig.coordinator.send(rig.start(run))
        await rig.coordinator.send(other)
        await rig.coordinator.until(lambda: len(rig.coordinator.reports("digits:0:1")) == 2)
        pid, untouched = await rig.coordinator.started("digits:0:1"), await rig.coordinator.started("digits:1:1")
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        ending = await rig.coordinator.ended("digits:0:1")
        assert ending.reason is EndReason.LOST
        assert ending.error.startswith("the process that starts trials was killed (signal 9)")
        assert gone(pid)
        assert not gone(untouched)
        assert (await rig.go(rig.call("return 1"), 2)).reason is EndReason.RETURNED

    in_rig(scenario)


def test_a_trial_whose_spawner_is_killed_before_it_begins_is_lost(in_rig):
    async def scenario(rig):
        run = rig.call("clustertune.report(loss=1); time.sleep(600)")
        await rig.coordinator.send(rig.start(run))
        spawner = psutil.Process(await rig.coordinator.started("digits:0:1")).parent()
        spawner.suspend()  # it reads no further order
        await rig.coordinator.send(rig.start(run, 1))
        wait_until((rig.folder / "attempts" / "digits:1:1" / "config.json").exists)
        await rig.coordinator.log("digits:1:1")  # the agent has come round: the order is sent
        spawner.kill()
        ending = await rig.coordinator.ended("digits:1:1")
        assert ending.reason is EndReason.LOST
        assert ending.error == "the process that starts trials was killed (signal 9)"

    in_rig(scenario)


def test_killing_the_agent_takes_every_process_along(in_rig):
    async def scenario(rig):
        run = rig.call("os.fork(); clustertune.report(loss=1); time.sleep(600)")
        await rig.coordinator.send(rig.start(run))
        await rig.coordinator.send(rig.start(rig.spec(command="sh -c 'sleep 601' & sleep 602", shell=True), 1))
        await rig.coordinator.until(lambda: len(rig.coordinator.reports("digits:0:1")) == 2)
        await rig.coordinator.started("digits:1:1")
        wait_until(lambda: len(rig.agent.children()) >= 6)
        processes = rig.agent.children()
        rig.agent.kill()
        wait_until(lambda: all(gone(process.pid) for process in processes))

    in_rig(scenario)


def test_killing_the_agent_ends_an_import_too(in_rig):
    async def scenario(rig):
        rig.write("slow.py", "open('begun', 'w').close()\nimport time\ntime.sleep(600)\n")
        await rig.coordinator.send(rig.start(rig.spec(call="slow:train")))
        wait_until((rig.workdir / "begun").exists)
        (spawner,) = rig.agent.children()
        rig.agent.kill()
        wait_until(lambda: gone(spawner.pid))

    in_rig(scenario)


def _of_the_shell(rig):
    """The shell, and the three that it started."""
    found = []
    for process in rig.agent.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() in ("sh", "sleep"):
                found.append(process)
    return found


def test_the_next_agent_kills_what_was_left_before_it_says_hello(in_rig):
    async def scenario(rig):
        # Without its environment, in the trial's group; and with it, in a session of its own.
        script = "env -i sleep 601 & setsid sleep 602 & echo ready; sleep 603"
        await rig.coordinator.send(rig.start(rig.spec(command=script, shell=True)))
        await rig.coordinator.started("digits:0:1")
        # The agent asks an interpreter for its packages meanwhile, in a process that is no trial's and soon over.
        wait_until(lambda: len(_of_the_shell(rig)) == 4)
        processes = _of_the_shell(rig)
        spawner = psutil.Process(rig.agent.pid).children()[0]
        os.kill(spawner.pid, signal.SIGSTOP)  # it cannot clean up, as if killed at the same moment
        rig.agent.kill()
        os.kill(spawner.pid, signal.SIGKILL)
        assert not all(gone(process.pid) for process in processes)
        rig.launch(epoch=2)
        await rig.coordinator.until(lambda: len(rig.coordinator.hellos) == 2)
        left = [process for process in processes if not gone(process.pid)]
        # What wiped its environment, and whose session's leader is gone and reaped, cannot be told from a stranger.
        assert [process for process in left if process.cmdline() != ["sleep", "601"]] == []
        for process in left:
            process.kill()
        assert rig.coordinator.hellos[1].attempts == ()

    in_rig(scenario)


def test_a_last_line_without_its_end_is_a_report_only_of_a_program_that_ended_well(in_rig):
    async def scenario(rig):
        loss = (MetricPattern("loss", r"loss=(\S+)"),)
        first, torn = "echo loss=0.9; ", "printf loss=0.; "
        for trial, end in enumerate(("kill -9 $$", "exit 3")):
            ending = await rig.go(rig.spec(command=first + torn + end, shell=True, metrics=loss), trial)
            assert ending.reason is EndReason.RAISED
            assert ending.log_tail == "loss=0.9\nloss=0."
            assert rig.coordinator.values(f"digits:{trial}:1") == [(1, 0.9)]
        stopped = rig.start(rig.spec(command=first + torn + "sleep 600", shell=True, metrics=loss), 2)
        await rig.coordinator.send(stopped)
        await rig.coordinator.until(lambda: rig.coordinator.reports(stopped.attempt))
        assert (await rig.stop(2)).reason is EndReason.STOPPED
        assert len(rig.coordinator.values(stopped.attempt)) == 1
        ending = await rig.go(rig.spec(command=first + "printf loss=0.5", shell=True, metrics=loss), 3)
        assert ending.reason is EndReason.RETURNED
        assert rig.coordinator.values("digits:3:1") == [(1, 0.9), (2, 0.5)]

    in_rig(scenario)
