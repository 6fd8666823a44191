"""The folder in which the coordinator's end of the tunnel binds its sockets: private, and with a short path."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from clustertune.agent.private import has_room, make_private, short_folder
from clustertune.agent.removal import remove
from clustertune.agent.root import Root

_NAME = "sockets"


def sockets_folder(root: Root) -> Path:
    """In our own folder; where that is too long for sockets, or takes none, a link there names another. OSError."""
    own = root.path / _NAME
    if has_room(own) and make_private(own) and _takes_sockets(own):
        return own
    if own.is_symlink():
        named = own.readlink()
        if make_private(named) and _takes_sockets(named):
            return named
    remove(own)
    elsewhere = short_folder(own)
    own.symlink_to(elsewhere)
    return elsewhere


def _takes_sockets(folder: Path) -> bool:
    """Some shared file systems take none."""
    path = folder / f".try-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.bind(str(path))
        except OSError:
            return False
        finally:
            path.unlink(missing_ok=True)
    return True


def remove_other_sockets(root: Root, kept: set[Path]) -> None:
    """Those of connections that are over; sshd leaves them behind."""
    for path in _existing(root).iterdir():
        with suppress(OSError):
            if path not in kept and stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()


def remove_sockets(root: Root) -> None:
    """With the folder."""
    own = root.path / _NAME
    if own.is_symlink() and make_private(own.readlink()):
        remove(own.readlink())
    remove(own)


def _existing(root: Root) -> Path:
    own = root.path / _NAME
    return own.readlink() if own.is_symlink() else own
