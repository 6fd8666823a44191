"""The verb ``look``: what is on this machine already. It changes nothing that anybody could miss."""

from __future__ import annotations

import os
import platform
from typing import BinaryIO

from clustertune.agent.machine_id import machine_id
from clustertune.agent.record import read_record
from clustertune.agent.root import Root
from clustertune.agent.sockets import sockets_folder
from clustertune.agent.untrusted import is_folder
from clustertune.model.checkpoint import is_digest


def answer(root: Root, given: BinaryIO) -> dict[str, object]:  # noqa: ARG001 - as all verbs
    """Raises Hindered, OSError."""
    record = read_record(root)
    disk = os.statvfs(root.path)
    return {
        "agent": None if record is None else {"epoch": record.epoch, "pid": record.pid, "lives": record.lives},
        "machine": machine_id(root),
        "python": platform.python_version(),
        "workdirs": sorted(path.name for path in root.workdirs.iterdir() if is_digest(path.name) and is_folder(path)),
        "free_bytes": disk.f_bavail * disk.f_frsize,
        "sockets": str(sockets_folder(root)),
    }
