"""What trials say to the agent, and what is not taken from them."""

from __future__ import annotations

import asyncio
import json
import os
import socket

import psutil
import pytest

from clustertune.model.codec import to_plain
from clustertune.model.trial import EndReason


def test_every_report_of_a_busy_trial_arrives_once_in_order(in_rig):
    async def scenario(rig):
        run = rig.call("for step in range(1, 20001): clustertune.report(step, loss=step / 2)")
        for trial in range(2):
            await rig.coordinator.send(rig.start(run, trial))
        for trial in range(2):
            await rig.coordinator.ended(f"digits:{trial}:1")
            values = rig.coordinator.values(f"digits:{trial}:1")
            assert values == [(step, step / 2) for step in range(1, 20001)]
        assert len(rig.coordinator.seen) < 2000

    in_rig(scenario)


def test_garbage_on_the_socket_is_a_notice_and_the_trial_goes_on(in_rig):
    async def scenario(rig):
        body = """
import socket, json
def say(data, key=os.environ['CLUSTERTUNE_KEY']):
    link = socket.socket(socket.AF_UNIX)
    link.connect(os.environ['CLUSTERTUNE_SOCKET'])
    link.sendall(json.dumps({'attempt': os.environ['CLUSTERTUNE_ATTEMPT'], 'key': key}).encode() + b'\\n' + data)
    link.close()
say(bytes(range(256)) + b'\\n[1]\\n{}\\n')
say(b'{"step": 0, "metrics": {"loss": 1}}\\n{"step": 1, "metrics": {"loss": "low"}}\\n')
say(b'{"step": 5, "metrics": {"loss": 1}}\\n', key='wrong')
say(b'{"step": 6, "metrics": {"loss": 1}}')
say(b'[' * 900000 + b'\\n')
try:
    say(b'x' * 3000000)
except OSError:
    pass
clustertune.report(7, loss=2)
"""
        ending = await rig.go(rig.call(body))
        assert ending.reason is EndReason.RETURNED
        assert rig.coordinator.values("digits:0:1") == [(7, 2.0)]
        notices = "\n".join(rig.coordinator.notices("digits:0:1"))
        assert "is not a report: " in notices
        assert "needs a positive integer up to 2**53 as its level, found '0'" in notices
        assert "metric 'loss' is not a number: 'low'" in notices
        assert "a line of more than 1048576 bytes" in notices

    in_rig(scenario)


def test_levels_beyond_what_a_float_can_count_never_leave_the_agent(in_rig, pattern):
    async def scenario(rig):
        body = r"""
import socket, json
with open(os.environ['CLUSTERTUNE_METRICS'], 'a') as file:
    file.write('{"loss": 1, "step": 9223372036854775808}\n{"loss": 2, "step": 1e22}\n{"loss": 3}\n')
print('epoch=99999999999999999999999 loss=4', flush=True)
link = socket.socket(socket.AF_UNIX)
link.connect(os.environ['CLUSTERTUNE_SOCKET'])
who = {'attempt': os.environ['CLUSTERTUNE_ATTEMPT'], 'key': os.environ['CLUSTERTUNE_KEY']}
link.sendall(json.dumps(who).encode() + b'\n{"step": 9007199254740993, "metrics": {"loss": 5}}\n')
link.close()
clustertune.report(10**22, **{'loss': 6})
"""
        patterns = (pattern("epoch", r"epoch=(\d+)"), pattern("loss", r"loss=(\d+)"))
        ending = await rig.go(rig.call(body, metrics=patterns, resource="epoch"))
        assert ending.error.startswith("ValueError: the step must be a positive integer up to 2**53")
        assert sorted(rig.coordinator.values("digits:0:1")) == [(1, 3.0)]
        notices = rig.coordinator.notices("digits:0:1")
        assert len([notice for notice in notices if "a positive integer up to 2**53" in notice]) == 4

    in_rig(scenario)


@pytest.mark.parametrize("secrets", [{}, {"KEY": "a-key"}])
def test_text_that_cannot_be_encoded_is_replaced_before_it_is_sent(in_rig, secrets):
    async def scenario(rig):
        body = r"""
import socket, json
clustertune.report(1, loss=1, **{'\ud800': 2})
with open(os.environ['CLUSTERTUNE_METRICS'], 'a') as file:
    file.write('{"loss' + chr(92) + 'ud800": 1}\n')
who = {'attempt': os.environ['CLUSTERTUNE_ATTEMPT'], 'key': os.environ['CLUSTERTUNE_KEY']}
def say(*lines):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(os.environ['CLUSTERTUNE_SOCKET'])
        link.sendall(b''.join(json.dumps(line).encode() + b'\n' for line in lines))
say(who, {'notice': 'odd \ud800 notice'})
say({**who, 'key': '\ud800'})
if config['how'] == 'raise':
    exec(compile("raise ValueError(chr(0xd800) + ' x')", os.fsdecode(b'/odd-\xff.py'), 'exec'))
raise clustertune.Infeasible('\udcff too wide')
"""
        run = rig.call(body, secrets=secrets)
        ending = await rig.go(run, config={"how": "raise"})
        assert (ending.reason, ending.error) == (EndReason.RAISED, "ValueError: \ufffd x")
        assert 'File "/odd-\ufffd.py"' in ending.traceback
        ending = await rig.go(run, 1, config={"how": "infeasible"})
        assert (ending.reason, ending.error) == (EndReason.INFEASIBLE, "\ufffd too wide")
        names = {name for report in rig.coordinator.reports("digits:0:1") for name in report.metrics}
        assert names == {"loss", "\ufffd", "loss\ufffd"}
        assert "odd \ufffd notice" in rig.coordinator.notices("digits:0:1")
        ending = await rig.go(rig.spec(call="train:\ud800", secrets=secrets), 2)
        assert ending.reason is EndReason.UNSTARTABLE
        for message in rig.coordinator.seen.values():
            json.dumps(to_plain(message), ensure_ascii=False).encode()
        assert "Traceback" not in rig.agent.log.read_text()

    in_rig(scenario)


def test_metrics_with_endless_names_and_endless_metrics_are_left_out_with_a_notice(in_rig):
    async def scenario(rig):
        await rig.go(
            rig.call("""
clustertune.report(1, loss=1, **{'n' * 201: 2, 'm' * 200: 3})
clustertune.report(2, loss=1, **{f'm{number}': number for number in range(1500)})
""")
        )
        first, second = rig.coordinator.reports("digits:0:1")
        assert first.metrics == {"loss": 1.0, "m" * 200: 3.0}
        assert list(second.metrics) == ["loss", *(f"m{number}" for number in range(999))]
        notices = rig.coordinator.notices("digits:0:1")
        assert any("its name has 201 characters, and at most 200 are allowed" in notice for notice in notices)
        assert "a report has 1501 metrics, and at most 1000 are kept: the first ones" in notices

    in_rig(scenario)


def test_strangers_on_the_socket_disturb_nobody(in_rig):
    async def scenario(rig):
        path = str(rig.folder / "trials.sock")
        strangers = [socket.socket(socket.AF_UNIX) for _ in range(50)]
        for number, stranger in enumerate(strangers):
            stranger.connect(path)
            stranger.sendall(os.urandom(2000).replace(b"\n", b"") + b"\n" * (number % 2))
        await rig.go(rig.call("clustertune.report(loss=1)"))
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0)]
        for stranger in strangers:
            stranger.close()

    in_rig(scenario)


def test_forks_and_threads_of_a_trial_report_whole_lines(in_rig):
    async def scenario(rig):
        body = """
import threading
clustertune.report(1, loss=0)
def many(first):
    for step in range(first, first + 500):
        clustertune.report(step, loss=step, filler=1.5)
threads = [threading.Thread(target=many, args=(1000 * n,)) for n in (1, 2, 3)]
for thread in threads: thread.start()
child = os.fork()
if child == 0:
    many(9000)
    os._exit(0)
os.waitpid(child, 0)
"""
        ending = await rig.go(rig.call(body))
        assert ending.reason is EndReason.RETURNED
        steps = sorted(step for step, _ in rig.coordinator.values("digits:0:1"))
        assert steps == [1, *(first + step for first in (1000, 2000, 3000, 9000) for step in range(500))]
        assert rig.coordinator.notices("digits:0:1") == []

    in_rig(scenario)


def test_a_coordinator_that_takes_nothing_does_not_make_the_agent_grow_without_bound(in_rig):
    async def scenario(rig):
        body = """
import threading
step, over = 0, threading.Event()
def watch():
    seen = -1
    while not over.wait(0.5):
        if step == seen: open('waits', 'w').close()
        seen = step
watcher = threading.Thread(target=watch)
watcher.start()
for step in range(1, 700001): clustertune.report(step, loss=0.123456789)
over.set()
watcher.join()
open('over', 'w').close()
"""
        run = rig.call(body)
        await rig.coordinator.close()
        rig.coordinator._connections.clear()
        await rig.coordinator.open()
        await rig.coordinator.connected()
        await rig.coordinator.send(rig.start(run))
        await rig.coordinator.started("digits:0:1")
        await rig.coordinator.close()
        process, outbox = psutil.Process(rig.agent.pid), rig.folder / "outbox-1.jsonl"
        while "trials wait" not in rig.agent.log.read_text() or not (rig.workdir / "waits").exists():
            assert not (rig.workdir / "over").exists(), "nothing made the trial wait"
            await asyncio.sleep(0.01)
        assert 20e6 < outbox.stat().st_size < 40e6, "the trial waits once so much is unsent"
        assert process.memory_info().rss < 90 * 2**20
        await rig.coordinator.open()
        await rig.coordinator.until(lambda: rig.coordinator.ending("digits:0:1"), 60)
        assert [step for step, _ in rig.coordinator.values("digits:0:1")] == list(range(1, 700001))

    in_rig(scenario)


def test_secrets_are_redacted_wherever_text_leaves(in_rig):
    async def scenario(rig):
        body = """
secret = os.environ['API_KEY']
for piece in ('key=', secret[:7], secret[7:], ' again ', secret, '\\n'):
    os.write(1, piece.encode()); time.sleep(0.02)
clustertune.report(loss=1)
raise ValueError('refused: ' + secret)
"""
        ending = await rig.go(rig.call(body, secrets={"API_KEY": "s3cr3t-value-of-the-key"}))
        assert ending.error == "ValueError: refused: [secret]"
        assert "key=[secret] again [secret]\n" in ending.log_tail
        shown = json.dumps(
            [ending.error, ending.traceback, ending.log_tail, (await rig.coordinator.log("digits:0:1")).text]
        )
        assert "s3cr3t" not in shown
        for path in rig.folder.rglob("*"):
            assert not path.is_file() or b"s3cr3t" not in path.read_bytes(), path

    in_rig(scenario)


def test_binary_output_is_kept_readable(in_rig):
    async def scenario(rig):
        ending = await rig.go(rig.call("os.write(1, bytes(range(256)) * 40)"))
        assert ending.log_bytes == 10240
        assert "\ufffd" in ending.log_tail
        assert len(ending.log_tail.encode()) <= 4096
        assert (await rig.coordinator.log("digits:0:1", 0, 65536)).next_offset == 10240

    in_rig(scenario)


@pytest.mark.parametrize("shell", [False, True])
def test_a_gigabyte_of_output_leaves_its_beginning_and_its_end(in_rig, shell):
    async def scenario(rig):
        size = 1000 if shell else 200
        command = f"echo first; head -c {size}M /dev/zero; echo; echo last"
        run = rig.spec(command=command, shell=True) if shell else rig.spec(command=f'sh -c "{command}"')
        ending = await rig.go(run)
        assert ending.reason is EndReason.RETURNED
        assert ending.log_bytes == size * 2**20 + 12
        assert ending.log_tail.endswith("\nlast\n")
        kept = (rig.folder / "logs" / "digits:0:1.log").read_bytes()
        assert kept.startswith(b"first\n")
        assert b"bytes left out]" in kept
        assert len(kept) < 2**21 + 100
        chunk = await rig.coordinator.log("digits:0:1", 2**20 + 5)
        assert chunk.offset == ending.log_bytes - 2**20
        assert (await rig.coordinator.log("digits:0:1", -5)).text == "last\n"

    in_rig(scenario)
