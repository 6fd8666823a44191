"""A user with an ssh_config and known hosts of his own, who can log in to machines of the tests."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from clustertune.provisioner.bootstrap.connection import Connection, connect
from clustertune.provisioner.bootstrap.target import Target
from tests.machines.machine import Machine

T = TypeVar("T")
LIMIT_S = 60.0


class SshUser:
    """What is not said for a host is as the tests' machines have it."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.folder, self.key = folder, key
        self.config, self.known_hosts = folder / "config", folder / "known_hosts"
        self.config.touch()
        self.known_hosts.touch()

    def says(self, host: str, *lines: str) -> None:
        """Adds a host to the ssh_config, beside what all hosts have."""
        given = "".join(f"  {line}\n" for line in lines)
        usual = f"  User ubuntu\n  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
        with self.config.open("a") as config:
            config.write(f"Host {host}\n{given}{usual}")

    def knows(self, *machines: Machine) -> None:
        with self.known_hosts.open("a") as known:
            known.writelines(machine.known_hosts for machine in machines)

    def introduce(self, machine: Machine, name: str = "gpu") -> None:
        """A host that needs nothing more."""
        self.knows(machine)
        self.says(name, f"HostName {machine.address}", f"Port {machine.port}", f"IdentityFile {self.key}")

    async def connect(self, host: str = "gpu", **options: object) -> Connection:
        return await connect(Target(host=host), config=self.config, **options)  # type: ignore[arg-type]


def run(awaited: Coroutine[object, object, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(LIMIT_S):
            return await awaited

    return asyncio.run(bounded())


@contextmanager
def ssh_agent(folder: Path, *keys: Path) -> Iterator[Path]:
    """A real ssh-agent that holds ``keys``; its socket."""
    socket = folder / "agent.sock"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as agent:
        try:
            while not socket.exists():
                assert agent.poll() is None
            for key in keys:
                environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
                subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, capture_output=True)
            yield socket
        finally:
            agent.terminate()


def new_key(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)], check=True)
    return path
