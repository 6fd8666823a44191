"""The agent's own folder: what lies where, and the lock that keeps a second agent out."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from clustertune.model.errors import ClustertuneError

_MAX_SOCKET_PATH_BYTES = 100
"""Unix sockets take 103 bytes on macOS and 107 on Linux."""

_MAX_NAME_CHARS = 200


class FolderTaken(ClustertuneError):
    """Another agent that is alive has this folder."""


class Folder:
    """Everything under one root, mode 0700. Holds the lock until it is closed or the process ends."""

    def __init__(self, root: Path) -> None:
        """Raises FolderTaken, and OSError where the folder cannot be made."""
        self.root = root.absolute()
        self.attempts = self.root / "attempts"
        self.logs = self.root / "logs"
        self.processes = self.root / "processes"
        self.sdk = self.root / "sdk"
        for path in (self.root, self.attempts, self.logs, self.processes):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self._lock = self._take()
        self._elsewhere: Path | None = None

    def _take(self) -> IO[str]:
        lock = open(self.root / "lock", "w")  # noqa: SIM115 - held for as long as this object is
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise FolderTaken(f"another agent has {self.root}; one folder holds one agent") from error
        return lock

    def attempt(self, attempt: str) -> Path:
        return self.attempts / file_name(attempt)

    def log(self, attempt: str) -> Path:
        return self.logs / (file_name(attempt) + ".log")

    def outbox(self, epoch: int) -> Path:
        return self.root / f"outbox-{epoch}.jsonl"

    def socket(self) -> Path:
        """Where trials report. In a private folder under the temporary one where this path is too long for a socket."""
        path = self.root / "trials.sock"
        if len(os.fsencode(path)) > _MAX_SOCKET_PATH_BYTES:
            if self._elsewhere is None:
                self._elsewhere = Path(tempfile.mkdtemp(prefix="clustertune-"))
            path = self._elsewhere / "trials.sock"
        return path

    def interrupted(self, epoch: int) -> list[str]:
        """The attempts that an agent of this same epoch was running when it died."""
        outbox = self.outbox(epoch)
        if not outbox.exists():
            return []
        text = outbox.read_text(errors="replace")
        attempts = (unquote(path.name) for path in self.attempts.iterdir())
        ended = {
            json.loads(line)["attempt"]
            for line in text.splitlines()
            if line.startswith('{"type":"ended"') and line.endswith("}")
        }
        return sorted(name for name in attempts if name not in ended)

    def forget_other_epochs(self, epoch: int) -> None:
        """Removes what earlier agents left here: their outboxes and attempts; logs stay."""
        for path in self.root.glob("outbox-*.jsonl"):
            if path != self.outbox(epoch):
                path.unlink()
        self.remove_attempts()

    def remove_attempts(self) -> None:
        for path in self.attempts.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        if self._elsewhere is not None:
            shutil.rmtree(self._elsewhere, ignore_errors=True)
        self._lock.close()


def file_name(attempt: str) -> str:
    """A name for a file that cannot leave its folder, different for different attempts."""
    name = quote(attempt, safe=":")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _MAX_NAME_CHARS:
        name = name[: _MAX_NAME_CHARS - 17] + "-" + hashlib.sha256(attempt.encode()).hexdigest()[:16]
    return name
