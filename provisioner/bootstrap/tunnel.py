"""Keeps a machine connected for as long as it is wanted, and sockets there that lead back here."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from clustertune.model.clock import Clock, SystemClock
from clustertune.model.errors import AnotherMachine, ProviderError, ProviderFatal, ProviderTransient
from clustertune.provisioner.bootstrap.backoff import Backoff
from clustertune.provisioner.bootstrap.connection import Connection

_log = logging.getLogger(__name__)

TELL_LIMIT_S = 60.0
LOOK_AT_CLOCK_S = 1.0
SLEPT_S = 5.0
"""What the wall clock goes further than the monotonic one, which stands while a laptop sleeps."""

LONGEST_SOCKET_PATH = 100  # bytes; the kernel's limit is 107, on macOS 103

Folder = Callable[[Connection], Awaitable[str]]
"""Asks the machine for a folder where sockets can be made."""
Tell = Callable[[Connection, Mapping[str, str]], Awaitable[None]]
"""Tells the machine under which paths there the sockets stand now, by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How things are. Times are wall time; ``problem`` is what went wrong last, None while all is well.

    ``needs_user``: it will not pass by itself; ``another``: somebody else's host key answers there.
    """

    connected_since_s: float | None = None
    problem: str | None = None
    needs_user: bool = False
    another: bool = False
    failures: int = 0
    next_attempt_s: float | None = None


class Tunnel:
    """``async with`` holds it open; ``forwards``: the local sockets, by names that become the ends of paths there.

    ``host_key`` is the fingerprint of the machine that is meant; None: that of the first connection is.
    ``changed`` is called with each new standing, in this loop.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        forwards: Mapping[str, Path],
        *,
        folder: Folder,
        tell: Tell,
        host_key: str | None = None,
        changed: Callable[[Standing], None] = lambda _: None,
        clock: Clock | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._connect, self._forwards, self._folder, self._tell = connect, dict(forwards), folder, tell
        self.host_key, self._changed, self._clock = host_key, changed, clock or SystemClock()
        self._backoff = Backoff(chance or random.Random())  # noqa: S311 - to spread attempts
        self._connection: Connection | None = None
        self._up, self._hurry = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.standing = Standing()

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._keep()), asyncio.create_task(self._look_at_clock())]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def connection(self) -> Connection | None:
        """The one that is open, and whose sockets the machine knows."""
        return self._connection

    async def connected(self) -> Connection:
        """Waits until there is one, for as long as it takes."""
        while self._connection is None or self._connection.is_lost:
            self._up.clear()
            await self._up.wait()
        return self._connection

    def retry_now(self) -> None:
        """The user has mended something, or the network is back: waits no longer."""
        self._backoff.worked()
        self._hurry.set()

    def woke(self) -> None:
        """This computer slept: what was open is probably dead, and what was to be waited for is over."""
        if self._connection is None:
            self.retry_now()
        else:
            self._connection.doubt()

    async def _keep(self) -> None:
        while True:
            self._hurry.clear()
            try:
                await self._hold()
            except ProviderError as error:
                await self._wait_after(error)
            except Exception as error:  # noqa: BLE001 - this task is what must not end
                _log.exception("a tunnel ran into what it does not know")
                await self._wait_after(ProviderTransient(f"{type(error).__name__}: {error}"))

    async def _hold(self) -> None:
        """Returns never: raises what ended it."""
        connection = await self._connect()
        async with connection:
            self._check(connection)
            try:
                async with asyncio.timeout(TELL_LIMIT_S):
                    await self._tell(connection, await self._lead_back(connection))
            except TimeoutError as error:
                raise ProviderTransient(f"{connection.name} takes more than {TELL_LIMIT_S:g} s to be set up") from error
            self._stands(connection)
            try:
                raise ProviderTransient(f"the connection was lost: {await connection.lost()}")
            finally:
                self._connection = None

    def _check(self, connection: Connection) -> None:
        if self.host_key is None:
            self.host_key = connection.host_key
        if connection.host_key != self.host_key:
            raise AnotherMachine(
                f"another machine answers at {connection.name} now: its host key is {connection.host_key}, and was "
                f"{self.host_key}. It is not used; end what ran on the old one, or bring it back",
                known=[self.host_key],
                found=connection.host_key,
            )

    async def _lead_back(self, connection: Connection) -> dict[str, str]:
        """Under fresh paths: those of a connection that died are held by its sshd until that one notices."""
        folder = await self._folder(connection)
        mark = secrets.token_hex(5)
        paths = {name: f"{folder}/{mark}.{name}" for name in self._forwards}
        for name, path in paths.items():
            if len(path.encode()) > LONGEST_SOCKET_PATH:
                raise ProviderFatal(f"{path} is too long for a socket on the machine; it needs a shorter folder")
            await connection.forward(path, self._forwards[name])
        return paths

    def _stands(self, connection: Connection) -> None:
        self._backoff.worked()
        self._connection = connection
        self._up.set()
        self._now(Standing(connected_since_s=self._clock.wall_s()))

    async def _wait_after(self, error: ProviderError) -> None:
        needs_user = isinstance(error, ProviderFatal)
        delay_s = self._backoff.failed(only_the_user=needs_user)
        self._now(
            Standing(
                problem=str(error),
                needs_user=needs_user,
                another=isinstance(error, AnotherMachine),
                failures=self._backoff.failures,
                next_attempt_s=self._clock.wall_s() + delay_s,
            )
        )
        try:
            async with asyncio.timeout(delay_s):
                await self._hurry.wait()
        except TimeoutError:
            return

    def _now(self, standing: Standing) -> None:
        self.standing = standing
        self._changed(standing)

    async def _look_at_clock(self) -> None:
        while True:
            wall_s, steady_s = self._clock.wall_s(), self._clock.monotonic_s()
            await asyncio.sleep(LOOK_AT_CLOCK_S)
            if self._clock.wall_s() - wall_s - (self._clock.monotonic_s() - steady_s) > SLEPT_S:
                self.woke()
