"""A machine that is let go of while it is being looked at, and one that comes back while it is to be ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from clustertune.model.errors import ProviderTransient
from clustertune.provisioner.bootstrap.connection import Connection
from clustertune.provisioner.bootstrap.machine import Machine
from clustertune.provisioner.contracts import LaunchIntent
from tests.machines import machine as there
from tests.machines.fixture import Machines
from tests.provisioner.bootstrap.ssh_user import SshUser, run


class Road:
    """The way to a machine, which may be closed for a while."""

    def __init__(self, user: SshUser, far: there.Machine) -> None:
        user.introduce(far, "far")
        self._user, self.closed = user, False

    async def __call__(self) -> Connection:
        if self.closed:
            raise ProviderTransient("it is off")
        return await self._user.connect("far")


@contextlib.asynccontextmanager
async def launched(user: SshUser, road: Road) -> AsyncIterator[Machine]:
    """With an agent that nobody listens to."""
    machine = Machine("far", road, root=".clustertune/machines/m")
    agent, files = user.folder / "agent.sock", user.folder / "files.sock"
    intent = LaunchIntent(instance="far", epoch=1, token="secret", agent_socket=agent, files_socket=files)
    await machine.launch(intent, lambda _: None)
    try:
        yield machine
    finally:
        await machine.close()


def test_whoever_waits_to_look_at_a_machine_that_is_let_go_meanwhile_is_told_something(
    user: SshUser, ssh_machines: Machines
) -> None:
    far = ssh_machines.one()

    async def main() -> None:
        async with launched(user, Road(user, far)) as machine:
            looks = [asyncio.create_task(machine.exists()) for _ in range(4)]
            await asyncio.sleep(0)
            await machine.close()
            assert all(isinstance(found, bool) for found in await asyncio.gather(*looks))
            assert await machine.exists() is False

    run(main())


def test_a_machine_that_was_off_and_is_back_is_ended_without_waiting_for_the_next_try(
    user: SshUser, ssh_machines: Machines
) -> None:
    far = ssh_machines.one()

    async def main() -> None:
        road = Road(user, far)
        async with launched(user, road) as machine:
            tunnel = machine._tunnel
            assert tunnel is not None
            road.closed, tunnel._backoff.failures = True, 20
            await asyncio.to_thread(far.drop_connections)
            while tunnel.standing.problem is None:
                await asyncio.sleep(0.01)
            road.closed = False
            assert far.processes()
            await machine.end()
            assert not far.processes()

    run(main())
