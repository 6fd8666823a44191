"""Which ignore files hold in a folder, and what they say together of what is in it.

``.gitignore`` as git has it: the file nearest to a path comes first, then those of the folders around it up to the
repository's root, then ``.git/info/exclude``. A ``.clustertuneignore``, in the same syntax, comes before all of them,
and may take back in what they leave out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from clustertune.client.ignore_patterns import IgnorePatterns

OURS = ".clustertuneignore"
GITS = ".gitignore"
_NEVER_MEANT = IgnorePatterns(b"__pycache__/\n.venv\n")
_MAX_BYTES = 1024 * 1024

Trouble = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """``folder`` is that of the file, below the top with ``/`` at its end; empty for the top itself."""

    folder: str
    patterns: IgnorePatterns

    def leaves_out(self, path: str, name: str, *, is_folder: bool) -> bool | None:
        return self.patterns.leaves_out(path.removeprefix(self.folder), name, is_folder=is_folder)

    def leads_to(self, path: str) -> bool:
        return self.patterns.leads_to(path.removeprefix(self.folder))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignoring:
    """What holds in one folder. ``prefix`` leads from the top of the repository to the root of what is walked.

    ``closed``: this folder is left out, and only what a pattern of ours takes back in is not.
    """

    prefix: str
    gits: tuple[_File, ...]
    ours: tuple[_File, ...]
    closed: bool = False

    def entered(self, folder: Path, inside: str, trouble: Trouble) -> Ignoring:
        """In a folder; ``inside`` is its path below the root, empty for the root."""
        at = self.prefix + (f"{inside}/" if inside else "")
        gits, ours = _read(folder / GITS, at, trouble), _read(folder / OURS, at, trouble)
        closed = bool(inside) and self._shut(inside)
        return replace(self, gits=(*gits, *self.gits), ours=(*ours, *self.ours), closed=closed)

    def leaves_out(self, path: str, *, is_folder: bool) -> bool:
        """Of something in this folder, by its path below the root. A folder that is left out is not entered."""
        return self._shut(path, is_folder=is_folder) and not (is_folder and self._leads(path))

    def _shut(self, path: str, *, is_folder: bool = True) -> bool:
        """Whether it is left out, but for what may have to be taken back in from it."""
        told = self._told(path, is_folder=is_folder)
        return self.closed if told is None else told

    def _leads(self, path: str) -> bool:
        return any(file.leads_to(self.prefix + path) for file in self.ours)

    def _told(self, path: str, *, is_folder: bool) -> bool | None:
        whole, name = self.prefix + path, path.rpartition("/")[2]
        told = _first(self.ours, whole, name, is_folder=is_folder)
        if told is None and not self.closed:  # git does not look into what is left out
            told = _first(self.gits, whole, name, is_folder=is_folder)
        return told


def _first(files: Iterable[_File], path: str, name: str, *, is_folder: bool) -> bool | None:
    return next(
        (told for file in files if (told := file.leaves_out(path, name, is_folder=is_folder)) is not None), None
    )


def ignoring(root: Path, trouble: Trouble) -> Ignoring:
    """What holds around ``root``, a resolved path; ``entered`` adds what stands in it."""
    never = (_File(folder="", patterns=_NEVER_MEANT),)
    top = _repository(root)
    if top is None:
        return Ignoring(prefix="", gits=(), ours=never)
    parts = root.relative_to(top).parts
    found = Ignoring(prefix="", gits=_read(_exclude(top), "", trouble), ours=())
    for count, part in enumerate(parts):
        inside = "/".join(parts[:count])
        found = replace(found, gits=(*_read(top / inside / GITS, f"{inside}/" if inside else "", trouble), *found.gits))
        if found.leaves_out(f"{inside}/{part}" if inside else part, is_folder=True):
            # The user names a folder that its repository has nothing to do with.
            return Ignoring(prefix="", gits=(), ours=never)
    prefix = "/".join(parts) + "/" if parts else ""
    return Ignoring(prefix=prefix, gits=found.gits, ours=never)


def _read(file: Path, folder: str, trouble: Trouble) -> tuple[_File, ...]:
    """None where it is missing, or a link: git follows none here."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        if error.errno != errno.ELOOP and os.access(file.parent, os.X_OK):  # else the folder itself is told of
            trouble(f"{file} cannot be read ({error.strerror}), and what it leaves out is not: make it readable")
        return ()
    try:
        data = os.read(descriptor, _MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    finally:
        os.close(descriptor)
    if len(data) > _MAX_BYTES:
        trouble(f"{file} holds more than {_MAX_BYTES // 2**20} MiB, and only its beginning is read")
    return (_File(folder=folder, patterns=IgnorePatterns(data)),)


def _repository(root: Path) -> Path | None:
    return next((each for each in (root, *root.parents) if _git_folder(each) is not None), None)


def _git_folder(top: Path) -> Path | None:
    """That of a repository, or of a worktree or submodule, where a file names it."""
    found = top / ".git"
    try:
        if found.is_file():
            found = top / found.read_text("utf-8", "surrogateescape").removeprefix("gitdir:").strip()
        return found if (found / "HEAD").exists() else None
    except OSError:
        return None


def _exclude(top: Path) -> Path:
    folder = _git_folder(top) or top / ".git"
    with contextlib.suppress(OSError):  # only a worktree has it
        folder = folder / (folder / "commondir").read_text("utf-8", "surrogateescape").strip()
    return folder / "info" / "exclude"
