"""The verb ``stop``: ends the agent of this machine, and what stands outside our folder for it."""

from __future__ import annotations

from typing import BinaryIO

from clustertune.agent.record import FILE, LOCK, end, read_record
from clustertune.agent.root import Root
from clustertune.agent.sockets import remove_sockets


def answer(root: Root, given: BinaryIO) -> dict[str, object]:  # noqa: ARG001 - as all verbs
    """Idempotent."""
    with root.locked(LOCK):
        record = read_record(root)
        stopped = record is not None and record.lives
        if record is not None:
            end(record)
        root.remove(FILE)
        root.remove("reach.json")
        remove_sockets(root)
    return {"stopped": stopped}
