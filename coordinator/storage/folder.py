"""Keeps checkpoints in a local folder. Parts come to our own socket and are hashed while they are written."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

from clustertune.coordinator.storage.checkpoints import part_key
from clustertune.coordinator.storage.contracts import Found, PartFiles, Receiver, TooLarge, WrongPart
from clustertune.model.checkpoint import PART_BYTES
from clustertune.model.errors import NoSuchName, StorageError, StorageFull, StorageRefused, StorageUnavailable

_PART = ".part-"
"""Begins the name of what is not whole yet."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)

Result = TypeVar("Result")


class FolderObjects:
    """Objects are files below ``folder``, which nobody else may read. ``what`` they are, for people."""

    def __init__(self, folder: Path, what: str = "checkpoints") -> None:
        self._folder, self._what = folder, what
        self.parts: PartFiles | None = FolderParts(folder, what)

    async def check(self) -> None:
        await self.write("check", b"clustertune")
        await self.read("check")
        await self.delete(["check"])

    async def write(self, key: str, data: bytes) -> None:
        await self._in_thread(_write_whole, self._folder / key, data)

    async def read(self, key: str) -> bytes | None:
        return await self._in_thread(_read, self._folder / key)

    async def sizes(self, keys: Collection[str]) -> dict[str, int]:
        return await self._in_thread(_sizes, self._folder, keys)

    async def settle(self, experiment_id: str) -> None:
        await self._in_thread(_sync_folder, self._folder / experiment_id / "parts")

    async def list(self, prefix: str) -> list[Found]:
        return await self._in_thread(_found, self._folder, prefix)

    async def delete(self, keys: Iterable[str]) -> None:
        await self._in_thread(_delete, self._folder, list(keys))

    async def puts(self, keys: Mapping[str, str]) -> dict[str, str | None]:
        return dict.fromkeys(keys)

    async def gets(self, keys: Mapping[str, str]) -> dict[str, str | None]:
        return dict.fromkeys(keys)

    async def _in_thread(self, work: Callable[..., Result], folder: Path, *arguments: object) -> Result:
        def run() -> Result:
            with _explained(folder, self._what):
                return work(folder, *arguments)

        return await asyncio.to_thread(run)


class FolderParts:
    """The parts in a folder, one at a time, for threads."""

    def __init__(self, folder: Path, what: str = "checkpoints") -> None:
        self._folder, self._what = folder, what

    def receive(self, experiment_id: str, digest: str) -> Receiver:
        with _explained(self._folder, self._what):
            return PartReceiver(self._folder / part_key(experiment_id, digest), digest, self._what)

    def open(self, experiment_id: str, digest: str) -> BinaryIO:
        with _explained(self._folder, self._what):
            try:
                return (self._folder / part_key(experiment_id, digest)).open("rb")
            except FileNotFoundError:
                raise NoSuchName("part", digest, ()) from None


class PartReceiver:
    """Writes under another name while it hashes; what is whole gets its name in one step.

    It may be abandoned from another thread while one writes.
    """

    def __init__(self, path: Path, digest: str, what: str = "checkpoints") -> None:
        self._path, self._digest, self._what = path, digest, what
        self._hash, self._size_bytes = hashlib.sha256(), 0
        self._lock = threading.RLock()  # a descriptor that is closed under a write may already be another file's
        _make_private(path.parent)
        self._part = path.with_name(f"{_PART}{secrets.token_hex(8)}")
        self._descriptor: int | None = _create(self._part)

    def write(self, block: bytes) -> None:
        with self._lock, self._abandoned_on_error():
            self._size_bytes += len(block)
            if self._size_bytes > PART_BYTES:
                raise TooLarge(f"a part holds at most {PART_BYTES} bytes")
            _write_all(self._open, block)
            self._hash.update(block)

    def finish(self) -> None:
        with self._lock, self._abandoned_on_error():
            found = self._hash.hexdigest()
            if found != self._digest:
                raise WrongPart(
                    f"the {self._size_bytes} bytes that came are {found}, and not {self._digest}: send them again"
                )
            os.fsync(self._open)
            self._part.replace(self._path)
            self._close()

    def abandon(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                self._close()
                self._part.unlink(missing_ok=True)

    @property
    def _open(self) -> int:
        if self._descriptor is None:
            raise StorageUnavailable("this part was abandoned")
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextlib.contextmanager
    def _abandoned_on_error(self) -> Iterator[None]:
        try:
            with _explained(self._path.parent, self._what):
                yield
        except (StorageError, WrongPart):
            self.abandon()
            raise


@contextlib.contextmanager
def _explained(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _storage_error(error, folder, what) from error


def _storage_error(error: OSError, folder: Path, what: str) -> StorageError:
    said = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        return StorageFull(f"no room for {what} in {folder} ({said}): free some space; what was kept is safe")
    if error.errno in _NO_RIGHT:
        return StorageRefused(f"{what} cannot be kept in {folder} ({said}): make it a folder that you may write")
    return StorageUnavailable(f"{what} cannot be kept in {folder} now: {said}")


def _write_whole(path: Path, data: bytes) -> None:
    _make_private(path.parent)
    part = path.with_name(f"{_PART}{secrets.token_hex(8)}")
    try:
        descriptor = _create(part)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _sizes(folder: Path, keys: Collection[str]) -> dict[str, int]:
    found = {}
    for key in keys:
        with contextlib.suppress(FileNotFoundError):
            found[key] = (folder / key).stat().st_size
    return found


def _found(folder: Path, prefix: str) -> list[Found]:
    found, now_s = [], time.time()
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / prefix) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                about = entry.stat(follow_symlinks=False)
                key = f"{prefix}/{entry.name}"
                found.append(Found(key=key, size_bytes=about.st_size, age_s=now_s - about.st_mtime))
    return found


def _delete(folder: Path, keys: Iterable[str]) -> None:
    parents = set()
    for key in keys:
        (folder / key).unlink(missing_ok=True)
        parents |= {(folder / key).parent, (folder / key).parent.parent} - {folder}
    for parent in sorted(parents, reverse=True):  # inner ones first
        if folder in parent.parents:
            with contextlib.suppress(OSError):
                parent.rmdir()


def _make_private(folder: Path) -> None:
    if folder.is_dir():
        return
    for each in (*reversed(folder.parents), folder):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:  # a folder that was empty was just deleted
        _make_private(path.parent)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
