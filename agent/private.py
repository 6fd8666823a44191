"""Folders that nobody else may enter; some with a path that is short enough for sockets."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

MAX_SOCKET_PATH_BYTES = 100
"""Unix sockets take 103 bytes on macOS and 107 on Linux."""

_ROOM_BYTES = 32
"""For the names of sockets in a short folder."""


def make_private(path: Path) -> bool:
    """False where something else, or somebody else's, has the name."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def has_room(folder: Path) -> bool:
    """Whether sockets in it have paths that are short enough."""
    return len(os.fsencode(folder)) + _ROOM_BYTES <= MAX_SOCKET_PATH_BYTES


def short_folder(instead_of: Path) -> Path:
    """One under the temporary folder. Raises OSError.

    Named after what it stands in for, so that who comes next uses, and removes, what a killed one left.
    """
    mark = hashlib.sha256(f"{os.getuid()}:".encode() + os.fsencode(instead_of)).hexdigest()[:12]
    around = [Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - made private, or not used
    for path in (each / f"clustertune-{mark}" for each in around):
        if has_room(path) and make_private(path):
            return path
    return Path(tempfile.mkdtemp(prefix="clustertune-", dir=next(filter(has_room, around), around[0])))
