"""Where there are no namespaces, what does not need them can be tried all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from clustertune.model.errors import AnotherMachine, ProviderTransient
from clustertune.provisioner.bootstrap.connection import Connection, connect
from clustertune.provisioner.bootstrap.target import Target
from tests.machines.image import Image
from tests.machines.in_process import InProcessMachine

WHY = "this is a test of it"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[InProcessMachine]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "key").write_bytes(key.export_private_key())
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key.pub").write_bytes(key.export_public_key())
    (tmp_path / "config").touch()
    found = InProcessMachine(tmp_path / "machine", tmp_path / "key", Image(), WHY)
    found.start()
    yield found
    found.remove()


async def log_in(machine: InProcessMachine, keys: list[str] | None = None) -> Connection:
    target = Target(host=machine.address, port=machine.port, user=machine.user, identity=machine.key)
    return await connect(target, config=machine.key.with_name("config"), keys=keys or [machine.host_key])


def test_commands_are_run_and_sockets_lead_back(machine: InProcessMachine, tmp_path: Path) -> None:
    async def main() -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        async with await asyncio.start_unix_server(greet, tmp_path / "here"), await log_in(machine) as connection:
            ran = await connection.run("cat; pwd; echo oh >&2; exit 3", given=b"given ")
            assert (ran.code, ran.output, ran.errors) == (3, f"given {machine.home}\n".encode(), b"oh\n")
            await connection.forward(str(tmp_path / "there"), tmp_path / "here")
            reader, writer = await asyncio.open_unix_connection(tmp_path / "there")
            assert await reader.read() == b"hello"
            writer.close()

    asyncio.run(main())


def test_it_goes_off_and_comes_back_with_the_same_key_or_another(machine: InProcessMachine) -> None:
    async def main() -> None:
        connection = await log_in(machine)
        running = asyncio.create_task(connection.run("sleep 1000"))
        while not machine.processes("sleep"):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(machine.kill)
        with pytest.raises(ProviderTransient):
            await running
        assert not machine.processes()
        await connection.close()
        with pytest.raises(ProviderTransient, match="refuses connections"):
            await log_in(machine)
        key = machine.host_key
        machine.start(new_host_key=True)
        with pytest.raises(AnotherMachine):
            await log_in(machine, [key])
        async with await log_in(machine) as again:
            assert (await again.run("echo back")).output == b"back\n"

    asyncio.run(main())


@pytest.mark.parametrize("what", ["cut", "freeze"])
def test_what_it_cannot_do_skips_the_test_with_the_reason(machine: InProcessMachine, what: str) -> None:
    with pytest.raises(pytest.skip.Exception, match=WHY):
        getattr(machine, what)()
