"""Brings programs to the machines that run them: a trial starts once what it needs is there."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.core import Core
from clustertune.definition.cluster import ClusterDefinition
from clustertune.model.checkpoint import Manifest
from clustertune.model.errors import ClustertuneError, ProviderFatal
from clustertune.model.messages import FromCoordinator, RunSpec, Start
from clustertune.provisioner.contracts import Furnished, Outfit, Snapshot

log = logging.getLogger(__name__)


class Workdirs(Protocol):
    """Where the coordinator keeps snapshots."""

    current: str
    """The digest of the cluster's own; empty while there is none."""

    def manifest(self, digest: str) -> Manifest: ...
    def open_part(self, digest: str) -> Path: ...


class Machines(Protocol):
    """Who asks the provider."""

    async def furnish(self, instance: str, outfit: Outfit) -> Furnished: ...


class Shell(Protocol):
    """What furnishing asks of the coordinator."""

    core: Core
    cluster: ClusterDefinition
    machines: Machines

    @property
    def workdirs(self) -> Workdirs: ...
    def handle(self, event: e.Happening) -> None: ...
    def deliver(self, instance: str, message: FromCoordinator) -> None: ...
    def secret_values(self) -> Mapping[str, str]: ...


@dataclass(slots=True)
class _Machine:
    """One epoch of an instance: what is there by snapshot, and the messages that wait for what is not."""

    epoch: int
    there: dict[str, Furnished] = field(default_factory=dict)
    waiting: deque[tuple[str, FromCoordinator]] = field(default_factory=deque)
    attempts: dict[str, str] = field(default_factory=dict)
    bringing: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Furnishing:
    """Stands between the coordinator's commands and the agents' link.

    What is said of an attempt waits behind its Start, so that nothing overtakes it; all else goes out at once.
    """

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._machines: dict[str, _Machine] = {}

    def send(self, instance: str, message: FromCoordinator) -> None:
        """To the agent, now or when the machine has what the attempt needs."""
        if not self._shell.cluster.elsewhere:
            self._shell.deliver(instance, message)
            return
        machine = self._machine(instance)
        if isinstance(message, Start):
            self._start(instance, machine, message)
        elif (needs := machine.attempts.get(getattr(message, "attempt", ""))) is not None:
            machine.waiting.append((needs, message))
        else:
            self._shell.deliver(instance, message)

    def returned(self, instance: str) -> None:
        """The agent is connected anew, and will be told all that it should do: what waits is void."""
        machine = self._machine(instance)
        machine.waiting.clear()
        machine.attempts.clear()

    async def for_launch(self) -> Outfit:
        """What every machine gets as it comes up. Raises as ``outfit``."""
        return await self.outfit(self._shell.workdirs.current) if self._shell.cluster.elsewhere else Outfit()

    async def outfit(self, digest: str) -> Outfit:
        """What a machine gets for the snapshot. The other snapshots that experiments need stay where they are.

        Raises ClustertuneError where the snapshot cannot be read.
        """
        cluster, workdirs, snapshot = self._shell.cluster, self._shell.workdirs, None
        if digest:
            manifest = await asyncio.to_thread(workdirs.manifest, digest)
            snapshot = Snapshot(digest=digest, manifest=manifest, part=workdirs.open_part)
        secrets = self._shell.secret_values()
        return Outfit(
            snapshot=snapshot,
            setup=tuple(cluster.setup),
            python=cluster.python if cluster.python != "auto" else None,
            env=cluster.env,
            secrets={name: secrets[name] for name in cluster.secrets if name in secrets},
            keep=tuple(sorted(self.wanted() - {digest})),
        )

    def wanted(self) -> set[str]:
        """The snapshots that experiments may still need, and the cluster's own."""
        experiments = self._shell.core.state.experiments.values()
        found = {x.run.snapshot for x in experiments if not x.state.ended or x.active}
        return (found | {self._shell.workdirs.current}) - {""}

    async def close(self) -> None:
        """Gives up what is under way."""
        under_way = [task for machine in self._machines.values() for task in machine.bringing.values()]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _machine(self, instance: str) -> _Machine:
        found, known = self._shell.core.state.instances.get(instance), self._machines.get(instance)
        epoch = 0 if found is None else found.epoch
        if known is None or known.epoch != epoch:
            for task in known.bringing.values() if known is not None else ():
                task.cancel()
            known = self._machines[instance] = _Machine(epoch)
        return known

    def _start(self, instance: str, machine: _Machine, start: Start) -> None:
        digest = start.run.snapshot
        if (furnished := machine.there.get(digest)) is not None:
            self._shell.deliver(instance, _placed(start, furnished))
            return
        machine.attempts[start.attempt] = digest
        machine.waiting.append((digest, start))
        if digest not in machine.bringing:
            machine.bringing[digest] = asyncio.create_task(self._bring(instance, machine, digest))

    async def _bring(self, instance: str, machine: _Machine, digest: str) -> None:
        try:
            outfit = await self.outfit(digest)
            furnished = await self._shell.machines.furnish(instance, outfit)
        except ClustertuneError as error:
            log.warning("%s cannot be made ready for its trials: %s", instance, error)
            retry = not isinstance(error, ProviderFatal)
            del machine.bringing[digest]
            self._shell.handle(e.LaunchFailed(instance=instance, epoch=machine.epoch, error=str(error), retry=retry))
            return
        del machine.bringing[digest]
        machine.there[digest] = furnished
        self._flush(instance, machine, digest)

    def _flush(self, instance: str, machine: _Machine, digest: str) -> None:
        ready = [message for needs, message in machine.waiting if needs == digest]
        machine.waiting = deque(pair for pair in machine.waiting if pair[0] != digest)
        machine.attempts = {name: needs for name, needs in machine.attempts.items() if needs != digest}
        for message in ready:
            self._shell.deliver(
                instance, _placed(message, machine.there[digest]) if isinstance(message, Start) else message
            )


def _placed(start: Start, furnished: Furnished) -> Start:
    """With the paths that the machine has."""
    return replace(start, run=_run_there(start.run, furnished))


def _run_there(run: RunSpec, furnished: Furnished) -> RunSpec:
    inside = run.workdir.strip("/")
    workdir = f"{furnished.workdir}/{inside}" if inside else furnished.workdir
    return replace(run, workdir=workdir, python=run.python or furnished.python)
