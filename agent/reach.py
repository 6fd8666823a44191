"""Where the coordinator can be reached: where the enrolment said, or where a file says by now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clustertune.agent.enrolment import Enrolment
from clustertune.agent.untrusted import read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Two unix sockets on this machine: for messages, and for checkpoints. Empty: there is none."""

    socket: str
    files: str


class Reach:
    """Looks at the file as often as it is asked, from any thread; a file of another epoch says nothing."""

    def __init__(self, enrolment: Enrolment, path: Path | None = None) -> None:
        self._epoch, self._path = enrolment.epoch, path
        self._ways = Ways(socket=enrolment.socket, files=enrolment.files)
        self._seen: tuple[int, ...] = ()

    def now(self) -> Ways:
        """What was told last; unchanged where the file is not there or makes no sense."""
        if self._path is None:
            return self._ways
        try:
            found = self._path.stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
            if seen != self._seen:
                self._ways = self._told(json.loads(read_text(self._path))) or self._ways
                self._seen = seen
        except (OSError, ValueError, RecursionError):
            return self._ways
        return self._ways

    def _told(self, plain: object) -> Ways | None:
        if not isinstance(plain, Mapping) or plain.get("epoch") != self._epoch:
            return None
        return Ways(socket=str(plain.get("socket", "")), files=str(plain.get("files", "")))
