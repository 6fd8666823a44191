"""One machine of the user's: brought from a login to a working agent, kept connected, and let go."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clustertune.model.errors import ProviderError, ProviderFatal, ProviderTransient
from clustertune.provisioner.bootstrap.agent_file import agent_file
from clustertune.provisioner.bootstrap.connection import Connection
from clustertune.provisioner.bootstrap.outfitting import fingerprint, outfit
from clustertune.provisioner.bootstrap.probe import NoPython, probe
from clustertune.provisioner.bootstrap.tunnel import Standing, Tunnel
from clustertune.provisioner.bootstrap.verbs import Verbs
from clustertune.provisioner.contracts import Furnished, LaunchIntent, Outfit, Tell

LOOK_AGAIN_S = 2.0
LOOK_LIMIT_S = 10.0
REACH_TO_END_S = 20.0
"""How long a machine that is to be ended, and is not connected, is waited for."""

Connect = Callable[[], Awaitable[Connection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _There:
    """What the last look at the machine showed. ``at_s`` is on the monotonic clock."""

    verbs: Verbs
    machine: str
    epoch: int | None
    at_s: float


class Machine:
    """All calls belong to one event loop. ``root`` is our folder there, relative to the home folder.

    ``slots``: how many trials run at once, where this machine has a number of its own.
    """

    def __init__(self, name: str, connect: Connect, *, root: str, slots: int | None = None) -> None:
        self.name, self._connect, self._root, self._slots = name, connect, root, slots
        self._intent: LaunchIntent | None = None
        self._tunnel: Tunnel | None = None
        self._there: _There | None = None
        self._last: Verbs | None = None
        self._paths: dict[str, str] = {}
        self._machine_id = ""
        self._heard = asyncio.Event()
        self._gone = asyncio.Event()
        self._looking = asyncio.Lock()
        self._changing = asyncio.Lock()
        self._launching: asyncio.Task[None] | None = None
        self._started = False
        self._may_be_there = True
        """Whether an agent of ours may live there: not where the last look found none, and nothing was begun since."""
        self._outfitting = asyncio.Lock()
        self._furnished: dict[tuple[str, str], Furnished] = {}

    @property
    def epoch(self) -> int | None:
        """Of the last launch; None while there is none."""
        return self._intent.epoch if self._intent is not None else None

    async def launch(self, intent: LaunchIntent, tell: Tell) -> None:
        """Raises ProviderError; nothing is left connected then."""
        async with self._changing:
            if self.epoch == intent.epoch and self._started:
                return
            self._launching = asyncio.ensure_future(self._launch(intent, tell))
            try:
                await self._launching
            except asyncio.CancelledError:
                if not self._launching.cancelled():
                    self._launching.cancel()
                    raise
                raise ProviderTransient("it was let go while it was coming up") from None
            finally:
                self._launching = None

    async def _launch(self, intent: LaunchIntent, tell: Tell) -> None:
        await self._let_go()
        self._intent, self._started = intent, False
        try:
            tell("connecting")
            verbs = await self._first_connection()
            await self._outfit(intent.outfit, tell)
            tell("starting the agent")
            self._may_be_there = True
            await verbs.ask("start", self._enrolment(intent))
            self._started = True
            self._there = None
        except BaseException:
            await self._let_go()
            raise

    async def adopt(self, intent: LaunchIntent) -> None:
        """Connects in time to what an earlier coordinator launched."""
        async with self._changing:
            await self._let_go()
            self._intent, self._started = intent, True
            await self._open()

    async def furnish(self, wanted: Outfit, tell: Tell) -> Furnished:
        """Waits for the connection where there is none now. Raises ProviderError."""
        if self._tunnel is None:
            raise ProviderTransient("it is not there")
        connected, let_go = (asyncio.ensure_future(each) for each in (self._tunnel.connected(), self._gone.wait()))
        try:
            await asyncio.wait([connected, let_go], return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected.cancel()
            let_go.cancel()
        return await self._outfit(wanted, tell)

    async def _outfit(self, wanted: Outfit, tell: Tell) -> Furnished:
        """Once for each that is wanted: what is there stays there until it is neither wanted nor to be kept."""
        key = (wanted.snapshot.digest if wanted.snapshot is not None else "", fingerprint(wanted))
        async with self._outfitting:
            if key not in self._furnished:
                furnished = await outfit(self._verbs(), wanted, tell)
                stays = {key[0], *wanted.keep}
                self._furnished = {known: it for known, it in self._furnished.items() if known[0] in stays}
                self._furnished[key] = furnished
            return self._furnished[key]

    async def exists(self) -> bool:
        """Whether the agent of the last launch lives. In doubt it does."""
        if self._tunnel is None:
            return False
        if self._tunnel.standing.another:
            return False
        connection = self._tunnel.connection  # it may be let go of while we wait for our turn
        if self._launching is not None or connection is None:
            return True
        try:
            async with asyncio.timeout(LOOK_LIMIT_S), self._looking:
                there = await self._look_again(connection)
        except (TimeoutError, ProviderError):
            return True
        return there.epoch == self.epoch and there.machine == self._machine_id

    async def end(self) -> None:
        """The agent ends, the connection closes. Raises ProviderError where the machine cannot be reached."""
        self._give_up_launch()
        async with self._changing:
            if self._tunnel is not None:
                await self._end(self._tunnel)
            elif self._may_be_there:
                await self._visit()

    def _give_up_launch(self) -> None:
        if self._launching is not None:
            self._launching.cancel()

    async def _visit(self) -> None:
        """It was given up, and may be back, with an agent that knows of nothing."""
        async with await self._connect() as connection:
            with contextlib.suppress(NoPython):
                await self._settle(connection)
                if self._may_be_there:
                    await self._stop()

    async def _stop(self) -> None:
        await self._verbs().ask("stop")
        self._may_be_there = False

    async def _end(self, tunnel: Tunnel) -> None:
        tunnel.retry_now()
        try:
            async with asyncio.timeout(REACH_TO_END_S):
                await tunnel.connected()
            await self._stop()
        except TimeoutError:
            raise ProviderTransient(
                f"it cannot be reached ({tunnel.standing.problem}); an agent that is left there ends its trials "
                "once it has heard nothing for two hours"
            ) from None
        finally:
            await self._let_go()

    async def words(self) -> str:
        """The end of the agent's log, else what is in the way of reading it."""
        if self._tunnel is None or self._tunnel.connection is None:
            return self._tunnel.standing.problem or "" if self._tunnel is not None else ""
        try:
            async with asyncio.timeout(LOOK_LIMIT_S):
                return str((await self._verbs().ask("words")).get("text", ""))
        except (TimeoutError, ProviderError) as error:
            return str(error)

    async def close(self) -> None:
        """Lets go of the connection alone."""
        self._give_up_launch()
        async with self._changing:
            await self._let_go()

    # The tunnel

    async def _open(self) -> Tunnel:
        assert self._intent is not None  # noqa: S101 - whoever opens has an intent
        self._heard.clear()
        self._gone.clear()
        forwards = {"agent": self._intent.agent_socket, "files": self._intent.files_socket}
        self._tunnel = Tunnel(self._connect, forwards, folder=self._settle, tell=self._reach, changed=self._changed)
        await self._tunnel.__aenter__()
        return self._tunnel

    def _changed(self, standing: Standing) -> None:
        del standing
        self._heard.set()

    async def _first_connection(self) -> Verbs:
        tunnel = await self._open()
        await self._heard.wait()
        if (problem := tunnel.standing.problem) is not None:
            raise (ProviderFatal if tunnel.standing.needs_user else ProviderTransient)(problem)
        return self._verbs()

    async def _settle(self, connection: Connection) -> str:
        """After each connection: the agent's file is there, and what else is. The folder for sockets."""
        file = agent_file()
        name = f"agent-{file.digest[:16]}.pyz"
        found = await probe(connection, root=self._root, agent=name)
        verbs = Verbs(remote=connection, root=found.root, python=found.python, agent=name)
        if not found.has_agent:
            await verbs.put_agent(file.data)
        looked = await verbs.ask("look")
        self._there, self._last = _there(verbs, looked), verbs
        self._may_be_there = self._there.epoch is not None
        if not self._started or not self._machine_id:
            self._machine_id = self._there.machine
        return str(looked["sockets"])

    async def _reach(self, connection: Connection, paths: Mapping[str, str]) -> None:
        del connection
        assert self._intent is not None  # noqa: S101 - the tunnel lives as long as it
        self._paths = dict(paths)
        told = {"epoch": self._intent.epoch, "socket": paths["agent"], "files": paths["files"]}
        await self._verbs().ask("reach", told)

    async def _look_again(self, connection: Connection) -> _There:
        there = self._there
        if there is None or time.monotonic() - there.at_s > LOOK_AGAIN_S or there.verbs.remote is not connection:
            verbs = self._verbs()
            self._there = there = _there(verbs, await verbs.ask("look"))
        return there

    def _verbs(self) -> Verbs:
        if self._last is None:
            raise ProviderTransient("it is not connected")
        return self._last

    async def _let_go(self) -> None:
        tunnel, self._tunnel, self._there, self._last = self._tunnel, None, None, None
        self._furnished.clear()
        self._gone.set()
        if tunnel is not None:
            await tunnel.close()

    def _enrolment(self, intent: LaunchIntent) -> dict[str, Any]:
        return {
            "socket": self._paths["agent"],
            "files": self._paths["files"],
            "instance": intent.instance,
            "epoch": intent.epoch,
            "token": intent.token,
            "slots": self._slots if self._slots is not None else intent.slots,
            **({} if intent.orphan_after_s is None else {"orphan_after_s": intent.orphan_after_s}),
        }


def _there(verbs: Verbs, looked: Mapping[str, Any]) -> _There:
    agent = looked.get("agent")
    lives = isinstance(agent, Mapping) and agent.get("lives") is True
    epoch = int(agent["epoch"]) if lives and isinstance(agent, Mapping) else None
    return _There(verbs=verbs, machine=str(looked["machine"]), epoch=epoch, at_s=time.monotonic())
