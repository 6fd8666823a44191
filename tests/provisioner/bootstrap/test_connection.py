"""Connecting does what ``ssh HOST`` does, asks nothing, and says what to do where it does not work."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clustertune.model.errors import ProviderCredentials, ProviderError, ProviderFatal, ProviderTransient
from clustertune.provisioner.bootstrap.connection import connect
from clustertune.provisioner.bootstrap.target import Target
from tests.machines.fixture import Machines
from tests.provisioner.bootstrap.ssh_user import SshUser, new_key, run, ssh_agent


def test_an_alias_of_ssh_config_is_enough(any_machines: Machines, user: SshUser) -> None:
    machine = any_machines.one()
    user.introduce(machine)

    async def main() -> None:
        async with await user.connect() as connection:
            assert (await connection.run("echo $USER")).output == b"ubuntu\n"
            assert connection.host_key.startswith("ssh-ed25519 SHA256:")

    run(main())


def test_what_a_definition_says_wins_over_ssh_config(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one(sshd=("Port 2222",))
    user.says(machine.address, "Port 1", "User nobody")
    line = f"[{machine.address}]:2222 {machine.host_key}\n"
    user.known_hosts.write_text(line)

    async def main() -> None:
        target = Target(host=machine.address, user="ubuntu", port=2222, identity=user.key)
        async with await connect(target, config=user.config) as connection:
            assert (await connection.run("echo in")).output == b"in\n"

    run(main())


def test_ipv6_addresses_are_reached(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    user.knows(machine)
    user.says("*", f"IdentityFile {user.key}")

    async def main() -> None:
        async with await connect(Target.parse(f"ubuntu@[{machine.address6}]:22"), config=user.config) as connection:
            assert (await connection.run("echo six")).output == b"six\n"

    run(main())


def test_a_machine_behind_others_is_reached_through_them(ssh_machines: Machines, user: SshUser) -> None:
    outer, middle, inner = ssh_machines(3)
    for name, machine in (("outer", outer), ("middle", middle)):
        user.introduce(machine, name)
    user.knows(inner)
    user.says("inner", f"HostName {inner.address}", f"IdentityFile {user.key}", "ProxyJump outer,middle")

    async def main() -> None:
        async with await user.connect("inner") as connection:
            said = (await connection.run("hostname; echo $SSH_CLIENT")).output.decode()
            assert said.split()[:2] == [inner.name, middle.address]
        assert not any(machine.processes("sshd: ubuntu") for machine in (outer, middle, inner))

    run(main())


def test_a_jump_of_the_definition_is_taken(ssh_machines: Machines, user: SshUser) -> None:
    outer, inner = ssh_machines(2)
    user.introduce(outer, "outer")
    user.introduce(inner, "inner")

    async def main() -> None:
        async with await connect(Target(host="inner", jump="outer"), config=user.config) as connection:
            assert outer.address.encode() in (await connection.run("echo $SSH_CLIENT")).output

    run(main())


def test_what_fails_on_the_way_names_the_machine_where_it_did(ssh_machines: Machines, user: SshUser) -> None:
    outer, inner = ssh_machines.one(sshd=("AllowTcpForwarding no",)), ssh_machines.one()
    user.introduce(outer, "outer")
    user.knows(inner)
    user.says("inner", f"HostName {inner.address}", f"IdentityFile {user.key}", "ProxyJump outer")
    user.says("lost", f"HostName {inner.address}", "ProxyJump nowhere.invalid")
    with pytest.raises(ProviderFatal, match=f"{outer.address} forwards no connections to {inner.address}.*AllowTcp"):
        run(user.connect("inner"))
    with pytest.raises(ProviderFatal, match=r"jump host nowhere.invalid: there is no host 'nowhere.invalid'"):
        run(user.connect("lost"))


@pytest.mark.parametrize("last", ["nowhere.invalid", "-x", "inner"])
def test_a_way_that_ends_half_way_leaves_no_connection(ssh_machines: Machines, user: SshUser, last: str) -> None:
    outer, inner = ssh_machines(2)
    user.introduce(outer, "outer")
    user.says("inner", f"HostName {inner.address}")  # its host key is not known
    user.says("gpu", f"HostName {inner.address}", f"ProxyJump outer,{last}")

    async def main() -> None:
        with pytest.raises(ProviderError):
            await user.connect()
        assert not _connects_to(outer.address)

    run(main())


def test_jumps_in_a_circle_end(any_machines: Machines, user: SshUser) -> None:
    user.says("one", "ProxyJump two")
    user.says("two", "ProxyJump one")
    with pytest.raises(ProviderFatal, match="circle"):
        run(user.connect("one"))


def test_a_proxy_command_is_run_and_what_it_says_on_standard_error_does_no_harm(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine = ssh_machines.one()
    pipe = tmp_path / "pipe.py"
    pipe.write_text(_PIPE)
    user.knows(machine)
    command = f"ProxyCommand python3 {pipe} %h %p"
    user.says("gpu", f"HostName {machine.address}", f"IdentityFile {user.key}", command)

    async def main() -> None:
        async with await user.connect() as connection:
            assert (await connection.run("echo through")).output == b"through\n"

    run(main())


_PIPE = """
import os, select, socket, sys
print("chatter", file=sys.stderr, flush=True)
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    for ready in select.select([0, peer], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else peer.recv(65536)
        if not data:
            sys.exit()
        peer.sendall(data) if ready == 0 else os.write(1, data)
"""


def test_keys_that_an_agent_holds_are_used_also_where_their_files_are_encrypted(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine = ssh_machines.one()
    user.knows(machine)
    user.says("gpu", f"HostName {machine.address}", "IdentityFile none")
    with ssh_agent(tmp_path, new_key(tmp_path / "other"), user.key) as agent:
        user.says("*", f"IdentityAgent {agent}")

        async def main() -> None:
            async with await user.connect() as connection:
                assert (await connection.run("echo agent")).output == b"agent\n"

        run(main())


def test_only_the_named_keys_of_an_agent_are_offered_where_ssh_config_says_so(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine = ssh_machines.one(sshd=("MaxAuthTries 3",))
    user.knows(machine)
    keys = [new_key(tmp_path / f"other{number}") for number in range(4)]
    with ssh_agent(tmp_path, *keys, user.key) as agent:
        way = (f"HostName {machine.address}", f"IdentityAgent {agent}")
        user.says("many", *way, "IdentityFile none")
        user.says("one", *way, "IdentitiesOnly yes", f"IdentityFile {user.key}")
        with pytest.raises(ProviderCredentials, match=r"only so many keys.*IdentitiesOnly"):
            run(user.connect("many"))

        async def main() -> None:
            async with await user.connect("one") as connection:
                assert (await connection.run("true")).code == 0

        run(main())


def test_who_is_not_let_in_hears_which_keys_were_offered_and_which_were_not(
    ssh_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    machine = ssh_machines.one()
    user.knows(machine)
    wrong, locked = new_key(tmp_path / "wrong"), new_key(tmp_path / "locked", passphrase="secret")
    user.says("gpu", f"HostName {machine.address}", f"IdentityFile {wrong}", f"IdentityFile {locked}")
    with pytest.raises(ProviderCredentials) as denied:
        run(user.connect())
    text = str(denied.value)
    assert f"({wrong})" in text
    assert f"{locked} is encrypted, and no ssh-agent holds it: run `ssh-add {locked}`" in text
    assert "`ssh gpu` works without a password" in text


@pytest.mark.parametrize(
    ("make", "told"), [("missing", "is not there"), ("locked", "ssh-add"), ("rubbish", "cannot be used")]
)
def test_a_key_that_was_asked_for_by_name_and_cannot_be_used_is_said_at_once(
    any_machines: Machines, user: SshUser, tmp_path: Path, make: str, told: str
) -> None:
    identity = tmp_path / make
    if make == "locked":
        new_key(identity, passphrase="secret")
    if make == "rubbish":
        identity.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nnone\n")
    target = Target(host="127.0.0.1", identity=identity)
    with pytest.raises(ProviderCredentials, match=told):
        run(connect(target, config=user.config))


def test_an_agent_that_hangs_is_done_without(any_machines: Machines, user: SshUser, tmp_path: Path) -> None:
    machine = any_machines.one()
    user.introduce(machine)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        user.says("*", f"IdentityAgent {tmp_path / 'silent'}")

        async def main() -> None:
            async with await user.connect() as connection:
                assert (await connection.run("true")).code == 0

        run(main())


def test_machines_that_cannot_be_reached_may_be_later(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    user.introduce(machine)
    user.says("*", "ConnectTimeout 2")
    machine.freeze()
    with pytest.raises(ProviderTransient, match="does not answer in time"):
        run(user.connect())
    machine.thaw()
    machine.kill()
    with pytest.raises(ProviderTransient, match=r"does not answer in time|no way to"):
        run(user.connect())
    with pytest.raises(ProviderTransient, match="refuses connections: no sshd listens on port 1 there"):
        run(connect(Target(host="127.0.0.1", port=1), config=user.config))


def test_names_that_do_not_exist_and_configurations_that_make_no_sense_are_the_users_to_mend(
    any_machines: Machines, user: SshUser, tmp_path: Path
) -> None:
    with pytest.raises(ProviderFatal, match=r"no host 'nowhere.invalid'.*spelling"):
        run(user.connect("nowhere.invalid"))
    user.config.write_text("Host gpu\n  Nonsense yes\n")
    with pytest.raises(ProviderFatal, match=r"(?i)config: line 2: bad configuration option: nonsense"):
        run(user.connect())
    with pytest.raises(ProviderFatal, match="cannot be read"):
        run(connect(Target(host="gpu"), config=tmp_path / "missing"))


def test_a_peer_that_is_no_ssh_server_is_told(any_machines: Machines, user: SshUser) -> None:
    async def main() -> None:
        server = await asyncio.start_server(_say_nonsense, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            with pytest.raises((ProviderTransient, ProviderFatal), match=r"127\.0\.0\.1"):
                await connect(Target(host="127.0.0.1", port=port), config=user.config)

    run(main())


async def _say_nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" + os.urandom(5000))
    writer.close()


def test_cancelled_connects_leave_nothing(ssh_machines: Machines, user: SshUser) -> None:
    machine = ssh_machines.one()
    user.introduce(machine)
    machine.freeze()

    async def main() -> None:
        connecting = asyncio.create_task(user.connect())
        while not [task for task in asyncio.all_tasks() if task not in (connecting, asyncio.current_task())]:
            if _connects_to(machine.address):
                break
            await asyncio.sleep(0.01)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert not _connects_to(machine.address)

    run(main())


def _connects_to(address: str) -> bool:
    """Whether a TCP connection of this process goes there."""
    import psutil

    return any(each.raddr and each.raddr[0] == address for each in psutil.Process().net_connections("tcp"))


@pytest.mark.parametrize("how", ["dropped", "killed", "frozen", "cut"])
def test_a_connection_that_is_lost_says_so_to_whoever_waits(ssh_machines: Machines, user: SshUser, how: str) -> None:
    machine = ssh_machines.one()
    user.introduce(machine)

    async def main() -> None:
        async with await user.connect(keepalive_s=0.3) as connection:
            running = asyncio.create_task(connection.run("sleep 1000"))
            while not machine.processes("sleep"):
                await asyncio.sleep(0.01)
            if how == "killed":
                machine.kill(silently=False)
            else:
                {"dropped": machine.drop_connections, "frozen": machine.freeze, "cut": machine.cut}[how]()
            with pytest.raises(ProviderTransient, match="the connection was lost"):
                await running
            assert await connection.lost()
            with pytest.raises(ProviderTransient, match="the connection was lost"):
                await connection.run("true")
            with pytest.raises(ProviderTransient, match="the connection was lost"):
                await connection.forward("/tmp/any", Path("/tmp/any"))
        machine.thaw()
        machine.heal()

    run(main())


def test_many_machines_at_once_and_one_that_hangs_holds_back_nobody(ssh_machines: Machines, user: SshUser) -> None:
    machines = ssh_machines(8)
    user.says("*", "ConnectTimeout 3")
    for number, machine in enumerate(machines):
        user.introduce(machine, f"gpu-{number}")
    machines[0].freeze()

    async def visit(number: int) -> bytes:
        async with await user.connect(f"gpu-{number}") as connection:
            return (await connection.run("hostname")).output

    async def main() -> None:
        hanging = asyncio.create_task(visit(0))
        names = await asyncio.gather(*(visit(number) for number in range(1, 8)))
        assert names == [f"{machine.name}\n".encode() for machine in machines[1:]]
        assert not hanging.done()
        with pytest.raises(ProviderTransient):
            await hanging

    run(main())


def test_it_works_in_the_loop_of_any_thread(any_machines: Machines, user: SshUser) -> None:
    user.introduce(any_machines.one())

    async def main() -> bytes:
        async with await user.connect() as connection:
            return (await connection.run("echo there")).output

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(lambda _: run(main()), range(6))) == [b"there\n"] * 6


def test_a_socket_there_leads_here(ssh_machines: Machines, user: SshUser, tmp_path: Path) -> None:
    machine = ssh_machines.one()
    user.introduce(machine)

    async def main() -> None:
        server = await asyncio.start_unix_server(_echo, tmp_path / "here")
        async with server, await user.connect() as connection:
            await connection.forward("/tmp/there", tmp_path / "here")
            talks = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('/tmp/there'); {_TALK}"
            ran = await connection.run(f'python3 -c "{talks}"')
            assert ran.output == b"300000\n", ran
            assert stat.S_IMODE(int((await connection.run("stat -c %a /tmp/there")).output, 8)) == 0o600

    run(main())


_TALK = "s.sendall(b'x' * 300000); s.shutdown(1); print(len(s.makefile('rb').read()))"


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(-1))
    await writer.drain()
    writer.close()


def test_where_no_socket_can_be_made_the_remedy_is_said(ssh_machines: Machines, user: SshUser, tmp_path: Path) -> None:
    user.introduce(ssh_machines.one(sshd=("AllowStreamLocalForwarding no",)))

    async def main() -> None:
        async with await user.connect() as connection:
            with pytest.raises(ProviderFatal, match="must say `AllowStreamLocalForwarding yes`"):
                await connection.forward("/tmp/there", tmp_path / "here")
            with pytest.raises(ProviderFatal, match="no socket can be made in /root/x on the machine"):
                await connection.forward("/root/x/there", tmp_path / "here")

    run(main())
