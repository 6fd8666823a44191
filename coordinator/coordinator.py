"""The effectful shell around the core: carries out its commands, and tells it what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clustertune.coordinator.agent_events import as_event
from clustertune.coordinator.agent_link import AgentLink
from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.algorithms import Algorithms
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.fleet import LOST_AFTER_S
from clustertune.coordinator.core.lineage import schedule
from clustertune.coordinator.core.snapshots import MACHINE_IS_STARTED, front, row, snapshot
from clustertune.coordinator.core.state import Experiment
from clustertune.coordinator.depot import Depot
from clustertune.coordinator.furnishing import Furnishing
from clustertune.coordinator.journal import Entry, Journal
from clustertune.coordinator.logs import Logs
from clustertune.coordinator.machines import Machines
from clustertune.coordinator.places import Places
from clustertune.coordinator.result_writer import ResultWriter
from clustertune.coordinator.results import Written
from clustertune.coordinator.searching import Searching
from clustertune.coordinator.workdirs import Workdirs
from clustertune.definition.cluster import ClusterDefinition
from clustertune.model.clock import Clock
from clustertune.model.errors import JournalFull
from clustertune.model.instance import Inventory
from clustertune.model.messages import (
    Discard,
    FromCoordinator,
    Go,
    Numbered,
    Save,
    Start,
    Stop,
    Store,
)
from clustertune.model.snapshot import ExperimentSnapshot
from clustertune.provisioner.contracts import Provider

TICK_S = 1.0
STUCK_POLL_S = 0.1
MOST_QUEUED = 50_000
"""Facts and reports: about a second of writing. Agents keep what comes beyond, on their own disks."""
BACKLOG_POLL_S = 0.005

log = logging.getLogger(__name__)


class Coordinator:
    """Everything of one cluster, in one event loop.

    ``now`` is wall time that never steps backwards, also across restarts: it is taken from the monotonic clock, set
    by the wall clock at the start, and never before the journal's last fact.
    """

    def __init__(
        self,
        *,
        places: Places,
        cluster: ClusterDefinition,
        algorithms: Algorithms,
        provider: Provider,
        journal: Journal,
        clock: Clock,
        instances: Sequence[str] = (),
        lost_after_s: float = LOST_AFTER_S,
    ) -> None:
        """``instances``: the names of the machines; by default those of the provider. ``lost_after_s``: as in Core."""
        self.places, self.cluster, self.journal = places, cluster, journal
        self._clock = clock
        self._base = clock.wall_s() - clock.monotonic_s()
        self.started = clock.monotonic_s()
        self.last_asked = self.started
        self.link = AgentLink(self)
        self.logs = Logs(places, self.link)
        self.depot = Depot(self)
        self.workdirs = Workdirs(places.workdirs, clock)
        self.searching = Searching(self)
        self.furnishing = Furnishing(self)
        self.machines = Machines(self, provider, self.furnishing)
        self.secrets: dict[str, dict[str, str]] = {}
        self._launch_secret = bytes.fromhex(places.launch_secret())
        self.results = ResultWriter(places=places, clock=clock, view=self._written, committed=self.committed)
        self._on_disk: dict[str, tuple[int, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.fatal: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.core = Core(
            algorithms=algorithms,
            env=cluster.env,
            secrets=cluster.secrets,
            instances=tuple(instances or provider.instances()),
            idle_timeout_s=cluster.idle_timeout_s,
            token_hash=lambda instance, epoch: self.hash(self.agent_token(instance, epoch)),
            lost_after_s=lost_after_s,
        )

    # Beginning and end

    def recover(self) -> None:
        """Folds the journal. Raises JournalDamaged."""
        last = 0.0
        for now, fact in self.journal.facts():
            self.core.fold.replay(fact, now)
            last = now
        self.core.fold.restore(self.journal.progress(), self.journal.curve)
        self._on_disk = self.journal.received()
        self._base += max(0.0, last - self.now())
        self._booted_at = last

    async def begin(self) -> None:
        """Takes up what the journal says is under way. The journal is being written from here on."""
        self.journal.start(self._journal_failed)
        self.handle(e.Booted(last=self._booted_at))
        for name, experiment in self.core.state.experiments.items():
            if not (experiment.state.ended and self.results.has_written(name, experiment.state)):
                self.results.touch(name)
        self._spawn(self._tidy_workdirs())
        await self.machines.adopt()
        await self.machines.look()

    async def run(self) -> None:
        """Ticks until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            tasks.create_task(self._look_for_machines())
            tasks.create_task(self.results.run())

    async def leave(self, *, stop_agents: bool) -> None:
        """Before the end: agents that run nothing leave (or all do), results and logs are made complete."""
        await self.logs.settled()
        await self.searching.close()
        self.handle_step(self.core.leave(self.now(), stop_agents=stop_agents))
        with contextlib.suppress(JournalFull):
            await self.committed()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=20)
        await self.results.settle_all()

    async def abandon(self) -> None:
        """The journal is lost: nobody will hear what the agents say, so they end."""
        await self.machines.end_all(list(self.core.state.instances))

    def now(self) -> float:
        return self._base + self._clock.monotonic_s()

    def uptime_s(self) -> float:
        return self._clock.monotonic_s() - self.started

    def touch(self) -> None:
        """Somebody asked something."""
        self.last_asked = self._clock.monotonic_s()

    def idle_s(self) -> float:
        """How long nobody has asked anything while nothing ran."""
        if self.core.state.busy() or self.workdirs.busy:
            return 0.0
        return self._clock.monotonic_s() - self.last_asked

    # Events to steps

    def handle(self, event: e.Happening) -> None:
        """Decides, and queues facts and rows; commands follow once those are on disk."""
        now = self.now()
        self.handle_step(self.core.handle(event, now), now)

    def handle_step(
        self,
        step: c.Step,
        now: float | None = None,
        received: tuple[str, int, int] | None = None,
        committed: Callable[[], None] | None = None,
    ) -> None:
        entry = Entry(now=self.now() if now is None else now, facts=step.facts, reports=step.reports, received=received)
        for changed in (*step.facts, *step.reports):
            if (name := getattr(changed, "experiment", None)) is not None:
                self.results.touch(name)
        if any(isinstance(fact, f.ExperimentChanged) and fact.state.ended for fact in step.facts):
            self._spawn(self._tidy_workdirs())
        # What was decided upon facts that are not on disk yet must not be ordered before they are.
        if not (entry.facts or entry.reports or entry.received or step.commands):
            return

        def done() -> None:
            if committed is not None:
                committed()
            self._carry_out(step)

        self.journal.append(entry, done)

    async def committed(self) -> None:
        """Returns once everything handed in so far is on disk. Raises JournalFull as soon as the disk refuses."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done() -> None:
            if not future.done():
                future.set_result(None)

        self.journal.append(Entry(now=self.now()), done)
        while not future.done():
            await asyncio.wait([future], timeout=STUCK_POLL_S)
            if self.fatal.done() and (error := self.fatal.exception()) is not None:
                raise error
            if self.journal.problem and not future.done():
                raise JournalFull(self.journal.problem)

    async def writable(self) -> None:
        """Agents' messages wait here, and so do what they would pile up in memory and whoever asks meanwhile."""
        while self.journal.problem:
            await asyncio.sleep(0.1)
        while self.journal.backlog > MOST_QUEUED:
            await asyncio.sleep(BACKLOG_POLL_S)

    def _journal_failed(self, error: Exception) -> None:
        if not self.fatal.done():
            self.fatal.set_exception(error)

    # Commands

    def _carry_out(self, step: c.Step) -> None:
        for command in step.commands:
            match command:
                case c.StartAttempt():
                    self.furnishing.send(command.instance, self._start(command))
                case c.StopAttempt():
                    self.furnishing.send(command.instance, Stop(attempt=command.attempt, reason=command.reason))
                case c.LetGoOn():
                    self.furnishing.send(command.instance, Go(attempt=command.attempt, target=command.target))
                case c.AskForCheckpoint():
                    self.furnishing.send(command.instance, Save(attempt=command.attempt))
                case c.StoreCheckpoint():
                    self.furnishing.send(command.instance, Store(attempt=command.attempt, digest=command.digest))
                case c.DiscardCheckpoints():
                    self.furnishing.send(command.instance, Discard(attempt=command.attempt, digests=command.digests))
                case c.DeleteStored():
                    self._spawn(self.depot.delete(command.experiment, command.digest))
                case c.TidyStorage():
                    self._spawn(self.depot.tidy(command.experiment))
                case c.CollectLog():
                    self._spawn(self.logs.collect(command.instance, command.attempt, command.ending))
                case c.Log():
                    log.error("%s", command.text)
                case c.Suggest():
                    self._spawn(self.searching.suggest(command))
                case c.Launch():
                    self._spawn(self.machines.launch(command))
                case c.Terminate():
                    self._spawn(self.machines.terminate(command))

    def _start(self, command: c.StartAttempt) -> Start:
        secrets = self.secrets.get(command.experiment)
        return Start(
            attempt=command.attempt,
            config=command.config,
            run=replace(command.run, secrets=secrets) if secrets else command.run,
            target=command.target,
            cpus=command.cpus,
            gpus=command.gpus,
            seed=command.seed,
            checkpoint=command.checkpoint,
        )

    async def _tidy_workdirs(self) -> None:
        """Programs that no experiment can run any more go."""
        await self.workdirs.keep(self.furnishing.wanted)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_log_failure)

    def keep_secrets(self, experiment: str, secrets: Mapping[str, str]) -> None:
        """In memory, for this experiment alone: agents launched later do not inherit them."""
        self.secrets[experiment] = dict(secrets)
        for name in secrets:
            os.environ.pop(name, None)

    def secret_values(self) -> dict[str, str]:
        """Of all experiments, as far as they are known."""
        return {name: value for known in self.secrets.values() for name, value in known.items()}

    # The agents' link

    def expected(self, instance: str) -> tuple[int, str] | None:
        found = self.core.state.instances.get(instance)
        return None if found is None else (found.epoch, found.token_hash)

    def hash(self, token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    def on_disk(self, instance: str, epoch: int) -> int:
        known = self._on_disk.get(instance)
        return known[1] if known is not None and known[0] == epoch else 0

    def deliver(self, instance: str, message: FromCoordinator) -> None:
        self.link.send(instance, message)

    def connected(self, instance: str, epoch: int, inventory: Inventory) -> None:
        self.furnishing.returned(instance)
        self.handle(e.AgentConnected(instance=instance, epoch=epoch, inventory=inventory))

    def disconnected(self, instance: str, epoch: int) -> None:
        self.handle(e.AgentDisconnected(instance=instance, epoch=epoch))
        self._spawn(self.machines.look())

    def received(self, instance: str, epoch: int, message: Numbered, committed: Callable[[], None]) -> None:
        now = self.now()
        step = self.core.handle(as_event(instance, epoch, message), now)
        self.handle_step(step, now, received=(instance, epoch, message.seq), committed=committed)

    def agent_token(self, instance: str, epoch: int) -> str:
        return hmac.digest(self._launch_secret, f"{instance}:{epoch}".encode(), "sha256").hex()

    # By the clock

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.handle(e.Ticked())
            await self.searching.rest()
            self.journal.append(Entry(now=self.now()), lambda: None)  # looks whether its file is still there

    async def _look_for_machines(self) -> None:
        """Beside the ticks: a machine that hangs takes its time to be asked, and time goes on for all."""
        while True:
            await asyncio.sleep(TICK_S)
            if any(not i.connected for i in self.core.state.instances.values()):
                await self.machines.look()

    def view(self, experiment: Experiment, after: int = 0) -> ExperimentSnapshot:
        """The experiment as it is, on disk or not yet."""
        found = snapshot(
            self.core,
            experiment,
            cluster=self.cluster.name,
            now=self.now(),
            folder=str(self.places.experiment(experiment.name)),
            problem=self.journal.problem,
            after=after,
        )
        doing = self.machines.doing_in_words()
        return replace(found, waiting=doing) if doing and found.waiting == MACHINE_IS_STARTED else found

    def _written(self, name: str) -> Written:
        experiment, now = self.core.state.experiments[name], self.now()
        return Written(
            snapshot=self.view(experiment),
            rows=[row(experiment, trial, now) for trial in experiment.trials],
            parameters=experiment.definition.space.names,
            schedule=schedule(experiment),
            front=front(experiment),
        )


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a task failed: %s", "".join(traceback.format_exception(error)))
