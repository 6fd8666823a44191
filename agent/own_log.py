"""Keeps an agent's own log from growing without end: beyond a size it starts anew."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress

MOST_BYTES = 4 * 1024 * 1024


def start_anew(descriptor: int, most_bytes: int = MOST_BYTES) -> bool:
    """Empties the file, where it is one that is appended to and has become too long. Whether it was."""
    with suppress(OSError):
        found = os.fstat(descriptor)
        appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
        if stat.S_ISREG(found.st_mode) and appends and found.st_size > most_bytes:
            os.ftruncate(descriptor, 0)
            return True
    return False
