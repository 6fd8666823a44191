"""Reads what is in a checkpoint's folder: its manifest, and pieces of it again later. Blocks: for threads."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clustertune.agent.untrusted import open_file
from clustertune.model.checkpoint import MAX_MANIFEST_BYTES, PART_BYTES, FileEntry, Manifest, Part, is_inside

BLOCK_BYTES = 256 * 1024
_MAX_NOTICES = 5
_MAX_DEPTH = 100
"""Folders in folders; nobody means more."""


class Unreadable(Exception):
    """What was saved cannot be kept; the text says why."""


@dataclass(frozen=True)
class Contents:
    """``notices`` name what is left out."""

    manifest: Manifest
    digest: str
    notices: tuple[str, ...] = ()


def read_contents(folder: Path, check: Callable[[], None]) -> Contents:
    """``check`` is called often, and ends it by raising. Raises Unreadable."""
    try:
        walk = _Walk(folder.resolve(), check)
        walk.go()
    except OSError as error:
        raise Unreadable(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    manifest = Manifest(tuple(sorted(walk.files, key=lambda file: file.path)), tuple(sorted(walk.empty_folders)))
    if len(manifest.encode()) > MAX_MANIFEST_BYTES:
        raise Unreadable(
            f"its {len(manifest.files)} files are too many to name in {MAX_MANIFEST_BYTES // 2**20} MiB: pack them"
        )
    return Contents(manifest, manifest.digest(), walk.told())


@dataclass
class _Walk:
    root: Path
    check: Callable[[], None]
    files: list[FileEntry] = field(default_factory=list)
    empty_folders: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def go(self) -> None:
        """Folder by folder; each with those around it, so that a link to one of them does not go in circles."""
        waiting: list[tuple[Path, str, tuple[Path, ...]]] = [(self.root, "", ())]
        while waiting:
            folder, inside, above = waiting.pop()
            above = (*above, folder.resolve())
            if len(above) > _MAX_DEPTH:
                raise Unreadable(f"its folders are nested more than {_MAX_DEPTH} deep; pack them into a file")
            waiting.extend(self._enter(folder, inside, above))

    def _enter(self, folder: Path, inside: str, above: tuple[Path, ...]) -> list[tuple[Path, str, tuple[Path, ...]]]:
        """Takes its files; returns the folders in it."""
        folders, empty = [], True
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            self.check()
            path = f"{inside}/{entry.name}" if inside else entry.name
            real = Path(entry.path).resolve()
            if why := self._why_not(Path(entry.path), path, real, above):
                self.left_out.append(f"{path[:100]!r} is left out of the checkpoint: {why}")
                continue
            empty = False
            if real.is_dir():
                folders.append((Path(entry.path), path, above))
            else:
                self.files.append(read_file(real, path, self.check))
        if inside and empty:
            self.empty_folders.append(inside)
        return folders

    def _why_not(self, entry: Path, path: str, real: Path, above: tuple[Path, ...]) -> str:
        if not _is_writable_as_text(path) or not is_inside(path):
            return "its name has a backslash, is longer than 1024 bytes or is not UTF-8"
        if real in above or not real.is_relative_to(self.root):
            return f"it is a link to {'a folder around it' if real in above else 'something outside'}"
        try:
            mode = entry.stat().st_mode
        except OSError:
            return "it is a link to nothing"
        return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "it is neither a file nor a folder"

    def told(self) -> tuple[str, ...]:
        more = len(self.left_out) - _MAX_NOTICES
        return (*self.left_out[:_MAX_NOTICES], *([f"{more} more are left out of the checkpoint"] if more > 0 else []))


def _is_writable_as_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_file(file: Path, path: str, check: Callable[[], None]) -> FileEntry:
    """Its parts, by reading all of it once. Raises OSError."""
    parts = []
    with open(open_file(file), "rb", buffering=0) as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o777
        while (part := _read_part(opened.fileno(), check)).size_bytes:
            parts.append(part)
            if part.size_bytes < PART_BYTES:
                break
    return FileEntry(path, mode, tuple(parts))


def _read_part(fd: int, check: Callable[[], None]) -> Part:
    digest, size = hashlib.sha256(), 0
    while size < PART_BYTES and (block := os.read(fd, min(BLOCK_BYTES, PART_BYTES - size))):
        digest.update(block)
        size += len(block)
        check()
    return Part(digest.hexdigest(), size)


@dataclass(frozen=True)
class Piece:
    """Where a part lies in a file."""

    path: str
    offset: int
    size_bytes: int


def pieces(manifest: Manifest) -> dict[str, list[Piece]]:
    """All places of each part, by its digest."""
    found: dict[str, list[Piece]] = {}
    for file in manifest.files:
        for number, part in enumerate(file.parts):
            piece = Piece(file.path, number * PART_BYTES, part.size_bytes)
            found.setdefault(part.digest, []).append(piece)
    return found


def read_piece(folder: Path, piece: Piece) -> Iterator[bytes]:
    """Its bytes in blocks. Raises OSError, and Unreadable where there are fewer now."""
    with open(open_file(folder / piece.path, through_links=True), "rb", buffering=0) as file:
        file.seek(piece.offset)
        left = piece.size_bytes
        while left:
            block = file.read(min(BLOCK_BYTES, left))
            if not block:
                raise Unreadable(f"{piece.path} has become shorter on this machine's disk")
            left -= len(block)
            yield block
