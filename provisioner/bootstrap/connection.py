"""One SSH connection to a machine: how it comes about, commands over it, and sockets there that lead back here."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import socket
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import asyncssh

from clustertune.model.errors import ProviderError, ProviderFatal, ProviderTransient
from clustertune.provisioner.bootstrap import pacing, ssh_config
from clustertune.provisioner.bootstrap.host_keys import Judge, fingerprint
from clustertune.provisioner.bootstrap.remote import Ran
from clustertune.provisioner.bootstrap.remote_commands import Commands
from clustertune.provisioner.bootstrap.ssh_config import Settings
from clustertune.provisioner.bootstrap.target import Target
from clustertune.provisioner.bootstrap.triage import explain
from clustertune.provisioner.bootstrap.user_keys import UserKeys, gather

CONNECT_LIMIT_S = 15.0
"""For each machine on the way, where ssh_config sets no ConnectTimeout."""

KEEPALIVE_S, KEEPALIVES_MISSED = 3.0, 2
DOUBT_S = 0.7

QUICK_CIPHERS_FIRST = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Half as much again goes through as with chacha20, which asyncssh would prefer: processors have AES built in."""

MOST_JUMPS = 8
CLOSE_LIMIT_S = 2.0


class Connection:
    """A machine that we are logged in to. ``host_key`` is the fingerprint that it showed: who reconnects compares."""

    keepalive_s = KEEPALIVE_S

    def __init__(
        self, name: str, ssh: asyncssh.SSHClientConnection, lost: asyncio.Future[str], before: Connection | None
    ) -> None:
        self.name, self._ssh, self._lost, self._before = name, ssh, lost, before
        self._pace: pacing.Pace = pacing.Pace(ssh, before._pace if before is not None else None)
        self._commands = Commands(ssh, lost, self._pace)
        self._trusting: asyncio.TimerHandle | None = None
        self._sockets: list[str] = []
        key = ssh.get_server_host_key()
        self.host_key = fingerprint(key) if key is not None else ""

    async def run(
        self,
        command: str,
        *,
        given: bytes | AsyncIterable[bytes] = b"",
        heard: Callable[[bytes], None] | None = None,
    ) -> Ran:
        """As Remote has it. What is kept of long outputs is their end: KEPT_BYTES of remote_commands."""
        return await self._commands.run(command, given, heard)

    async def forward(self, there: str, here: Path) -> None:
        """Connections to a unix socket that is made at ``there`` lead to the one at ``here``, while this lasts.

        Raises ProviderFatal where sshd refuses, or the place is none for a socket.
        """
        try:
            await pacing.listen(self._ssh, self._pace, there, str(here))
            self._sockets.append(there)
        except asyncssh.ChannelListenError as error:
            if self._lost.done():
                raise ProviderTransient(f"the connection was lost: {self._lost.result()}") from error
            raise await self._why_no_forward(there) from error
        except (asyncssh.Error, OSError) as error:
            raise ProviderTransient(f"the connection was lost: {error}") from error

    async def lost(self) -> str:
        """Waits until the connection is gone; says why."""
        return await asyncio.shield(self._lost)

    @property
    def is_lost(self) -> bool:
        return self._lost.done()

    def doubt(self) -> None:
        """Asks at once whether the machine still hears: where it does not, the connection is soon lost."""
        if self._lost.done():
            return
        self._ssh.set_keepalive(DOUBT_S, KEEPALIVES_MISSED)
        enough_s = DOUBT_S * (KEEPALIVES_MISSED + 3)
        self._trusting = asyncio.get_running_loop().call_later(enough_s, self._trust)

    def _trust(self) -> None:
        """The usual keepalives."""
        if not self._lost.done():
            self._ssh.set_keepalive(self.keepalive_s, KEEPALIVES_MISSED)

    async def close(self) -> None:
        """Within a bounded time, also where nobody hears it any more."""
        if self._trusting is not None:
            self._trusting.cancel()
        with contextlib.suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._remove_sockets()
        self._ssh.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._ssh.wait_closed()
        self._ssh.abort()
        if self._before is not None:
            await self._before.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _remove_sockets(self) -> None:
        """sshd leaves them lying about."""
        if self._sockets and not self._lost.done():
            await self.run(f"rm -f -- {shlex.join(self._sockets)}")

    async def _why_no_forward(self, there: str) -> ProviderError:
        folder = str(Path(there).parent)
        tried = await self.run(f"test -d {shlex.quote(folder)} && test -w {shlex.quote(folder)}")
        if tried.code != 0:
            return ProviderFatal(f"no socket can be made in {folder} on the machine: it must be a folder of the user's")
        return ProviderFatal(
            f"the machine's sshd makes no socket at {there}: its sshd_config must say `AllowStreamLocalForwarding yes` "
            "(and not `DisableForwarding yes`); then reload sshd and try again"
        )


async def connect(
    target: Target, *, config: Path | None = None, keys: Sequence[str] | None = None, keepalive_s: float = KEEPALIVE_S
) -> Connection:
    """Does what ``ssh`` does for the user, and never asks anything. ``config`` is read instead of the user's own.

    ``keys``: the machine's public host keys, where they are known beforehand; else known_hosts decides.
    A link that is dead is known to be so after three times ``keepalive_s``.
    Raises ProviderTransient where trying again may help, ProviderFatal (ProviderCredentials, AnotherMachine) where not.
    """
    connection = await _connect(target, config, keys, None, MOST_JUMPS)
    connection.keepalive_s = keepalive_s
    connection._trust()
    return connection


async def _connect(
    target: Target, config: Path | None, keys: Sequence[str] | None, before: Connection | None, jumps_left: int
) -> Connection:
    """``before`` is the connection to go through, and ours to close where this comes to nothing."""
    try:
        settings = await ssh_config.read(target, config, through_jumps=before is None)
        for jump in _hops(settings, target, jumps_left) if before is None else ():
            passed, before = before, None  # whoever goes through it closes it from now on
            before = await _through(jump, config, passed, jumps_left - 1)
        return await _log_in(_Way(target, settings, keys, before))
    except BaseException:
        if before is not None:
            await before.close()
        raise


async def _through(jump: Target, config: Path | None, before: Connection | None, jumps_left: int) -> Connection:
    try:
        return await _connect(jump, config, None, before, jumps_left)
    except ProviderError as error:
        error.args = (f"on the way, at the jump host {jump.host}: {error}",)
        raise


def _hops(settings: Settings, target: Target, jumps_left: int) -> list[Target]:
    if settings.jumps and not jumps_left:
        raise ProviderFatal(f"more than {MOST_JUMPS} jumps to {target.host}: does ssh_config lead in a circle?")
    return [Target.parse(jump.removeprefix("ssh://")) for jump in settings.jumps]


@dataclass(frozen=True, slots=True)
class _Way:
    target: Target
    settings: Settings
    keys: Sequence[str] | None
    before: Connection | None


async def _log_in(way: _Way) -> Connection:
    settings, command = way.settings, way.target.ssh_command()
    judge = Judge(settings, command, way.keys)
    identity = way.target.identity.expanduser() if way.target.identity else None
    user_keys = await gather(settings, identity)
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    try:
        async with asyncio.timeout(settings.connect_limit_s or CONNECT_LIMIT_S):
            ssh = await _open(way, judge, user_keys, lost)
    except asyncssh.HostKeyNotVerifiable as error:
        raise judge.verdict(error.reason) from error
    except (asyncssh.Error, OSError, ValueError) as error:
        via = way.before.name if way.before is not None else None
        raise explain(error, settings, user_keys, command, via) from error
    finally:
        await user_keys.close()
    return Connection(settings.where, ssh, lost, way.before)


async def _open(
    way: _Way, judge: Judge, user_keys: UserKeys, lost: asyncio.Future[str]
) -> asyncssh.SSHClientConnection:
    settings = way.settings
    families = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}
    return await asyncssh.connect(
        settings.hostname,
        settings.port,
        tunnel=way.before._ssh if way.before is not None else None,
        # asyncssh takes what comes on standard error for the machine's words, and its end for that of the connection
        proxy_command=["/bin/sh", "-c", f"exec 9>&2 2>/dev/null; exec {settings.proxy_command}"]
        if settings.proxy_command
        else None,
        family=families.get(settings.family, socket.AF_UNSPEC),
        local_addr=(settings.bind_address, 0) if settings.bind_address else None,
        client_factory=lambda: _Client(judge, lost),
        username=settings.user,
        client_keys=user_keys.pairs or None,
        preferred_auth=["gssapi-with-mic", "publickey"] if settings.kerberos else ["publickey"],
        gss_kex=False,
        gss_auth=settings.kerberos,
        agent_path=None,
        known_hosts=cast("tuple[list[str], list[str], list[str]]", judge.trusted()),
        host_key_alias=settings.host_key_alias,
        server_host_key_algs=judge.algorithms(),
        config=None,
        encryption_algs=QUICK_CIPHERS_FIRST,
        keepalive_interval=KEEPALIVE_S,
        keepalive_count_max=KEEPALIVES_MISSED,
        login_timeout=0,
    )


class _Client(asyncssh.SSHClient):
    """What asyncssh asks and tells while a connection lives."""

    def __init__(self, judge: Judge, lost: asyncio.Future[str]) -> None:
        self._judge, self._lost = judge, lost

    def validate_host_public_key(self, _host: str, _addr: str, _port: int, key: asyncssh.SSHKey) -> bool:
        return self._judge.accepts(key)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._lost.done():
            self._lost.set_result(str(exc) if exc is not None else "it was closed")
