"""Where a coordinator keeps what: paths under ``$CLUSTERTUNE_HOME/clusters/CLUSTER``."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from clustertune.model.errors import ClustertuneError

_SOCKET_PATH_BYTES = 100
"""Unix socket paths hold about 104 bytes on macOS and 108 on Linux."""


class AlreadyRunning(ClustertuneError):
    """Another coordinator holds this cluster's lock."""


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one cluster. Everything is readable by its owner alone."""

    home: Path
    cluster: str

    @property
    def folder(self) -> Path:
        return self.home / "clusters" / self.cluster

    @property
    def journal(self) -> Path:
        return self.folder / "journal.sqlite"

    @property
    def definition(self) -> Path:
        return self.folder / "cluster.json"

    @property
    def instances(self) -> Path:
        return self.folder / "instances"

    def experiment(self, name: str) -> Path:
        return self.folder / "experiments" / name

    def log_of(self, experiment: str, trial: int, attempt: int) -> Path:
        return self.experiment(experiment) / "logs" / f"{trial}-{attempt}.log"

    def has_history(self) -> bool:
        """Whether experiments ran here, so that there must be a journal."""
        return any((self.folder / "experiments").iterdir())

    def prepare(self) -> None:
        for folder in (self.home, self.home / "clusters", self.folder, self.folder / "experiments", self.instances):
            folder.mkdir(mode=0o700, exist_ok=True, parents=True)

    def lock(self) -> IO[str]:
        """Held for as long as the file is open. Raises AlreadyRunning."""
        (self.folder / "lock").touch(mode=0o600)
        file = (self.folder / "lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise AlreadyRunning(f"a coordinator of cluster {self.cluster} is running already") from error
        return file

    def token(self) -> str:
        """The REST API's token, made at the first start."""
        return _keep(self.folder / "token")

    def launch_secret(self) -> str:
        """From this secret each launch's agent token is derived, so that it need not be stored."""
        return _keep(self.folder / "launch-secret")

    def agent_socket(self) -> Path:
        """Where agents connect."""
        return self._socket("agent.sock")

    def files_socket(self) -> Path:
        """Where agents bring checkpoints, and fetch them."""
        return self._socket("files.sock")

    @property
    def checkpoints(self) -> Path:
        """What is kept of checkpoints where neither experiment nor cluster has a storage."""
        return self.folder / "checkpoints"

    @property
    def workdirs(self) -> Path:
        """The programs that are sent to machines elsewhere."""
        return self.folder / "workdirs"

    def _socket(self, name: str) -> Path:
        """In a private folder of the system's temporary one where our own path is too long."""
        path = self.folder / name
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
            return path
        mark = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"clustertune-{os.getuid()}-{mark}"
        short.mkdir(mode=0o700, exist_ok=True)
        found = short.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ClustertuneError(f"{short} exists and is not a private folder of yours: remove it")
        return short / name

    def announce(self, **what: object) -> None:
        """Tells clients where the coordinator is."""
        write_whole(self.folder / "coordinator.json", json.dumps(what))

    def withdraw(self) -> None:
        (self.folder / "coordinator.json").unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Replaces a file in one step: readers see the old text or the new, whole."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def _keep(path: Path) -> str:
    if not path.exists():
        write_whole(path, secrets.token_hex(32))
    return path.read_text().strip()
