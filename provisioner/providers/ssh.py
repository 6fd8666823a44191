"""Machines that the user can log in to as a provider: nothing is rented, agents come and go."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from clustertune.model.errors import ProviderError, ProviderTransient
from clustertune.provisioner.bootstrap.connection import connect
from clustertune.provisioner.bootstrap.loop_thread import LoopThread
from clustertune.provisioner.bootstrap.machine import Machine
from clustertune.provisioner.bootstrap.target import Target
from clustertune.provisioner.contracts import Found, Furnished, LaunchIntent, Outfit, ProviderSetting, Tell

T = TypeVar("T")

MOST_AT_ONCE = 32
"""Machines that are being made ready at the same time."""

_FOLDER = ".clustertune/machines"
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]")


class Ssh:
    """One ``Machine`` for each host, all in one event loop in a thread of its own."""

    def __init__(self, setting: ProviderSetting) -> None:
        self._setting = setting
        hosts: Sequence[Mapping[str, Any]] = setting.options["hosts"]
        self._hosts = dict(zip(_names(hosts), hosts, strict=True))
        self._machines: dict[str, Machine] = {}
        self._loop = LoopThread("ssh")
        self._room: asyncio.Semaphore | None = None

    def instances(self) -> Sequence[str]:
        return tuple(self._hosts)

    def launch(self, intent: LaunchIntent, tell: Tell) -> None:
        self._call(self._launch(intent, tell))

    def adopt(self, intents: Sequence[LaunchIntent]) -> None:
        self._call(self._adopt(intents))

    def furnish(self, instance: str, outfit: Outfit, tell: Tell) -> Furnished:
        return self._call(self._furnish(instance, outfit, tell))

    def list(self) -> Sequence[Found]:
        return self._call(self._list())

    def terminate(self, instances: Sequence[str]) -> None:
        self._call(self._terminate(instances))

    def last_words(self, instance: str) -> str:
        return self._call(self._words(instance))

    def close(self) -> None:
        self._call(self._close())
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.call(work)
        except asyncio.CancelledError:
            raise ProviderTransient("the coordinator is ending") from None

    async def _launch(self, intent: LaunchIntent, tell: Tell) -> None:
        self._room = self._room or asyncio.Semaphore(MOST_AT_ONCE)
        async with self._room:
            await self._machine(intent.instance).launch(intent, tell)

    async def _adopt(self, intents: Sequence[LaunchIntent]) -> None:
        for intent in intents:
            if intent.instance in self._hosts:
                await self._machine(intent.instance).adopt(intent)

    async def _furnish(self, instance: str, outfit: Outfit, tell: Tell) -> Furnished:
        return await self._machine(instance).furnish(outfit, tell)

    async def _list(self) -> Sequence[Found]:
        machines = list(self._machines.values())
        there = await asyncio.gather(*(machine.exists() for machine in machines))
        return [
            Found(instance=machine.name, epoch=machine.epoch)
            for machine, exists in zip(machines, there, strict=True)
            if exists and machine.epoch is not None
        ]

    async def _terminate(self, instances: Sequence[str]) -> None:
        ends = [self._machine(name).end() for name in instances if name in self._hosts]
        problems = [found for found in await asyncio.gather(*ends, return_exceptions=True) if found is not None]
        for problem in problems:
            raise problem

    async def _words(self, instance: str) -> str:
        return await self._machines[instance].words() if instance in self._machines else ""

    async def _close(self) -> None:
        await asyncio.gather(*(machine.close() for machine in self._machines.values()), return_exceptions=True)

    def _machine(self, name: str) -> Machine:
        if name not in self._hosts:
            raise ProviderError(f"{name} is not among the cluster's hosts")
        if name not in self._machines:
            host = self._hosts[name]
            root = f"{_FOLDER}/{self._setting.cluster}-{self._setting.mark}/{_folder_name(name)}"
            config = self._setting.options.get("ssh_config")
            target = _target(host, self._setting.options)
            reach = partial(connect, target, config=Path(str(config)).expanduser() if config else None)
            self._machines[name] = Machine(name, reach, root=root, slots=host.get("slots"))
        return self._machines[name]


def _names(hosts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The host's name where it is there once, else with user and port."""
    times = Counter(str(host["host"]) for host in hosts)
    return [str(host["host"]) if times[str(host["host"])] == 1 else _written(host) for host in hosts]


def _written(host: Mapping[str, Any]) -> str:
    user = f"{host['user']}@" if host.get("user") else ""
    port = f":{host['port']}" if host.get("port") else ""
    return f"{user}{host['host']}{port}"


def _target(host: Mapping[str, Any], cluster: Mapping[str, Any]) -> Target:
    """What the host does not say is as the cluster says."""
    found = {name: host.get(name) or cluster.get(name) for name in ("user", "port", "identity", "jump")}
    identity = found.pop("identity")
    return Target(host=str(host["host"]), identity=Path(str(identity)) if identity else None, **found)


def _folder_name(name: str) -> str:
    """Homes may be shared between machines: each has a folder of its own."""
    plain = _UNUSUAL.sub("_", name)
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
