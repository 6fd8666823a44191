"""Trials of several processes: ranks as torchrun has them, one end for all."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest

from clustertune.model.messages import CheckpointPolicy, MetricPattern, Save
from clustertune.model.trial import EndReason

LOOPS = int(os.environ.get("CLUSTERTUNE_TEST_LOOPS", "2"))

DDP = """
import os, sys
import torch
import torch.distributed as dist
import clustertune


def train(config):
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(rank)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(1, 4):
        loss = model(torch.ones(4, 2) * (rank + 1)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        weights = model.module.weight.detach()
        alike = [torch.zeros_like(weights) for _ in range(dist.get_world_size())]
        dist.all_gather(alike, weights)
        clustertune.report(step, loss=float(all(torch.equal(weights, each) for each in alike)))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    train(clustertune.config())
    # PyTorch's own threads abort the interpreter at its end now and then (std::terminate).
    sys.stdout.flush()
    os._exit(0)
"""

LINES = "import os, sys, time, signal, json\nrank = int(os.environ['RANK'])\n"


def command(rig, body, processes=3, **more):
    rig.write("lines.py", LINES + body)
    return rig.spec(command="python lines.py", processes=processes, **more)


@pytest.mark.parametrize(("how", "size"), [("call", 4), ("command", 2)])
def test_ranks_train_one_model_together_and_rank_0_reports(in_rig, how, size):
    async def scenario(rig):
        rig.write("ddp.py", DDP)
        run = {"call": "ddp:train"} if how == "call" else {"command": "python ddp.py"}
        ending = await rig.go(rig.spec(**run, processes=size))
        assert (ending.reason, ending.error) == (EndReason.RETURNED, ""), ending.log_tail
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0), (2, 1.0), (3, 1.0)]

    in_rig(scenario)


def test_every_rank_is_told_what_torchrun_tells(in_rig):
    async def scenario(rig):
        names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "CLUSTERTUNE_PROCESSES"]
        names.append("OMP_NUM_THREADS")
        body = f"print(json.dumps([os.environ[name] for name in {names}] + [os.environ['MASTER_PORT']]))"
        ending = await rig.go(command(rig, body), cpus=7)
        lines = sorted(map(json.loads, ending.log_tail.splitlines()))
        assert [line[:-1] for line in lines] == [[str(r), str(r), "3", "3", "127.0.0.1", "3", "2"] for r in range(3)]
        assert len({line[-1] for line in lines}) == 1

    in_rig(scenario)


def test_only_rank_0_prints_appends_and_returns_reports_and_the_log_has_all_lines(in_rig, pattern):
    async def scenario(rig):
        append = "print(json.dumps({'loss': 10 + rank}), file=open(os.environ['CLUSTERTUNE_METRICS'], 'a'))"
        body = f"print(f'loss={{rank}}')\n{append}"
        run = command(rig, body, metrics=(pattern("loss", r"loss=(\S+)"),))
        ending = await rig.go(run)
        assert sorted(value for _, value in rig.coordinator.values("digits:0:1")) == [0.0, 10.0]
        assert sorted(ending.log_tail.splitlines()) == ["loss=0", "loss=1", "loss=2"]
        assert (await rig.go(rig.call("return 1.5", processes=3), 1)).reason is EndReason.RETURNED
        assert rig.coordinator.values("digits:1:1") == [(1, 1.5)]

    in_rig(scenario)


def test_as_many_processes_as_a_definition_allows_have_an_output_each(in_rig):
    async def scenario(rig):
        many = rig.start(rig.spec(command="echo $RANK", shell=True, processes=256))
        await rig.coordinator.send(many)
        assert (await rig.go(rig.call("return 1"), 1)).reason is EndReason.RETURNED
        ending = await rig.coordinator.ended(many.attempt)
        assert ending.reason is EndReason.RETURNED, ending
        log = await rig.coordinator.log(many.attempt)
        assert sorted(map(int, log.text.split())) == list(range(256))

    in_rig(scenario)


def test_a_rank_that_raises_ends_the_group_and_is_named(in_rig):
    async def scenario(rig):
        body = "if os.environ['RANK'] == '2':\n    raise ValueError('bad')\ntime.sleep(600)"
        ending = await rig.go(rig.call(body, processes=4))
        assert (ending.reason, ending.error, ending.exit_code) == (EndReason.RAISED, "rank 2: ValueError: bad", 1)
        assert "raise ValueError('bad')" in ending.traceback
        ending = await rig.go(command(rig, "rank == 1 and sys.exit(3)\ntime.sleep(600)"), 1)
        assert (ending.error, ending.exit_code) == ("rank 1: exit code 3", 3)

    in_rig(scenario)


def test_a_rank_killed_by_a_signal_ends_the_group_by_that_signal(in_rig):
    async def scenario(rig):
        ending = await rig.go(command(rig, "rank == 1 and os.kill(os.getpid(), 9)\ntime.sleep(600)"))
        assert (ending.reason, ending.signal) == (EndReason.RAISED, signal.SIGKILL)
        assert ending.error.startswith("rank 1: killed by signal 9 (SIGKILL)")

    in_rig(scenario)


def test_a_rank_that_ignores_sigterm_is_killed_after_the_grace(in_rig):
    async def scenario(rig):
        body = """
if rank == 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open('deaf', 'w').close()
    time.sleep(600)
while not os.path.exists('deaf'):
    time.sleep(0.01)
sys.exit(5 if rank == 0 else 0)
"""
        ending = await rig.go(command(rig, body, grace_s=0.2))
        assert (ending.error, ending.exit_code) == ("exit code 5", 5)
        (rig.workdir / "deaf").unlink()
        ending = await rig.go(command(rig, body.replace("5 if rank == 0 else 0", "0"), grace_s=0.2), 1)
        assert ending.reason is EndReason.RETURNED
        assert rig.coordinator.notices("digits:1:1") == ["1 other ranks went on after rank 0 had ended, and were ended"]

    in_rig(scenario)


def test_stop_reaches_all_ranks_once_and_waits_for_them(in_rig):
    async def scenario(rig):
        body = """
try:
    clustertune.report(loss=1)
    print('ready', flush=True)
    time.sleep(600)
except clustertune.Stopped:
    print('clean', flush=True)
    if os.environ['RANK'] != '0':
        time.sleep(0.2)  # after rank 0 has gone; a second signal would show
    raise
"""
        start = rig.start(rig.call(body, processes=3))
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        while (await rig.coordinator.log(start.attempt)).text != "ready\n" * 3:
            pass  # each asking is a round trip to the agent
        ending = await rig.stop()
        assert (ending.reason, ending.log_tail) == (EndReason.STOPPED, "ready\n" * 3 + "clean\n" * 3)

    in_rig(scenario)


def test_ranks_die_with_their_leader_and_other_trials_live_on(in_rig):
    async def scenario(rig):
        run = command(rig, "print('ready')\ntime.sleep(600)")
        await rig.coordinator.send(rig.start(run))
        await rig.coordinator.send(rig.start(run, 1))
        leader = await rig.coordinator.started("digits:0:1")
        other = psutil.Process(await rig.coordinator.started("digits:1:1"))
        ranks = psutil.Process(leader).children()
        os.kill(leader, signal.SIGKILL)
        ending = await rig.coordinator.ended("digits:0:1")
        assert ending.signal == signal.SIGKILL
        assert not any(rank.is_running() and rank.status() != psutil.STATUS_ZOMBIE for rank in ranks)
        assert len(other.children()) == 3
        assert (await rig.stop(1)).reason is EndReason.STOPPED

    in_rig(scenario)


def test_what_is_sent_to_the_program_is_for_rank_0(in_rig):
    async def scenario(rig):
        body = """
signal.signal(signal.SIGUSR1, lambda *_: (print(f'rank {rank} heard'), os._exit(0)))
open(f'ready-{rank}', 'w').close()
if rank:
    sys.exit()
time.sleep(600)
"""
        start = rig.start(command(rig, body))
        await rig.coordinator.send(start)
        leader = await rig.coordinator.started(start.attempt)
        while not (rig.workdir / "ready-0").exists():
            await rig.coordinator.log(start.attempt)
        os.kill(leader, signal.SIGUSR1)
        ending = await rig.coordinator.ended(start.attempt)
        assert (ending.reason, ending.log_tail) == (EndReason.RETURNED, "rank 0 heard\n")

    in_rig(scenario)


def test_a_program_that_is_not_there_is_told_once(in_rig):
    async def scenario(rig):
        path = rig.write("script", "#!/no/such/interpreter\n")
        path.chmod(0o755)
        ending = await rig.go(rig.spec(command="./script", processes=4))
        assert (ending.reason, ending.error.count("cannot be run")) == (EndReason.UNSTARTABLE, 1)

    in_rig(scenario)


def test_what_makes_forks_unsafe_gives_each_rank_a_fresh_process(in_rig):
    async def scenario(rig):
        rig.write(
            "threads.py",
            "import threading, time, os, clustertune\n"
            "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
            "def train(config):\n    print(os.environ['RANK'])\n    clustertune.report(loss=1)\n    os._exit(0)\n",
        )
        ending = await rig.go(rig.spec(call="threads:train", processes=2))
        assert ending.reason is EndReason.RETURNED
        assert sorted(ending.log_tail.split()) == ["0", "1"]
        assert rig.coordinator.values("digits:0:1") == [(1, 1.0)]

    in_rig(scenario)


PAUSED = """
import os, time
import torch
import torch.distributed as dist
import clustertune


def train(config):
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    for epoch in range(1, 100000):
        total = torch.tensor([float(epoch)])
        dist.all_reduce(total)
        clustertune.report(epoch, loss=1 / epoch)
        wanted = torch.tensor([clustertune.should_checkpoint()], dtype=torch.uint8)
        dist.broadcast(wanted, 0)
        if wanted:
            with clustertune.new_checkpoint(epoch) as path:
                if config["shards"] or rank == 0:
                    (path / f"shard{rank}").write_text(str(epoch))
                if config["shards"]:
                    dist.barrier()


if __name__ == "__main__":
    train(clustertune.config())
"""


@pytest.mark.parametrize("how", ["call", "command"])
@pytest.mark.parametrize("shards", [True, False])
def test_a_pause_ends_all_ranks_once_they_have_saved_whatever_was_wanted_before(in_rig, how, shards):
    async def scenario(rig):
        rig.write("paused.py", PAUSED)
        run = {"call": "paused:train"} if how == "call" else {"command": "python paused.py"}
        for trial in range(LOOPS):
            start = rig.start(rig.spec(**run, processes=3), trial, config={"shards": shards})
            await rig.coordinator.send(start)
            await rig.coordinator.until(lambda name=start.attempt: len(rig.coordinator.reports(name)) > 1)
            await rig.coordinator.send(Save(start.attempt))
            if trial % 2:
                await rig.coordinator.has_saved(start.attempt)
            ending = await rig.stop(trial, "paused")
            assert (ending.reason, ending.log_tail, ending.notices) == (EndReason.PAUSED, "", ()), ending
            saved = rig.coordinator.saved(start.attempt)[-1]
            assert saved.wanted
            assert saved.resource == rig.coordinator.reports(start.attempt)[-1].resource
            assert saved.size_bytes == len(str(saved.resource)) * (3 if shards else 1)

    in_rig(scenario)


def test_a_rank_that_ends_while_rank_0_saves_for_a_pause_takes_nobody_along(in_rig):
    async def scenario(rig):
        body = """
folder, save = os.environ['CLUSTERTUNE_CHECKPOINTS'], os.environ['CLUSTERTUNE_SAVE']
print('loss=1', flush=True)
while not os.path.exists(save):
    time.sleep(0.005)
if rank:
    open('gone', 'w').close()
    sys.exit('impatient')
while not os.path.exists('gone'):
    time.sleep(0.005)
os.mkdir(folder + '/part')
time.sleep(0.3)
os.rename(folder + '/part', folder + '/1')
"""
        policy = CheckpointPolicy(every_s=None, expected=True)
        metrics = (MetricPattern("loss", r"loss=(\S+)"),)
        start = rig.start(command(rig, body, processes=2, metrics=metrics, checkpoints=policy))
        await rig.coordinator.send(start)
        await rig.coordinator.until(lambda: rig.coordinator.reports(start.attempt))
        ending = await rig.stop(reason="paused")
        assert (ending.reason, ending.exit_code) == (EndReason.PAUSED, 0)
        assert rig.coordinator.saved(start.attempt)[-1].wanted

    in_rig(scenario)
