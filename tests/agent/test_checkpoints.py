"""Checkpoints on one machine: made, kept, announced, paused with and gone on from."""

from __future__ import annotations

import signal

from clustertune.model.checkpoint import CheckpointRef
from clustertune.model.messages import CheckpointPolicy, Discard, Go, Held, MetricPattern, Save, Stop
from clustertune.model.trial import EndReason
from tests.agent.test_endings import wait_until

FIRST = "digits:0:1"

TRAINING = """
saved = clustertune.latest_checkpoint()
start = 0
if saved is not None:
    start = int((saved.path / 'state').read_text())
    assert start == saved.resource
    (saved.path / 'state').write_text('spoiled')
for epoch in range(start + 1, 1000000):
    clustertune.report(loss=1 / epoch)
    if clustertune.should_checkpoint():
        with clustertune.new_checkpoint() as path:
            (path / 'state').write_text(str(epoch))
    time.sleep(0.002)
"""

SHELL = """
n=${CLUSTERTUNE_CHECKPOINT_LEVEL:-0}
save() {
    mkdir -p $CLUSTERTUNE_CHECKPOINTS/part; echo $n > $CLUSTERTUNE_CHECKPOINTS/part/state
    mv $CLUSTERTUNE_CHECKPOINTS/part $CLUSTERTUNE_CHECKPOINTS/$n
}
while true; do
    n=$((n + 1)); echo loss=$n
    if [ $n = 1 ]; then save; fi
    if [ -e $CLUSTERTUNE_SAVE ]; then
        wish=$(cat $CLUSTERTUNE_SAVE); save
        if [ "$wish" = exit ]; then exit 0; fi
    fi
    sleep 0.01
done
"""

SIGNALLED = """
import os, signal, sys, time
asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
n = int(os.environ.get('CLUSTERTUNE_CHECKPOINT_LEVEL', 0))
while True:
    n += 1
    print('loss=%d' % n, flush=True)
    if asked:
        asked.clear()
        folder = os.environ['CLUSTERTUNE_CHECKPOINTS']
        os.mkdir(folder + '/new')
        open(folder + '/new/state', 'w').write(str(n))
        os.rename(folder + '/new', folder + '/' + str(n))
        if open(os.environ['CLUSTERTUNE_SAVE']).read() == 'exit':
            sys.exit(3)
    time.sleep(0.005)
"""

LOSS = (MetricPattern("loss", "loss=(.*)"),)


async def begin(rig, run, **more):
    start = rig.start(run, **more)
    await rig.coordinator.send(start)
    await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
    return start


async def pause(rig, attempt=FIRST):
    await rig.coordinator.send(Stop(attempt, "paused"))
    return await rig.coordinator.ended(attempt)


def ref(saved):
    return CheckpointRef(saved.digest, saved.resource, saved.size_bytes)


async def goes_on_after_a_pause(rig, run, *, ready=lambda: True):
    """Paused, it has saved; the next attempt counts on from there, and what is kept is unharmed by it."""
    await begin(rig, run)
    await rig.coordinator.until(ready)
    ending = await pause(rig)
    assert ending.reason is EndReason.PAUSED, ending
    saved = rig.coordinator.saved(FIRST)[-1]
    assert saved.wanted
    assert rig.coordinator.reports(FIRST)[-1].resource == saved.resource
    assert f"{FIRST}/{saved.resource}" in rig.kept()
    for number in (2, 3):  # the second time from the same copy: the first could not spoil it
        attempt = f"digits:0:{number}"
        await begin(rig, run, attempt=attempt, checkpoint=ref(saved))
        assert rig.coordinator.reports(attempt)[0].resource == saved.resource + 1
        await rig.coordinator.send(Stop(attempt, "stopped"))
        await rig.coordinator.ended(attempt)


def test_a_callable_is_paused_and_goes_on(in_rig):
    async def scenario(rig):
        await goes_on_after_a_pause(rig, rig.call(TRAINING), ready=lambda: len(rig.coordinator.reports(FIRST)) > 2)

    in_rig(scenario)


def test_a_python_command_is_paused_and_goes_on(in_rig):
    async def scenario(rig):
        rig.write("train.py", "import clustertune, time\n" + TRAINING)
        run = rig.spec(command="python train.py")
        await goes_on_after_a_pause(rig, run, ready=lambda: len(rig.coordinator.reports(FIRST)) > 2)
        assert rig.coordinator.ending(FIRST).log_tail == ""

    in_rig(scenario)


def test_a_shell_script_that_polls_is_paused_and_goes_on(in_rig):
    async def scenario(rig):
        run = rig.spec(command=SHELL, shell=True, metrics=LOSS)
        await begin(rig, run)
        wait_until(lambda: rig.kept() == [f"{FIRST}/1"])
        ending = await pause(rig)
        assert (ending.reason, ending.exit_code) == (EndReason.PAUSED, 0)
        saved = rig.coordinator.saved(FIRST)[-1]
        await begin(rig, run, attempt="digits:0:2", checkpoint=ref(saved))
        assert rig.coordinator.values("digits:0:2")[0] == (saved.resource + 1, saved.resource + 1.0)

    in_rig(scenario)


def test_a_program_is_asked_by_the_signal_that_it_knows(in_rig):
    async def scenario(rig):
        rig.write("train.py", SIGNALLED)
        policy = CheckpointPolicy(every_s=None, signal="SIGUSR1")
        run = rig.spec(command="python train.py", metrics=LOSS, checkpoints=policy)
        start = await begin(rig, run)
        await rig.coordinator.send(Save(start.attempt))
        first = await rig.coordinator.has_saved(start.attempt)
        ending = await pause(rig)
        assert (ending.reason, ending.exit_code) == (EndReason.PAUSED, 3)
        last = rig.coordinator.saved(FIRST)[-1]
        assert first.wanted
        assert last.wanted
        assert last.resource > first.resource

    in_rig(scenario)


def test_who_ignores_the_pause_gets_sigterm_after_the_time_to_save(in_rig):
    async def scenario(rig):
        run = rig.call(
            "clustertune.should_checkpoint(); clustertune.report(loss=1); time.sleep(600)",
            checkpoints=CheckpointPolicy(save_s=0.3),
        )
        await begin(rig, run)
        ending = await pause(rig)
        assert (ending.reason, ending.signal) == (EndReason.PAUSED, signal.SIGTERM)
        assert rig.coordinator.saved(FIRST) == []

    in_rig(scenario)


def test_a_stop_ends_at_once_who_is_still_saving(in_rig):
    async def scenario(rig):
        run = rig.call("clustertune.should_checkpoint(); clustertune.report(loss=1); time.sleep(600)")
        await begin(rig, run)
        await rig.coordinator.send(Stop(FIRST, "paused"))
        wait_until((rig.folder / "attempts" / FIRST / "save").exists)
        assert (await rig.stop()).reason is EndReason.STOPPED

    in_rig(scenario)


def test_what_is_not_whole_when_the_trial_is_killed_is_not_there(in_rig):
    async def scenario(rig):
        run = rig.call("""
with clustertune.new_checkpoint(1) as path:
    (path / 'state').write_text('1')
try:
    with clustertune.new_checkpoint(2) as path:
        raise KeyError('in the middle')
except KeyError:
    pass
with clustertune.new_checkpoint(3) as path:
    (path / 'state').write_text('3')
    os.kill(os.getpid(), signal.SIGKILL)
""")
        ending = await rig.go(run)
        assert ending.signal == signal.SIGKILL
        (saved,) = rig.coordinator.saved(FIRST)
        assert (saved.resource, saved.wanted, saved.size_bytes) == (1, False, 1)
        assert rig.kept() == [f"{FIRST}/1"]
        await rig.coordinator.send(Discard(FIRST, (saved.digest,)))
        wait_until(lambda: not (rig.folder / "checkpoints" / FIRST).exists())

    in_rig(scenario)


def test_of_those_that_nobody_wants_the_newest_is_kept(in_rig):
    async def scenario(rig):
        run = rig.call("""
for level in range(1, 6):
    with clustertune.new_checkpoint(level) as path:
        (path / 'state').write_text('x' * level)
    clustertune.report(level, loss=1)
with clustertune.new_result() as path:
    (path / 'model').write_text('first')
with clustertune.new_result() as path:
    (path / 'model').write_text('the last')
clustertune.describe(data='set-7', rows=12)
""")
        assert (await rig.go(run)).reason is EndReason.RETURNED
        (saved,) = rig.coordinator.saved(FIRST)
        (result,) = rig.coordinator.saved(FIRST, "result")
        assert (saved.resource, result.resource, result.size_bytes) == (5, 5, 8)
        assert rig.kept() == [f"{FIRST}/5", f"{FIRST}/result"]
        assert rig.coordinator.told(FIRST) == {"data": "set-7", "rows": "12"}

    in_rig(scenario)


def test_one_is_asked_for_every_so_often_and_the_program_goes_on(in_rig):
    async def scenario(rig):
        start = await begin(rig, rig.call(TRAINING, checkpoints=CheckpointPolicy(every_s=0.1)))
        third = await rig.coordinator.has_saved(start.attempt, 3)
        assert all(saved.wanted for saved in rig.coordinator.saved(start.attempt))
        assert third.resource > rig.coordinator.saved(start.attempt)[0].resource
        assert rig.coordinator.ending(start.attempt) is None
        wait_until(lambda: len(rig.kept()) <= 3)  # those announced that nobody asked for do not heap up

    in_rig(scenario)


def test_a_report_at_the_target_waits_for_the_decision(in_rig):
    async def scenario(rig):
        run = rig.call(
            """
clustertune.should_checkpoint()
for level in range(1, 5):
    clustertune.report(level, loss=1)
    print(level, clustertune.target(), clustertune.should_checkpoint(), flush=True)
    if clustertune.should_checkpoint():
        with clustertune.new_checkpoint() as path:
            pass
""",
            pauses=True,
        )
        await rig.coordinator.send(rig.start(run, target=2))
        await rig.coordinator.until(lambda: len(rig.coordinator.reports(FIRST)) == 2)
        log = await rig.coordinator.log(FIRST)
        assert log.text == "1 2 False\n"
        await rig.coordinator.send(Go(FIRST, 2))  # an old one, said again
        await rig.coordinator.send(Go(FIRST, 3))
        await rig.coordinator.until(lambda: len(rig.coordinator.reports(FIRST)) == 3)
        ending = await pause(rig)
        assert ending.reason is EndReason.PAUSED
        assert ending.log_tail == "1 2 False\n2 3 False\n3 3 True\n"
        assert rig.coordinator.saved(FIRST)[-1].resource == 3

    in_rig(scenario)


def test_a_killed_agents_checkpoints_are_told_before_their_attempts_end_and_kept_for_its_epoch_only(in_rig):
    async def scenario(rig):
        run = rig.call("""
if clustertune.latest_checkpoint() is None:
    with clustertune.new_checkpoint(4) as path:
        (path / 'state').write_text('4')
    clustertune.report(4, loss=1)
    time.sleep(600)
clustertune.report(loss=2)
""")
        start = await begin(rig, run)
        wait_until(lambda: rig.kept() == [f"{FIRST}/4"])
        rig.agent.kill()
        rig.launch()
        ending = await rig.coordinator.ended(start.attempt)
        assert ending.reason is EndReason.LOST
        (saved,) = rig.coordinator.saved(FIRST)
        assert (saved.resource, saved.wanted) == (4, True)
        rig.agent.kill()
        rig.launch()  # it knows by its digest what the last one announced
        await rig.coordinator.until(lambda: len(rig.coordinator.hellos) == 3)
        second = await rig.coordinator.run(rig.start(run, attempt="digits:0:2", checkpoint=ref(saved)))
        assert second.reason is EndReason.RETURNED
        assert rig.coordinator.values("digits:0:2") == [(5, 2.0)]
        rig.agent.kill()
        rig.coordinator.seen.clear()
        rig.launch(epoch=2)
        await rig.coordinator.until(lambda: len(rig.coordinator.hellos) == 4)
        assert rig.kept() == []

    in_rig(scenario)


def test_after_a_reconnection_the_agent_tells_what_it_holds_so_that_a_lost_discard_is_made_good(in_rig):
    async def scenario(rig):
        await begin(rig, rig.call(TRAINING))
        await rig.coordinator.until(lambda: len(rig.coordinator.reports(FIRST)) > 1)
        await pause(rig)
        saved = await rig.coordinator.has_saved(FIRST)
        await rig.coordinator.cut()
        await rig.coordinator.until(lambda: any(isinstance(m, Held) for m in rig.coordinator.seen.values()))
        (held,) = [m.digests for m in rig.coordinator.seen.values() if isinstance(m, Held)]
        assert held == {FIRST: (saved.digest,)}
        await rig.coordinator.send(Discard(FIRST, (saved.digest,)))
        wait_until(lambda: rig.kept() == [])
        await rig.coordinator.cut()
        await rig.coordinator.connected()
        assert (await rig.go(rig.call("return 1", "other"), 1)).reason is EndReason.RETURNED
        assert sum(isinstance(m, Held) for m in rig.coordinator.seen.values()) == 1  # there is nothing to tell of

    in_rig(scenario)


def test_when_the_machine_is_taken_away_trials_save_and_nothing_is_left(in_rig):
    async def scenario(rig):
        await begin(rig, rig.call(TRAINING))
        await rig.coordinator.until(lambda: len(rig.coordinator.reports(FIRST)) > 1)
        await rig.leave()
        ending = await rig.coordinator.ended(FIRST)
        assert ending.reason is EndReason.PAUSED
        assert rig.coordinator.saved(FIRST)[-1].wanted
        assert not (rig.folder / "checkpoints").exists()

    in_rig(scenario)


def test_saving_goes_on_beside_threads_and_forks(in_rig):
    async def scenario(rig):
        run = rig.call("""
import threading
def save(level):
    with clustertune.new_checkpoint(level) as path:
        (path / 'state').write_text(str(level))
    clustertune.report(level, loss=level)
threads = [threading.Thread(target=save, args=(level,)) for level in range(1, 9)]
for thread in threads: thread.start()
for thread in threads: thread.join()
child = os.fork()
if child == 0:
    save(9)
    os._exit(0)
os.waitpid(child, 0)
""")
        assert (await rig.go(run)).reason is EndReason.RETURNED
        assert sorted(level for level, _ in rig.coordinator.values(FIRST)) == list(range(1, 10))
        assert rig.coordinator.saved(FIRST)[-1].resource == 9

    in_rig(scenario)


def test_a_level_saved_again_and_again_is_kept_without_a_notice(in_rig):
    async def scenario(rig):
        run = rig.call("""
import threading
def save(count):
    for _ in range(count):
        with clustertune.new_checkpoint(3) as path:
            (path / 'state').write_text('3')
threads = [threading.Thread(target=save, args=(50,)) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
save(100)
""")
        assert (await rig.go(run)).reason is EndReason.RETURNED
        assert rig.coordinator.notices(FIRST) == []
        assert [saved.size_bytes for saved in rig.coordinator.saved(FIRST)] == [1]

    in_rig(scenario)


def test_a_program_that_fails_while_it_saves_for_a_pause_has_failed(in_rig):
    async def scenario(rig):
        body = """
while True:
    clustertune.report(loss=1)
    if clustertune.should_checkpoint():
        raise RuntimeError('disk on fire')
    time.sleep(0.002)
"""
        await begin(rig, rig.call(body, checkpoints=CheckpointPolicy(every_s=None, expected=True)))
        ending = await pause(rig)
        assert (ending.reason, ending.error) == (EndReason.RAISED, "RuntimeError: disk on fire")
        assert "raise RuntimeError" in ending.traceback
        rig.write("train.py", "import clustertune, time\n" + body)
        run = rig.spec(command="python train.py", checkpoints=CheckpointPolicy(every_s=None, expected=True))
        await begin(rig, run, attempt="digits:1:1")
        ending = await pause(rig, "digits:1:1")
        assert (ending.reason, ending.error) == (EndReason.RAISED, "exit code 1")
        assert ending.traceback.endswith("RuntimeError: disk on fire\n")

    in_rig(scenario)
