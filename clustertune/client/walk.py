"""Which files of a folder go to machines: a walk that honours ignore files and follows links that stay inside."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clustertune.client.ignore_files import Ignoring, ignoring
from clustertune.model.checkpoint import MAX_PATH_BYTES

_GIT = ".git"
_MAX_DEPTH = 100
"""Folders in folders; nobody means more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What changes when a file's content does."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            ctime_ns=status.st_ctime_ns,
            inode=status.st_ino,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """``path`` is below the root, with ``/``; ``file`` is where its content lies, behind all links."""

    path: str
    file: str
    mode: int
    stamp: Stamp


@dataclass(slots=True)
class Walk:
    """``root`` is resolved. ``notices`` name what is left out though no ignore file says so.

    ``without``: a folder that never goes, by its resolved path.
    """

    root: Path
    found: Callable[[FoundFile], None]
    without: Path | None = None
    empty_folders: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Calls ``found`` for each file; what that raises ends the walk. Raises OSError where the root is no folder."""
        around = ignoring(self.root, self.notices.append)
        waiting = [_Folder(self.root, "", around.entered(self.root, "", self.notices.append), (str(self.root),))]
        while waiting:
            waiting.extend(self._enter(waiting.pop()))

    def _enter(self, folder: _Folder) -> Iterator[_Folder]:
        """Takes its files; gives the folders in it."""
        empty = True
        for entry in self._entries(folder):
            path = f"{folder.inside}/{entry.name}" if folder.inside else entry.name
            is_link = entry.is_symlink()
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name == _GIT or folder.ignoring.leaves_out(path, is_folder=is_folder):
                continue
            real = os.path.realpath(entry.path) if is_link else f"{folder.real}/{entry.name}"
            if self.without is not None and real == str(self.without):
                continue
            if why := self._why_not(path, real, folder, is_link=is_link):
                self.notices.append(f"{path[:200]!r} stays here: {why}")
                continue
            try:
                status = entry.stat()
            except OSError as error:
                self.notices.append(_unreadable(path, error))
                continue
            if stat.S_ISDIR(status.st_mode):
                empty = False
                inside = folder.ignoring.entered(Path(entry.path), path, self.notices.append)
                yield _Folder(Path(entry.path), path, inside, (*folder.above, real))
            elif stat.S_ISREG(status.st_mode):
                empty = False
                mode = stat.S_IMODE(status.st_mode) & 0o777
                self.found(FoundFile(path=path, file=real, mode=mode, stamp=Stamp.of(status)))
            else:
                self.notices.append(f"{path[:200]!r} stays here: it is neither a file nor a folder")
        if empty and folder.inside and not folder.ignoring.closed:
            self.empty_folders.append(folder.inside)

    def _entries(self, folder: _Folder) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder.path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not folder.inside:
                raise
            self.notices.append(_unreadable(folder.inside, error))
            return []

    def _why_not(self, path: str, real: str, folder: _Folder, *, is_link: bool) -> str:
        if not _can_be_named(path):
            return "its path has a backslash, is longer than 1024 bytes or is not UTF-8; give it another name"
        if len(folder.above) > _MAX_DEPTH:
            return f"it is more than {_MAX_DEPTH} folders deep; pack it into a file"
        if not is_link:
            return ""
        if not os.path.exists(real):  # noqa: PTH110 - a path of text
            return "it is a link to nothing"
        if real in folder.above:
            return "it is a link to a folder around it"
        if not real.startswith(f"{folder.above[0]}/"):
            return "it is a link that leads out of the folder; copy what it leads to"
        return "it is a link to something that is left out itself" if self._is_left_out(real) else ""

    def _is_left_out(self, real: str) -> bool:
        """By what holds where it really lies."""
        parts = Path(real).relative_to(self.root).parts
        at, inside = self.root, ignoring(self.root, _say_nothing).entered(self.root, "", _say_nothing)
        for count, part in enumerate(parts, 1):
            path, at = "/".join(parts[:count]), at / part
            if part == _GIT or at == self.without or inside.leaves_out(path, is_folder=at.is_dir()):
                return True
            inside = inside.entered(at, path, _say_nothing)
        return False


@dataclass(frozen=True, slots=True)
class _Folder:
    """``above``: where this folder and those around it really lie, the root first."""

    path: Path
    inside: str
    ignoring: Ignoring
    above: tuple[str, ...]

    @property
    def real(self) -> str:
        return self.above[-1]


def _can_be_named(path: str) -> bool:
    """In a manifest: `is_inside` of a path that nobody made up."""
    try:
        return "\\" not in path and len(path.encode()) <= MAX_PATH_BYTES
    except UnicodeEncodeError:
        return False


def _unreadable(path: str, error: OSError) -> str:
    return f"{path[:200]!r} stays here: it cannot be read ({error.strerror}); make it readable, or add it to .gitignore"


def _say_nothing(trouble: str) -> None:
    """It was said when the walk came by."""
