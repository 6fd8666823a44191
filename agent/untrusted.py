"""Opens what a program may have put there in place of what should be: no link is followed, and no fifo waited for."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """A descriptor of it; neither it nor the folder around it may be a link. Raises OSError."""
    around = os.open(path.parent, _FOLDER)
    try:
        folder = os.open(path.name, _FOLDER, dir_fd=around)
    finally:
        os.close(around)
    try:
        yield folder
    finally:
        os.close(folder)


def is_folder(path: Path) -> bool:
    """Itself, not what a link of that name leads to."""
    return path.is_dir() and not path.is_symlink()


def open_file(path: Path, *, through_links: bool = False) -> int:
    """A descriptor of a regular file, to read it. Raises OSError."""
    descriptor = os.open(path, _FILE | (0 if through_links else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return descriptor


def read_text(path: Path) -> str:
    """Raises OSError and ValueError."""
    with open(open_file(path), encoding="utf-8") as file:
        return file.read()


def write_text(path: Path, text: str) -> None:
    """Into a new file, in place of what has the name. Raises OSError."""
    with suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
