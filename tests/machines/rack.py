"""A rack of machines for one test session, with a bridge, addresses and a key of its own."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import asyncssh

from tests.machines.image import Image
from tests.machines.machine import Machine, Place
from tests.machines.slots import bridge, own_slot, sweep

FIRST, LAST = 10, 250  # of a machine's address


def why_not() -> str | None:
    """Why there can be no real machines here; None where there can."""
    if os.geteuid() != 0:
        return "real machines need root (for network, process and mount namespaces)"
    for program, package in (("ip", "iproute2"), ("unshare", "util-linux"), ("sshd", "openssh-server")):
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            return f"real machines need the program {program} (on Debian and Ubuntu: apt-get install {package})"
    spaces = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork"]
    tried = subprocess.run([*spaces, "ip", "link", "add", "type", "veth"], capture_output=True, text=True, check=False)
    return f"real machines need namespaces: {tried.stderr.strip()}" if tried.returncode else None


class Rack:
    """Held for a test session; ``key`` logs in to each of its machines."""

    def __init__(self) -> None:
        self.number, self._lock = own_slot()
        self.folder = Path(tempfile.mkdtemp(prefix="ct-rack-"))
        self._lock.write(str(self.folder))
        self._lock.flush()
        self.key = self.folder / "key"
        write_key(self.key)
        self._standing: list[Machine] = []
        self._free = list(range(LAST, FIRST - 1, -1))
        _ip(
            f"link add {bridge(self.number)} type bridge",
            f"addr add 10.213.{self.number}.1/24 dev {bridge(self.number)}",
            f"addr add fd77:c1:0:{self.number}::1/64 dev {bridge(self.number)} nodad",
            f"link set {bridge(self.number)} up",
        )

    def make(self, count: int, image: Image) -> list[Machine]:
        """Machines that answer, started all at once."""
        made = [Machine(self._place(self._free.pop()), self.key, image) for _ in range(count)]
        self._standing += made
        for step in (Machine.begin, Machine.connect, Machine.wait):
            for machine in made:
                step(machine)
        return made

    def remove_all(self) -> None:
        while self._standing:
            machine = self._standing.pop()
            machine.remove()
            self._free.append(machine.place.number)

    def close(self) -> None:
        self.remove_all()
        sweep(self.number, str(self.folder))
        self._lock.truncate(0)
        self._lock.close()

    def _place(self, number: int) -> Place:
        return Place(
            number=number,
            name=f"machine{number}",
            folder=self.folder / str(number),
            link=f"{bridge(self.number)}m{number}",
            bridge=bridge(self.number),
            address=f"10.213.{self.number}.{number}",
            address6=str(ipaddress.ip_address(f"fd77:c1:0:{self.number}::{number}")),
        )


def write_key(path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519", comment="tests")
    path.touch(mode=0o600)
    path.write_bytes(key.export_private_key())
    path.with_suffix(".pub").write_bytes(key.export_public_key())


def _ip(*commands: str) -> None:
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
