"""Takes a snapshot of the user's program: what is in its folder now, as a manifest, and its parts to read again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from clustertune.client.digests import Digests
from clustertune.client.walk import FoundFile, Stamp, Walk
from clustertune.client.weight import Weight
from clustertune.model.checkpoint import PART_BYTES, FileEntry, Manifest, Part
from clustertune.model.errors import ClustertuneError, Mistake
from clustertune.model.workdir import MAX_MANIFEST_BYTES

BLOCK_BYTES = 512 * 1024
_READINGS = 3
_NAMED = 5


class Changed(ClustertuneError):
    """A file is not what it was when the snapshot was taken: take it again."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} changed after it was read; stop what writes it, or add it to .gitignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """``encoded`` is the manifest, ``digest`` its name. ``notices`` say what was left out, and what is much."""

    root: Path
    manifest: Manifest
    encoded: bytes
    digest: str
    notices: tuple[str, ...]
    _places: dict[str, tuple[str, str, int]]

    def read(self, part: Part) -> Iterator[bytes]:
        """The bytes of a part, in blocks; the last is given only where all are right. Raises Changed."""
        path, file, offset = self._places[part.digest]
        found, block, left = hashlib.sha256(), b"", part.size_bytes
        try:
            with _opened(file) as opened:
                while left:
                    if block:
                        yield block
                    block = os.pread(opened, min(BLOCK_BYTES, left), offset)
                    if not block:
                        raise Changed(path)
                    found.update(block)
                    offset, left = offset + len(block), left - len(block)
        except OSError as error:
            raise Changed(path) from error
        if found.hexdigest() != part.digest:
            raise Changed(path)
        yield block


def take(
    folder: Path,
    *,
    remembered: Path | None = None,
    without: Path | None = None,
    weight: Weight | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> Snapshot:
    """What is in ``folder`` now. Raises Mistake where there is no such folder, nothing in it, or more than can be sent.

    ``remembered`` is a file that keeps what was read between two calls; ``without`` is a folder that never goes, for
    it holds what nobody else may see. ``weight`` has the limits, and ``now_ns`` is wall time.
    """
    root, weight = folder.resolve(), weight or Weight()
    found: list[FoundFile] = []

    def note(file: FoundFile) -> None:
        found.append(file)
        weight.add(file.path, file.stamp.size_bytes)

    walk = Walk(root, note, without.resolve() if without is not None else None)
    try:
        walk.go()
    except OSError as error:
        raise Mistake(f"{root} cannot be read ({error.strerror}), and it is what the machines are to run") from error
    weight.check()
    reading = _Reading(Digests(remembered), now_ns)
    entries = [entry for file in found if (entry := reading.entry(file)) is not None]
    reading.digests.save()
    if not entries:
        raise Mistake(f"there is nothing in {root} to send to the machines; what .gitignore names is not sent")
    manifest = Manifest(tuple(sorted(entries, key=lambda entry: entry.path)), tuple(sorted(walk.empty_folders)))
    encoded = manifest.encode()
    if len(encoded) > MAX_MANIFEST_BYTES:
        raise Mistake(f"the paths of the {len(entries):,} files in {root} are too long to be sent; leave some out")
    notices = (*_shortened([*walk.notices, *reading.notices]), *filter(None, [weight.warning()]))
    places = _places(manifest, {file.path: file.file for file in found})
    digest = hashlib.sha256(encoded).hexdigest()
    return Snapshot(root=root, manifest=manifest, encoded=encoded, digest=digest, notices=notices, _places=places)


class _Reading:
    """Files to their parts. ``notices`` name what cannot be read, and what changes all the time."""

    def __init__(self, digests: Digests, now_ns: Callable[[], int]) -> None:
        self.digests, self._now_ns = digests, now_ns
        self.notices: list[str] = []

    def entry(self, found: FoundFile) -> FileEntry | None:
        try:
            parts = self.digests.known(found)
            return FileEntry(found.path, found.mode, self._read(found) if parts is None else parts)
        except OSError as error:
            what = "it is gone" if isinstance(error, FileNotFoundError) else f"it cannot be read ({error.strerror})"
            self.notices.append(f"{found.path!r} stays here: {what}; make it readable, or add it to .gitignore")
            return None

    def _read(self, found: FoundFile) -> tuple[Part, ...]:
        for _ in range(_READINGS):
            began_ns = self._now_ns()
            with _opened(found.file) as opened:
                before = Stamp.of(os.fstat(opened))
                parts = tuple(_parts(opened))
                after = Stamp.of(os.fstat(opened))
            if before == after and sum(part.size_bytes for part in parts) == after.size_bytes:
                self.digests.remember(replace(found, stamp=after), parts, began_ns)
                return parts
        self.notices.append(
            f"{found.path!r} changed while it was read, {_READINGS} times, and goes as it was in between; "
            "stop what writes it, or add it to .gitignore"
        )
        return parts


def _parts(opened: int) -> Iterator[Part]:
    while True:
        digest, size = hashlib.sha256(), 0
        while size < PART_BYTES and (block := os.read(opened, min(BLOCK_BYTES, PART_BYTES - size))):
            digest.update(block)
            size += len(block)
        if size:
            yield Part(digest.hexdigest(), size)
        if size < PART_BYTES:
            return


@contextlib.contextmanager
def _opened(file: str) -> Iterator[int]:
    """Of what is a regular file no more, nothing is read."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(f"{file} is no file any more")
        yield descriptor
    finally:
        os.close(descriptor)


def _places(manifest: Manifest, files: dict[str, str]) -> dict[str, tuple[str, str, int]]:
    """Where each part lies: path below the root, file, offset."""
    return {
        part.digest: (entry.path, files[entry.path], number * PART_BYTES)
        for entry in manifest.files
        for number, part in enumerate(entry.parts)
    }


def _shortened(notices: list[str]) -> list[str]:
    more = len(notices) - _NAMED
    return [*notices[:_NAMED], *([f"{more} more files or folders stay here"] if more > 0 else [])]
