"""The agent's link: cut, refused, gone, and found again."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time

from clustertune.model.messages import PROTOCOL, Ended, Forget, Leave, Refused, Started
from clustertune.model.trial import EndReason


def test_hello_says_who_the_agent_is_and_what_the_machine_has(in_rig):
    async def scenario(rig):
        hello = rig.coordinator.hellos[0]
        assert (hello.protocol, hello.instance, hello.epoch, hello.token) == (
            PROTOCOL,
            "local-0",
            1,
            "t0ken-of-the-agent",
        )
        assert hello.inventory.slots == 3
        assert hello.inventory.cpus > 0
        assert hello.inventory.memory_bytes > 2**20
        assert "t0ken" not in rig.agent.log.read_text()
        assert "t0ken" not in " ".join(rig.agent.process.args)

    in_rig(scenario, slots=3)


def test_a_cut_link_loses_and_doubles_nothing(in_rig):
    async def scenario(rig):
        run = rig.call("for epoch in range(1, 401): clustertune.report(epoch, loss=epoch); time.sleep(0.002)")
        start = rig.start(run)
        await rig.coordinator.send(start)
        for share in (0.2, 0.4, 0.6):
            await rig.coordinator.until(lambda share=share: len(rig.coordinator.reports(start.attempt)) > 400 * share)
            await rig.coordinator.cut()
        await rig.coordinator.ended(start.attempt)
        assert rig.coordinator.values(start.attempt) == [(epoch, float(epoch)) for epoch in range(1, 401)]
        assert len(rig.coordinator.hellos) >= 4
        assert rig.coordinator.hellos[1].attempts == (start.attempt,)

    in_rig(scenario)


def test_what_is_not_acknowledged_is_sent_again_after_a_reconnection(in_rig):
    async def scenario(rig):
        rig.coordinator.acknowledges = False
        await rig.go(rig.call("clustertune.report(loss=1)"))
        numbers = sorted(rig.coordinator.seen)
        await rig.coordinator.cut()
        await rig.coordinator.until(lambda: rig.coordinator.repeated == numbers)
        rig.coordinator.acknowledges = True
        await rig.coordinator.cut()
        await rig.go(rig.call("pass", "other"), 1)
        assert rig.coordinator.repeated == numbers

    in_rig(scenario)


def test_trials_go_on_while_the_coordinator_is_away(in_rig):
    async def scenario(rig):
        run = rig.call(
            "clustertune.report(loss=1)\nwhile not os.path.exists('go'): time.sleep(0.01)\nclustertune.report(loss=2)"
        )
        start = rig.start(run)
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        await rig.coordinator.close()
        rig.write("go", "")
        outbox = rig.folder / "outbox-1.jsonl"
        while '"type":"ended"' not in outbox.read_text():
            await asyncio.sleep(0.01)
        await rig.coordinator.open()
        await rig.coordinator.ended(start.attempt)
        assert rig.coordinator.values(start.attempt) == [(1, 1.0), (2, 2.0)]

    in_rig(scenario)


def test_the_agent_waits_for_a_coordinator_that_is_not_there_yet(in_rig):
    async def scenario(rig):
        await rig.coordinator.close()
        rig.launch()
        while "no coordinator at" not in rig.agent.log.read_text():
            await asyncio.sleep(0.01)
        await rig.coordinator.open()
        await rig.coordinator.connected()

    in_rig(scenario, launch=False)


def test_an_orphan_ends_its_trials_and_exits(in_rig):
    async def scenario(rig):
        start = rig.start(rig.call("clustertune.report(loss=1); time.sleep(600)"))
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        children = rig.agent.children()
        await rig.coordinator.close()
        assert await rig.agent.exit_code() == 4
        assert [child for child in children if child.is_running()] == []
        await rig.coordinator.open()

    in_rig(scenario, orphan_after_s=0.5)


def test_a_refused_agent_ends_its_trials_and_exits(in_rig):
    async def scenario(rig):
        start = rig.start(rig.call("clustertune.report(loss=1); time.sleep(600)"))
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        children = rig.agent.children()
        rig.coordinator.refusal = Refused("fenced", "another agent has this instance")
        await rig.coordinator.cut()
        assert await rig.agent.exit_code() == 3
        assert "another agent has this instance" in rig.agent.log.read_text()
        assert [child for child in children if child.is_running()] == []

    in_rig(scenario)


def test_leave_ends_trials_tells_so_and_exits(in_rig):
    async def scenario(rig):
        start = rig.start(rig.call("clustertune.report(loss=1); time.sleep(600)"))
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        await rig.coordinator.send(Leave("the experiment is over"))
        assert await rig.agent.exit_code() == 0
        assert (await rig.coordinator.ended(start.attempt)).reason is EndReason.STOPPED
        assert not (rig.folder / "outbox-1.jsonl").exists()

    in_rig(scenario)


def test_sigterm_is_like_leave(in_rig):
    async def scenario(rig):
        start = rig.start(rig.spec(command="sleep 600"))
        await rig.coordinator.send(start)
        await rig.coordinator.started(start.attempt)
        rig.agent.process.send_signal(signal.SIGTERM)
        assert await rig.agent.exit_code() == 0
        assert (await rig.coordinator.ended(start.attempt)).reason is EndReason.STOPPED

    in_rig(scenario)


def test_one_folder_holds_one_agent(in_rig):
    async def scenario(rig):
        second = rig.launch(epoch=2)
        assert await second.exit_code() == 2
        assert "another agent has" in second.log.read_text()

    in_rig(scenario)


def test_an_enrolment_with_mistakes_is_refused_without_quoting_it(tmp_path):
    for text in ("no json", json.dumps({"socket": "x", "instance": "y", "token": "t0ken"})):
        found = subprocess.run(
            [sys.executable, "-m", "clustertune.agent", "--folder", str(tmp_path)],
            input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert found.returncode == 2
        assert "standard input" in found.stderr
        assert "t0ken" not in found.stderr
    assert "epoch is missing" in found.stderr


def test_an_agent_started_again_in_its_epoch_goes_on_with_its_numbers(in_rig):
    async def scenario(rig):
        rig.coordinator.acknowledges = False
        await rig.go(rig.call("clustertune.report(loss=1)"))
        run = rig.call("clustertune.report(loss=2); time.sleep(600)", "other")
        await rig.coordinator.send(rig.start(run, 1))
        await rig.coordinator.until(lambda: rig.coordinator.reports("digits:1:1"))
        rig.agent.kill()
        rig.coordinator.acknowledges = True
        rig.launch(epoch=1)
        ending = await rig.coordinator.ended("digits:1:1")
        assert (ending.reason, ending.error) == (EndReason.LOST, "the agent that ran it was killed")
        ended = [m.attempt for m in rig.coordinator.seen.values() if isinstance(m, Ended)]
        assert ended == ["digits:0:1", "digits:1:1"]
        await rig.coordinator.send(rig.start(run, 1))
        await rig.go(rig.call("pass", "last"), 2)
        assert len(rig.coordinator.reports("digits:1:1")) == 1

    in_rig(scenario)


def test_logs_are_read_in_pieces_while_the_trial_runs_and_after_an_agents_death(in_rig):
    async def scenario(rig):
        rig.write("go", "")
        start = rig.start(rig.call("print('grüße'); sys.stdout.flush(); clustertune.report(loss=1); time.sleep(600)"))
        await rig.coordinator.send(start)
        chunk = await rig.coordinator.log(start.attempt)
        while chunk.size < 8:
            chunk = await rig.coordinator.log(start.attempt)
        assert (chunk.offset, chunk.next_offset, chunk.text, chunk.end) == (0, 8, "grüße\n", False)
        assert (await rig.coordinator.log(start.attempt, 0, 3)).text == "gr"
        assert (await rig.coordinator.log(start.attempt, -3)).text.endswith("e\n")
        await rig.stop()
        chunk = await rig.coordinator.log(start.attempt)
        assert (chunk.text, chunk.end) == ("grüße\n", True)
        rig.agent.kill()
        rig.launch(epoch=2)
        rig.coordinator.seen.clear()
        await rig.coordinator.until(lambda: len(rig.coordinator.hellos) == 2)
        assert (await rig.coordinator.log(start.attempt)).text == "grüße\n"
        await rig.coordinator.send(Forget((start.attempt,)))
        chunk = await rig.coordinator.log(start.attempt)
        assert (chunk.text, chunk.size, chunk.end) == ("", 0, True)

    in_rig(scenario)


def test_a_start_that_comes_again_runs_nothing_also_when_its_attempt_was_forgotten_long_since(in_rig):
    async def scenario(rig):
        run = rig.call("clustertune.report(loss=1)")
        first, other = rig.start(run, 0), rig.start(run, 1)
        await rig.coordinator.send(first)
        await rig.coordinator.ended(first.attempt)
        await rig.coordinator.send(Forget((first.attempt,)))
        await rig.coordinator.send(first)
        await rig.coordinator.send(other)
        await rig.coordinator.ended(other.attempt)
        started = [message.attempt for message in rig.coordinator.seen.values() if isinstance(message, Started)]
        assert started == [first.attempt, other.attempt]

    in_rig(scenario)


def test_a_quiet_agent_costs_next_to_nothing(in_rig):
    async def scenario(rig):
        run = rig.call(
            "clustertune.report(loss=1); time.sleep(config['quiet_s']); clustertune.report(loss=1); time.sleep(600)"
        )
        for trial in range(8):
            config = {"quiet_s": 4 if trial == 7 else 600}
            await rig.coordinator.send(rig.start(run, trial, config=config))
        await rig.coordinator.until(lambda: all(rig.coordinator.reports(f"digits:{trial}:1") for trial in range(8)))
        import psutil

        process = psutil.Process(rig.agent.pid)
        before, since = sum(process.cpu_times()[:2]), time.monotonic()
        await rig.coordinator.until(lambda: len(rig.coordinator.reports("digits:7:1")) == 2)
        assert (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - since) < 0.03
        assert process.memory_info().rss < 60 * 2**20

    in_rig(scenario)
