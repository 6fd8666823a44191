"""Large things on a slow link do not keep small messages waiting."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from clustertune.provisioner.bootstrap.connection import Connection
from clustertune.provisioner.bootstrap.remote import Ran
from tests.machines.fixture import Machines
from tests.machines.machine import Machine
from tests.provisioner.bootstrap.ssh_user import SshUser, run

ROUND_TRIPS = 25
LARGE_BYTES = 8_000_000
ASK = f"""
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
for _ in range({ROUND_TRIPS}):
    peer.sendall(bytes(160))
    got = b""
    while len(got) < 160:
        got += peer.recv(160)
"""
GET = """
import hashlib, socket, sys
peer, digest = socket.socket(socket.AF_UNIX), hashlib.sha256()
peer.connect(sys.argv[1])
while data := peer.recv(1 << 18):
    digest.update(data)
print(digest.hexdigest())
"""


@contextlib.asynccontextmanager
async def _over_a_slow_link(user: SshUser, machine: Machine, folder: Path) -> AsyncIterator[Connection]:
    """With a socket there that answers, and one that gives something large."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data)
        writer.close()

    async def give(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_large())
        await writer.drain()
        writer.close()

    user.introduce(machine)
    machine.slow_down("16mbit")
    async with (
        await asyncio.start_unix_server(echo, folder / "echo"),
        await asyncio.start_unix_server(give, folder / "give"),
        await user.connect() as connection,
    ):
        await connection.forward("/tmp/echo", folder / "echo")
        await connection.forward("/tmp/give", folder / "give")
        yield connection


def _large() -> bytes:
    return bytes(range(250)) * (LARGE_BYTES // 250)


@pytest.mark.parametrize("way", ["to a command", "through a socket"])
def test_messages_come_through_while_something_large_goes_to_a_machine(
    ssh_machines: Machines, user: SshUser, tmp_path: Path, way: str
) -> None:
    machine = ssh_machines.one()
    ways: dict[str, Callable[[Connection], Coroutine[object, object, Ran]]] = {
        "to a command": lambda connection: connection.run("sha256sum | cut -d' ' -f1", given=_large()),
        "through a socket": lambda connection: connection.run(f"python3 -c '{GET}' /tmp/give"),
    }

    async def main() -> None:
        async with _over_a_slow_link(user, machine, tmp_path) as connection:
            large = asyncio.create_task(ways[way](connection))
            while not machine.processes("sha256sum" if way == "to a command" else "/tmp/give"):
                await asyncio.sleep(0.01)
            await asyncio.to_thread(machine.run, "python3", "-c", ASK, "/tmp/echo")
            assert not large.done()
            assert (await large).output.decode().strip() == hashlib.sha256(_large()).hexdigest()

    run(main())
