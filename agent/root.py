"""The folder that everything of ours on a machine lies in: what is where, and how it is written, read and locked."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustertune.agent.private import make_private
from clustertune.agent.untrusted import read_text
from clustertune.model.errors import ClustertuneError


class Hindered(ClustertuneError):
    """A verb cannot do what it was asked; the text says what to do. ``more`` goes into its answer."""

    def __init__(self, error: str, **more: object) -> None:
        self.more = more
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class Root:
    """``path`` is absolute, there, and private. Every file of ours has mode 0600, every folder 0700."""

    path: Path

    @property
    def agent(self) -> Path:
        """The agent's own folder."""
        return self.path / "agent"

    @property
    def log(self) -> Path:
        return self.path / "agent.log"

    @property
    def reach(self) -> Path:
        return self.path / "reach.json"

    @property
    def parts(self) -> Path:
        return self._made("parts")

    @property
    def workdirs(self) -> Path:
        return self._made("workdirs")

    @property
    def manifests(self) -> Path:
        """Of the working directories that are laid out: ``DIGEST.json``."""
        return self._made("manifests")

    def _made(self, name: str) -> Path:
        path = self.path / name
        if not make_private(path):
            raise Hindered(f"{path} is not a private folder of ours; remove it, and try again")
        return path

    def read(self, name: str) -> dict[str, Any]:
        """Empty where it is not there or makes no sense."""
        with suppress(OSError, ValueError, RecursionError):
            plain = json.loads(read_text(self.path / name))
            return plain if isinstance(plain, dict) else {}
        return {}

    def write(self, name: str, value: Mapping[str, object]) -> None:
        """Whole or not at all. Raises OSError."""
        write_whole(self.path / name, json.dumps(value).encode())

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self, name: str, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """One at a time; a lock ends with the process that holds it. ``on_wait`` is called where another has it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path / f"{name}.lock", flags, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def open_root(path: Path) -> Root:
    """Makes it where it is missing. Raises Hindered, OSError."""
    path = path.expanduser().absolute()
    _make_around(path)
    with suppress(FileNotFoundError):
        found = path.lstat()
        if found.st_uid == os.getuid() and path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    if not make_private(path):
        raise Hindered(f"{path} is not a private folder of this user's; remove it, or name another one")
    return Root(path)


def _make_around(path: Path) -> None:
    """What is missing of the folders around it, private too; those that are there stay as they are."""
    before = os.umask(0o077)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(before)


def write_whole(path: Path, data: bytes) -> None:
    """Raises OSError."""
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:20]}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
