"""The agent's own folder: what lies where, and the lock that keeps a second agent out."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from clustertune.agent.attempt_folders import TEMPORARY
from clustertune.agent.private import MAX_SOCKET_PATH_BYTES, short_folder
from clustertune.agent.removal import remove
from clustertune.model.errors import ClustertuneError
from clustertune.model.trial import split_attempt_id

_MAX_TEMPORARY_PATH_BYTES = 64
"""Leaves room for the sockets that Python's multiprocessing makes in its temporary folder."""

_MAX_NAME_CHARS = 200


class FolderTaken(ClustertuneError):
    """Another agent that is alive has this folder."""


class Folder:
    """Everything under one root, mode 0700. Holds the lock until it is closed or the process ends."""

    def __init__(self, root: Path) -> None:
        """Raises FolderTaken, and OSError where the folder cannot be made."""
        self.root = root.absolute()
        self.attempts = self.root / "attempts"
        self.checkpoints = self.root / "checkpoints"
        self.logs = self.root / "logs"
        self.processes = self.root / "processes"
        self.sdk = self.root / "sdk"
        self.emptied = self.root / "emptied"
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (self.attempts, self.logs, self.processes):
            if path.is_symlink() or not path.is_dir():
                remove(path)
            path.mkdir(mode=0o700, exist_ok=True)
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
        if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            path = self._short() / "trials.sock"
        return path

    def temporary(self, attempt: str) -> Path:
        """A folder in the attempt's; by a shorter way where programs could else make no socket in it."""
        path = self.attempt(attempt) / TEMPORARY
        if len(os.fsencode(path)) <= _MAX_TEMPORARY_PATH_BYTES:
            return path
        short = self._short() / "a"
        if not short.is_symlink():
            short.symlink_to(self.attempts)
        return short / path.relative_to(self.attempts)

    def _short(self) -> Path:
        if self._elsewhere is None:
            self._elsewhere = short_folder(self.root)
        return self._elsewhere

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
        return sorted(name for name in attempts if name not in ended and _is_attempt(name))

    def forget_other_epochs(self, epoch: int) -> None:
        """Removes what earlier agents left here: their outboxes and attempts; logs stay."""
        for path in self.root.glob("outbox-*.jsonl"):
            if path != self.outbox(epoch):
                remove(path)
        self.remove_attempts()

    def remove_attempts(self) -> None:
        for path in self.attempts.iterdir():
            remove(path)

    def close(self) -> None:
        if self._elsewhere is not None:
            remove(self._elsewhere)
        self._lock.close()


def _is_attempt(name: str) -> bool:
    """And not what somebody else put there."""
    try:
        split_attempt_id(name)
        name.encode()
    except ValueError:
        return False
    return True


def file_name(attempt: str) -> str:
    """A name for a file that cannot leave its folder, different for different attempts."""
    name = quote(attempt, safe=":")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _MAX_NAME_CHARS:
        name = name[: _MAX_NAME_CHARS - 17] + "-" + hashlib.sha256(attempt.encode()).hexdigest()[:16]
    return name
