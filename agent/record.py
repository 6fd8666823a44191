"""Which process is this machine's agent: on disk, so that another one with its number is not taken for it."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from clustertune.agent.root import Root
from clustertune.model.processes import start_mark

FILE = "agent.json"
LOCK = "agent"
_LEAVE_S = 15.0
"""How long an agent has for ending its trials before it is killed."""

_KILLED_S = 5.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``mark`` tells the process from others that get its number later."""

    pid: int
    mark: str
    epoch: int

    @property
    def lives(self) -> bool:
        return start_mark(self.pid) == self.mark


def read_record(root: Root) -> Record | None:
    plain = root.read(FILE)
    pid, mark, epoch = plain.get("pid"), plain.get("mark"), plain.get("epoch")
    if isinstance(pid, int) and pid > 0 and isinstance(mark, str) and isinstance(epoch, int):
        return Record(pid=pid, mark=mark, epoch=epoch)
    return None


def end(record: Record) -> None:
    """Asks the agent to leave, and kills it where it does not."""
    for number, patience_s in ((signal.SIGTERM, _LEAVE_S), (signal.SIGKILL, _KILLED_S)):
        if not record.lives:
            return
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)
        until_s = time.monotonic() + patience_s
        while record.lives and time.monotonic() < until_s:
            time.sleep(_POLL_S)
