"""A machine is kept connected through whatever happens to it, its link and this computer, and its sockets lead here."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from clustertune.model.clock import SystemClock
from clustertune.model.errors import ProviderTransient
from clustertune.provisioner.bootstrap.backoff import LONGEST_S, ONLY_THE_USER_S, Backoff
from clustertune.provisioner.bootstrap.connection import Connection
from clustertune.provisioner.bootstrap.tunnel import Standing, Tunnel
from tests.machines.fixture import Machines
from tests.machines.machine import Machine
from tests.provisioner.bootstrap.ssh_user import SshUser, run

KEEPALIVE_S = 0.3
ASK = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]); print(s.recv(99))"


class SteppedClock(SystemClock):
    """The wall clock goes ``ahead_s`` further: this computer slept."""

    ahead_s = 0.0

    def wall_s(self) -> float:
        return super().wall_s() + self.ahead_s


class Held:
    """A tunnel to one machine, what was told there and what became of it."""

    def __init__(self, user: SshUser, machine: Machine, *, keepalive_s: float = KEEPALIVE_S) -> None:
        self.user, self.machine, self.keepalive_s = user, machine, keepalive_s
        self.told: list[dict[str, str]] = []
        self.standings: list[Standing] = []
        self.failures: list[Exception] = []
        self.clock = SteppedClock()
        self.attempts = 0
        self.host_key: str | None = None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Tunnel]:
        """Each socket says its name."""
        folder = self.user.folder
        async with contextlib.AsyncExitStack() as stack:
            for name in ("link", "files"):
                await stack.enter_async_context(await asyncio.start_unix_server(_says(name), folder / name))
            forwards = {name: folder / name for name in ("link", "files")}
            tunnel = Tunnel(
                self._connect,
                forwards,
                folder=self._folder,
                tell=self._tell,
                changed=self.standings.append,
                clock=self.clock,
                chance=random.Random(1),
                host_key=self.host_key,
            )
            yield await stack.enter_async_context(tunnel)

    async def ask(self, name: str) -> str:
        """What a program on the machine hears at the newest socket of that name."""
        ran = await asyncio.to_thread(self.machine.run, "python3", "-c", ASK, self.told[-1][name])
        return ran.stdout.strip()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.01)

    async def _connect(self) -> Connection:
        self.attempts += 1
        return await self.user.connect(keepalive_s=self.keepalive_s)

    async def _folder(self, connection: Connection) -> str:
        return (await connection.run("echo $HOME")).output.decode().strip()

    async def _tell(self, connection: Connection, paths: Mapping[str, str]) -> None:
        if self.failures:
            raise self.failures.pop()
        await connection.run("true")
        self.told.append(dict(paths))


def _says(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode())
        writer.close()

    return answer


@pytest.fixture
def held(any_machines: Machines, user: SshUser) -> Held:
    machine = any_machines.one()
    user.introduce(machine)
    user.says("*", "ConnectTimeout 1")
    return Held(user, machine)


def test_sockets_on_the_machine_lead_here_while_it_is_held(held: Held) -> None:
    async def main() -> None:
        async with held.open() as tunnel:
            connection = await tunnel.connected()
            assert tunnel.connection is connection
            assert tunnel.host_key == connection.host_key
            assert tunnel.standing.problem is None
            assert tunnel.standing.connected_since_s is not None
            assert [await held.ask(name) for name in ("link", "files")] == ["b'link'", "b'files'"]
        assert connection.is_lost
        assert held.machine.run("sh", "-c", "ls $HOME/*.link", check=False).stdout == ""
        assert not held.machine.processes()

    run(main())


@pytest.mark.parametrize("how", ["dropped", "killed", "frozen", "cut"])
def test_what_breaks_comes_back_under_fresh_paths(held: Held, how: str) -> None:
    machine = held.machine
    breaks: dict[str, Callable[[], None]] = {
        "dropped": machine.drop_connections,
        "killed": machine.kill,
        "frozen": machine.freeze,
        "cut": machine.cut,
    }
    mends: dict[str, Callable[[], None]] = {"killed": machine.start, "frozen": machine.thaw, "cut": machine.heal}

    async def main() -> None:
        async with held.open() as tunnel:
            first = await tunnel.connected()
            await asyncio.to_thread(breaks[how])
            await held.until(lambda: tunnel.standing.problem is not None)
            assert tunnel.connection is None
            assert not tunnel.standing.needs_user
            assert tunnel.standing.next_attempt_s is not None
            if how != "dropped":
                await held.until(lambda: tunnel.standing.failures > 1)
                await asyncio.to_thread(mends[how])
                tunnel.retry_now()
            second = await tunnel.connected()
            assert second is not first
            assert held.told[0]["link"] != held.told[1]["link"]
            assert await held.ask("link") == "b'link'"
            assert tunnel.standing.failures == 0

    run(main())


def test_another_machine_at_the_address_is_not_used_and_the_old_one_is_when_it_is_back(
    ssh_machines: Machines, held: Held
) -> None:
    async def main() -> None:
        async with held.open() as tunnel:
            known = (await tunnel.connected()).host_key
            old = held.machine.place.folder / "etc/ssh/host_key"
            key = old.read_bytes()
            await asyncio.to_thread(held.machine.kill)
            await asyncio.to_thread(held.machine.start, new_host_key=True)
            held.user.known_hosts.write_text("")
            held.user.knows(held.machine)  # the user trusts it; it is another one all the same
            tunnel.retry_now()
            await held.until(lambda: tunnel.standing.another)
            assert tunnel.standing.needs_user
            assert "another machine answers" in (tunnel.standing.problem or "")
            assert len(held.told) == 1
            assert tunnel.connection is None
            old.write_bytes(key)
            held.user.known_hosts.write_text(
                held.user.known_hosts.read_text() + f"{held.machine.address} {_public(key)}"
            )
            await asyncio.to_thread(held.machine.kill)
            await asyncio.to_thread(held.machine.start)
            tunnel.retry_now()
            assert (await tunnel.connected()).host_key == known

    run(main())


def _public(key: bytes) -> str:
    import asyncssh

    return asyncssh.import_private_key(key).export_public_key().decode()


def test_a_machine_that_is_not_the_one_from_before_a_restart_is_not_used(held: Held) -> None:
    held.host_key = "ssh-ed25519 SHA256:of-another-day"

    async def main() -> None:
        async with held.open() as tunnel:
            await held.until(lambda: tunnel.standing.another)
            assert not held.told

    run(main())


def test_a_machine_that_cannot_be_told_is_tried_again(held: Held) -> None:
    held.failures = [ProviderTransient("the disk is full"), ValueError("our own mistake")]

    async def main() -> None:
        async with held.open() as tunnel:
            await tunnel.connected()
        problems = [standing.problem for standing in held.standings]
        assert problems == ["ValueError: our own mistake", "the disk is full", None]

    run(main())


def test_a_machine_that_does_not_listen_is_tried_again(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clustertune.provisioner.bootstrap.tunnel.TELL_LIMIT_S", 0.2)

    async def never(_: Connection, __: Mapping[str, str]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(held, "_tell", never)

    async def main() -> None:
        async with held.open() as tunnel:
            await held.until(lambda: tunnel.standing.failures > 1)
            assert "takes more than 0.2 s to be set up" in (tunnel.standing.problem or "")
            assert not tunnel.standing.needs_user

    run(main())


def test_a_server_that_refuses_sockets_is_for_the_user_to_mend(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one(sshd=("AllowStreamLocalForwarding no",))
    user.introduce(machine)
    held = Held(user, machine)

    async def main() -> None:
        async with held.open() as tunnel:
            await held.until(lambda: tunnel.standing.needs_user)
            assert "AllowStreamLocalForwarding yes" in (tunnel.standing.problem or "")
            assert not tunnel.standing.another
        assert not machine.processes()

    run(main())


def test_after_a_sleep_a_dead_link_is_noticed_without_waiting_for_keepalives(held: Held) -> None:
    held.keepalive_s = 1000.0

    async def main() -> None:
        async with held.open() as tunnel:
            await tunnel.connected()
            held.machine.cut()
            held.clock.ahead_s += 3600
            await held.until(lambda: tunnel.standing.problem is not None)
            held.machine.heal()
            tunnel.retry_now()
            await tunnel.connected()

    run(main())


def test_a_clock_that_steps_costs_no_connection(held: Held) -> None:
    async def main() -> None:
        async with held.open() as tunnel:
            connection = await tunnel.connected()
            for _ in range(3):
                held.clock.ahead_s += 3600
                tunnel.woke()
                await asyncio.sleep(0.1)
            assert (await connection.run("echo here")).output == b"here\n"
            assert tunnel.connection is connection
            assert held.attempts == 1

    run(main())


def test_after_a_sleep_nothing_is_waited_for(held: Held) -> None:
    held.machine.kill()

    async def main() -> None:
        async with held.open() as tunnel:
            while (next_attempt_s := tunnel.standing.next_attempt_s or 0.0) < held.clock.wall_s() + 10:
                tunnel.retry_now()
                tunnel._backoff.failures = 10  # as after minutes
                await asyncio.sleep(0.01)
            await asyncio.to_thread(held.machine.start)
            held.clock.ahead_s += 3600
            await tunnel.connected()
            assert SystemClock().wall_s() < next_attempt_s

    run(main())


@pytest.mark.parametrize("when", ["connecting", "connected", "waiting", "cut"])
def test_closing_leaves_nothing_whenever_it_comes(held: Held, when: str) -> None:
    async def main() -> None:
        async with held.open() as tunnel:
            if when in ("connected", "cut"):
                await tunnel.connected()
            if when == "cut":
                held.machine.cut()
            if when == "waiting":
                held.machine.kill()
                await held.until(lambda: tunnel.standing.problem is not None)
        own = asyncio.current_task()
        assert [task for task in asyncio.all_tasks() if task is not own and "tunnel" in repr(task)] == []

    run(main())


def test_paths_that_are_too_long_for_a_socket_are_said(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    async def long(_: Connection) -> str:
        return "/tmp/" + secrets.token_hex(50)

    monkeypatch.setattr(held, "_folder", long)

    async def main() -> None:
        async with held.open() as tunnel:
            await held.until(lambda: tunnel.standing.needs_user)
            assert "too long for a socket" in (tunnel.standing.problem or "")

    run(main())


def test_attempts_come_further_and_further_apart_up_to_a_bound() -> None:
    backoff = Backoff(random.Random(1))
    waits = [backoff.failed() for _ in range(20)]
    assert waits[0] <= 0.5
    assert all(LONGEST_S / 2 <= wait <= LONGEST_S for wait in waits[8:])
    assert len(set(waits)) == 20
    assert backoff.failed(only_the_user=True) >= ONLY_THE_USER_S / 2
    backoff.worked()
    assert backoff.failed() <= 0.5
