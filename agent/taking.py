"""The verb ``take``: a stream of parts; those that came whole stay, however the stream ends."""

from __future__ import annotations

from typing import BinaryIO

from clustertune.agent.parts import announced, take_part
from clustertune.agent.root import Root


def answer(root: Root, given: BinaryIO) -> dict[str, object]:
    """Raises Hindered, OSError."""
    parts, taken = root.parts, 0
    while (part := announced(given)) is not None:
        take_part(parts, *part, given)
        taken += 1
    return {"taken": taken}
