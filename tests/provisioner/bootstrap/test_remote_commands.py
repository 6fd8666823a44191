"""Commands over a connection are fed and heard while they run, and end with whoever waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from clustertune.model.errors import ProviderTransient
from tests.machines.fixture import Machines
from tests.provisioner.bootstrap.ssh_user import SshUser, run


async def _parts() -> AsyncIterator[bytes]:
    for letter in b"abc":
        yield bytes([letter]) * 100_000


def test_commands_are_fed_and_heard_while_they_run(any_machines: Machines, user: SshUser) -> None:
    user.introduce(any_machines.one())
    heard = bytearray()

    async def main() -> None:
        async with await user.connect() as connection:
            ran = await connection.run("cat; echo done >&2; exit 3", given=_parts(), heard=heard.extend)
            assert ran.code == 3
            assert ran.output == b"a" * 100_000 + b"b" * 100_000 + b"c" * 100_000
            assert ran.errors == bytes(heard) == b"done\n"
            assert (await connection.run("kill -9 $$")).code is None
            assert (await connection.run("exec 0<&-; echo enough", given=b"x" * 5_000_000)).output == b"enough\n"

    run(main())


def test_the_end_of_a_long_output_is_kept(any_machines: Machines, user: SshUser) -> None:
    user.introduce(any_machines.one())

    async def main() -> None:
        async with await user.connect() as connection:
            ran = await connection.run("head -c 30000000 /dev/zero; echo last")
            assert len(ran.output) <= 4 << 20
            assert ran.output.endswith(b"\0last\n")

    run(main())


@pytest.mark.parametrize("sshd", [(), ("MaxSessions 2",), ("MaxSessions 1",)])
def test_more_commands_at_once_than_sshd_allows_wait_for_each_other(
    ssh_machines: Machines, user: SshUser, sshd: tuple[str, ...]
) -> None:
    user.introduce(ssh_machines.one(sshd=sshd))

    async def main() -> None:
        async with await user.connect() as connection:
            said = await asyncio.gather(*(connection.run(f"sleep 0.05; echo {number}") for number in range(30)))
            assert [ran.output for ran in said] == [f"{number}\n".encode() for number in range(30)]

    run(main())


@pytest.mark.parametrize("command", ["sleep 1000; true", "trap '' TERM; while true; do sleep 1; done"])
def test_a_command_that_nobody_waits_for_any_more_is_ended(ssh_machines: Machines, user: SshUser, command: str) -> None:
    machine = ssh_machines.one()
    user.introduce(machine)

    async def main() -> None:
        async with await user.connect() as connection:
            running = asyncio.create_task(connection.run(f"echo here >&2; {command}"))
            while not machine.processes("sleep"):
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            while machine.processes("trap") or machine.processes("sleep 1000"):
                await asyncio.sleep(0.01)
            assert (await connection.run("echo still here")).output == b"still here\n"

    run(main())


@pytest.mark.parametrize("how", ["drop_connections", "cut", "kill"])
def test_a_connection_that_is_lost_while_something_large_is_sent_says_so(
    ssh_machines: Machines, user: SshUser, how: str
) -> None:
    machine = ssh_machines.one()
    user.introduce(machine)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    async def main() -> None:
        async with await user.connect(keepalive_s=0.3) as connection:
            running = asyncio.create_task(connection.run("cat > /dev/null", given=endless()))
            while not machine.processes("cat"):
                await asyncio.sleep(0.01)
            getattr(machine, how)()
            with pytest.raises(ProviderTransient, match="the connection was lost"):
                await running

    run(main())


def test_a_command_whose_input_cannot_be_had_is_ended_and_the_reason_told(
    ssh_machines: Machines, user: SshUser
) -> None:
    machine = ssh_machines.one()
    user.introduce(machine)

    async def fails() -> AsyncIterator[bytes]:
        yield b"some"
        raise FileNotFoundError("the file is gone")

    async def main() -> None:
        async with await user.connect() as connection:
            with pytest.raises(FileNotFoundError, match="the file is gone"):
                await connection.run("cat; sleep 1000", given=fails())
            assert (await connection.run("true")).code == 0

    run(main())
