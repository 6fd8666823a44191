"""Keeps the programs that are sent to machines elsewhere: snapshots of the user's folder, in parts that many share."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from clustertune.coordinator.storage.checkpoints import PROMISE_S, Checkpoints, manifest_key, part_key
from clustertune.coordinator.storage.contracts import Receiver
from clustertune.coordinator.storage.folder import FolderObjects, FolderParts
from clustertune.model.checkpoint import Manifest, is_digest, is_inside, read_manifest
from clustertune.model.clock import Clock
from clustertune.model.errors import Mistake, NoSuchName, PartsMissing, StorageError
from clustertune.model.workdir import MAX_BYTES, MAX_FILES, MAX_MANIFEST_BYTES

_SNAPSHOTS = "snapshots"
_WHAT = "the program that was sent"
_CURRENT = "current"
_UNDER_WAY = 4
"""Snapshots whose parts are being sent; who announced one before these has to announce it again."""

log = logging.getLogger(__name__)


class Workdirs:
    """The snapshots of one cluster.

    One is whole, and can be used, once all its parts are there. It stays while an experiment that has not ended names
    it, or it is the cluster's ``current`` one; one that no experiment has named yet stays for an hour. So do parts that
    came, for who was cut off to go on.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._objects = FolderObjects(folder, _WHAT)
        self._store = Checkpoints(self._objects, clock, manifest_bytes=MAX_MANIFEST_BYTES)
        self._announced: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._new: set[str] = set()
        self._used: set[str] = set()
        self._going: set[str] = set()
        self._receiving = 0
        self._parts = FolderParts(folder, _WHAT)
        self.current = _read_digest(folder / _CURRENT)

    async def announce(self, manifest: Manifest, digest: str) -> dict[str, int]:
        """The sizes, by their digests, of parts that are missing; where none is, the snapshot is whole now.

        Raises Mistake where it is more than machines are sent, and StorageError.
        """
        parts = manifest.parts
        if len(manifest.files) > MAX_FILES or manifest.size_bytes > MAX_BYTES:
            raise Mistake(
                f"a program of {len(manifest.files):,} files and {manifest.size_bytes:,} bytes is too much to be sent: "
                f"at most {MAX_FILES:,} files and {MAX_BYTES:,} bytes can; leave some out in .gitignore"
            )
        missing = {put.digest: put.size_bytes for put in await self._store.missing(_SNAPSHOTS, parts)}
        if not missing:
            try:
                await self._store.keep(_SNAPSHOTS, manifest)
            except PartsMissing as error:  # somebody removed them at this moment
                missing = error.parts
        self._announced.pop(digest, None)
        self._used.discard(digest)
        self._new.add(digest)
        if missing:
            self._announced[digest] = parts
            while len(self._announced) > _UNDER_WAY:
                self._announced.popitem(last=False)
        return missing

    def expected(self, part: str) -> int | None:
        """The size of a part that is under way; None for what nobody announced."""
        return next((parts[part] for parts in self._announced.values() if part in parts), None)

    def receive(self, part: str) -> Receiver:
        """For a thread. Raises StorageError."""
        return self._parts.receive(_SNAPSHOTS, part)

    def manifest(self, digest: str) -> Manifest:
        """Of a snapshot that is whole. Blocks. Raises NoSuchName where there is none, StorageError."""
        try:
            return read_manifest(self._path(manifest_key, digest).read_bytes(), digest, MAX_MANIFEST_BYTES)
        except FileNotFoundError:
            raise NoSuchName("snapshot", digest, ()) from None
        except (OSError, ValueError) as error:
            raise StorageError(f"the snapshot {digest[:12]} cannot be read ({error}): send it again") from error

    def open_part(self, digest: str) -> Path:
        """The file of a part that a whole snapshot names. Raises NoSuchName where it is gone."""
        path = self._path(part_key, digest)
        if not path.is_file():
            raise NoSuchName("part", digest, ())
        return path

    def is_whole(self, digest: str) -> bool:
        return is_digest(digest) and digest not in self._going and self._path(manifest_key, digest).is_file()

    def used(self, digest: str) -> None:
        """An experiment names it, from now on until it ends: its first hour is over."""
        self._used.add(digest)

    async def make_current(self, digest: str) -> None:
        """What machines are given that come up later. Raises NoSuchName where it is not whole, StorageError."""
        if not self.is_whole(digest):
            raise NoSuchName("snapshot", digest, ())
        await self._objects.write(_CURRENT, digest.encode())
        self.current = digest

    async def keep(self, wanted: Callable[[], Collection[str]]) -> None:
        """Those stay that are ``wanted`` at the moment, and the current one; others go.

        What cannot be deleted now is tried the next time.
        """
        try:
            found = await self._objects.list(f"{_SNAPSHOTS}/manifests")
            ages_s = {it.key.rpartition("/")[2]: it.age_s for it in found}
            kept = {digest for digest in ages_s if is_digest(digest) and not self._goes(digest, ages_s[digest], wanted)}
            for digest in ages_s.keys() - kept:
                # Asked again for each, for somebody may have begun an experiment with it meanwhile.
                if is_digest(digest) and self._goes(digest, ages_s[digest], wanted):
                    await self._drop(digest, {*kept, *filter(self.is_whole, wanted())})
            await self._store.sweep(_SNAPSHOTS, {*kept, *filter(self.is_whole, wanted())})
        except StorageError as error:
            log.warning("programs that nobody needs any more stay in %s: %s", self._folder, error)

    def _goes(self, digest: str, age_s: float, wanted: Callable[[], Collection[str]]) -> bool:
        if digest == self.current or digest in wanted():
            return False
        return digest in self._used or (digest not in self._new and age_s > PROMISE_S)

    async def _drop(self, digest: str, kept: Collection[str]) -> None:
        self._going.add(digest)
        try:
            await self._store.drop(_SNAPSHOTS, digest, kept)
        finally:
            self._going.discard(digest)

    @contextlib.contextmanager
    def receiving(self) -> Iterator[None]:
        """While something comes in, the coordinator is not idle."""
        self._receiving += 1
        try:
            yield
        finally:
            self._receiving -= 1

    @property
    def busy(self) -> bool:
        return self._receiving > 0

    def _path(self, key: Callable[[str, str], str], digest: str) -> Path:
        try:
            return self._folder / key(_SNAPSHOTS, digest)
        except ValueError:
            raise NoSuchName("snapshot", digest[:100], ()) from None


def folder_in(manifest: Manifest, path: str) -> bool:
    """Whether a snapshot has this folder; it has its own, which is empty."""
    if not path:
        return True
    within = f"{path}/"
    return is_inside(path) and (
        any(file.path.startswith(within) for file in manifest.files)
        or any(f"{folder}/".startswith(within) for folder in manifest.folders)
    )


def _read_digest(path: Path) -> str:
    try:
        text = path.read_text("ascii")
    except (OSError, ValueError):
        return ""
    return text if is_digest(text) else ""
