"""One machine of the tests: a real sshd as the first process of its own namespaces, and what can befall it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import psutil

from tests.machines.folder import fill_etc, fill_home
from tests.machines.image import HOME, UID, USER, Image, old_python, programs_without_python, pythons_of_this_run

LIMIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine stands: its folder on the host, its link there, its bridge, its addresses."""

    number: int
    name: str
    folder: Path
    link: str
    bridge: str
    address: str
    address6: str


class Machine:
    """Made by a rack. ``key`` is the file of the private key that logs in; ``host_key`` the public one, as text."""

    user = USER
    home = HOME
    port = 22

    def __init__(self, place: Place, key: Path, image: Image) -> None:
        self.place, self.key, self.image = place, key, image
        self.address, self.address6, self.name = place.address, place.address6, place.name
        self.host_key = ""
        self._outer: subprocess.Popen[bytes] | None = None
        self._install()

    @property
    def known_hosts(self) -> str:
        """Lines for a known_hosts file."""
        return f"{self.address},{self.address6} {self.host_key}\n"

    @property
    def alive(self) -> bool:
        return self._outer is not None and self._outer.poll() is None

    def start(self, *, new_host_key: bool = False, reinstalled: bool = False) -> None:
        """Powers it on and waits until it answers. ``reinstalled``: another host key and machine id, nothing kept."""
        self.begin(new_host_key=new_host_key, reinstalled=reinstalled)
        self.connect()
        self.wait()

    def kill(self, *, silently: bool = True) -> None:
        """Powers it off at once. Peers hear nothing; not ``silently``: its kernel still closes their connections."""
        if self._outer is None:
            return
        if silently:
            self._unplug()
        # waits for all that is inside, and closes its pipes where it was still booting
        with self._outer as outer, contextlib.suppress(psutil.NoSuchProcess):
            for process in psutil.Process(outer.pid).children() or [outer]:
                process.kill()
        self._outer = None
        self._unplug()

    def cut(self) -> None:
        """Takes its link down: nothing comes through either way, and nobody is told."""
        if self.alive:
            _run("ip", "link", "set", self.place.link, "down")

    def heal(self) -> None:
        if self.alive:
            _run("ip", "link", "set", self.place.link, "up")

    def slow_down(self, rate: str) -> None:
        """What is sent to it comes no quicker than this, as ``8mbit``, from now on."""
        shape = ["tc", "qdisc", "replace", "dev", self.place.link, "root", "tbf"]
        _run(*shape, "rate", rate, "burst", "32kbit", "latency", "50ms")

    def freeze(self) -> None:
        """It hangs: its kernel still acknowledges what arrives, and no process runs."""
        while waking := [each for each in self._inside() if _status(each) not in _STILL]:
            for process in waking:
                _signal(process, signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self._inside():
            if _status(process) == psutil.STATUS_STOPPED:
                _signal(process, signal.SIGCONT)

    def drop_connections(self) -> None:
        """Ends every SSH connection to it, and what hangs on them; what is detached goes on."""
        init = self._init()
        for process in init.children():
            if _is_sshd(process):
                for each in [process, *process.children(recursive=True)]:
                    if _is_sshd(each):
                        _signal(each, signal.SIGKILL)

    def run(
        self, *command: str, user: str = USER, given: bytes = b"", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A program inside, started from outside (no SSH), in the user's home; ``user`` may be root."""
        who = UID if user == USER else 0
        home = HOME if user == USER else "/root"
        enter = ["nsenter", "-t", str(self._init().pid), "-m", "-u", "-i", "-n", "-p", "-r", "--"]
        become = ["setpriv", f"--reuid={who}", f"--regid={who}", "--clear-groups", "--"]
        clean = [
            "env",
            "-i",
            "-C",
            home,
            f"HOME={home}",
            f"USER={user}",
            "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        ]
        done = subprocess.run(
            [*enter, *clean, *become, *command], input=given, capture_output=True, timeout=60, check=False
        )
        text = subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())
        if check and text.returncode:
            raise AssertionError(f"{command} on {self.name}: {text.returncode}\n{text.stdout}\n{text.stderr}")
        return text

    def processes(self, *words: str) -> list[psutil.Process]:
        """What runs on it beside its sshd; those whose arguments hold all of ``words``."""
        alive = [(each, line) for each in self._inside() if not _is_sshd(each) and (line := _line(each))]
        return [each for each, line in alive if all(word in line for word in words)]

    def log(self) -> str:
        """What its sshd said."""
        return (self.place.folder / "sshd.log").read_text()

    # What a rack does for several machines at once.

    def begin(self, *, new_host_key: bool = False, reinstalled: bool = False) -> None:
        assert not self.alive, f"{self.name} is on already"
        if reinstalled:
            self._install()
        elif new_host_key:
            self._new_host_key()
        self._new_boot()
        place, size = self.place, self.image.home_bytes or 0
        pythons = pythons_of_this_run() if self.image.python == "host" else []
        told = [place.folder, place.address, place.address6, UID, USER, size, *pythons]
        with (place.folder / "sshd.log").open("ab") as log:
            self._outer = subprocess.Popen(
                [*_UNSHARE, "sh", str(Path(__file__).with_name("boot.sh")), *map(str, told)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def connect(self) -> None:
        """Its link, once its namespaces are there."""
        assert self._outer is not None
        assert self._outer.stdin is not None
        assert self._outer.stdout is not None
        if self._outer.stdout.readline() != b"ready\n":
            raise AssertionError(f"{self.name} did not boot: {self.log()}")
        link, pid = self.place.link, str(self._outer.pid)
        # Its card is the same after each start: neighbours would else send to the old one for most of a minute.
        card = "02:c1:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "address", card, "netns", pid)
        _run("ip", "link", "set", link, "master", self.place.bridge, "up")
        self._outer.stdin.write(b"go\n")
        self._outer.stdin.close()
        self._outer.stdout.close()

    def wait(self) -> None:
        """Until its sshd answers."""
        port = self.port.to_bytes(2, "big").hex().upper()
        table = Path(f"/proc/{self._init().pid}/net/tcp")
        deadline = time.monotonic() + LIMIT_S
        while f":{port} 00000000:0000 0A" not in table.read_text():
            assert self.alive, f"{self.name} ended: {self.log()}"
            assert time.monotonic() < deadline, f"{self.name} does not answer: {self.log()}"
            time.sleep(0.01)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.place.folder, ignore_errors=True)

    def _install(self) -> None:
        folder = self.place.folder
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("root", "etc/ssh", "home/.ssh"):
            (folder / name).mkdir(parents=True)
        fill_etc(folder / "etc", self.name, self.address, self.image)
        fill_home(folder / "home", self.key.with_suffix(".pub"), self.image)
        self._new_host_key()
        if self.image.python != "host":
            programs_without_python(folder / "programs", "/run/programs")
            (folder / "local").mkdir()
        if self.image.python == "old":
            old_python(folder / "local", "/run/programs/python3")

    def _new_host_key(self) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        path = self.place.folder / "etc/ssh/host_key"
        path.write_bytes(key.export_private_key())
        path.chmod(0o600)
        self.host_key = key.export_public_key().decode().strip()

    def _new_boot(self) -> None:
        tmp = self.place.folder / "tmp"
        shutil.rmtree(tmp, ignore_errors=True)
        tmp.mkdir()
        tmp.chmod(0o1777)
        (self.place.folder / "boot-id").write_text(f"{uuid.uuid4()}\n")

    def _unplug(self) -> None:
        """Takes its link away, which its namespace itself, once left, does only in the kernel's own time."""
        link = self.place.link
        deadline = time.monotonic() + LIMIT_S
        while Path("/sys/class/net", link).exists():
            subprocess.run(["ip", "link", "del", link], capture_output=True, check=False)
            assert time.monotonic() < deadline, f"{link} does not go away"

    def _init(self) -> psutil.Process:
        """Its first process."""
        assert self._outer is not None
        assert self.alive, f"{self.name} is off: {self.log()}"
        return psutil.Process(self._outer.pid).children()[0]

    def _inside(self) -> list[psutil.Process]:
        if not self.alive:
            return []
        ours = _namespace(self._init().pid)
        return [each for each in psutil.process_iter() if _namespace(each.pid) == ours]


_UNSHARE = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--"]
_STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_DEAD


def _line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _is_sshd(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name().startswith("sshd")
    return False


def _signal(process: psutil.Process, number: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
