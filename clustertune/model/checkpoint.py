"""What a checkpoint is made of: files in parts named by their digests, and the one description that names them all.

The digest of a checkpoint is that of its manifest, so that equal content has equal names: a part that is kept already
is never sent again, an interrupted transfer goes on where it was, and whoever reads can check every byte.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from clustertune.model.codec import FieldError, from_plain, to_plain

PART_BYTES = 32 * 1024 * 1024
"""Files are cut into parts of this size; only the last of a file is smaller."""

MAX_MANIFEST_BYTES = 16 * 1024 * 1024
MAX_PATH_BYTES = 1024

_DIGEST = re.compile(r"[0-9a-f]{64}")


class SavedKind(str, Enum):
    """What a trial may leave behind."""

    CHECKPOINT = "checkpoint"
    RESULT = "result"


@dataclass(frozen=True)
class CheckpointRef:
    """A whole checkpoint, by the digest of its manifest. ``resource`` is the level that it was taken at."""

    digest: str
    resource: int
    size_bytes: int = 0


@dataclass(frozen=True)
class Part:
    """A piece of a file: SHA-256 in hexadecimal, and length."""

    digest: str
    size_bytes: int


@dataclass(frozen=True)
class FileEntry:
    """One regular file: its path below the checkpoint's folder with ``/``, its permission bits, its parts in order."""

    path: str
    mode: int = 0o600
    parts: tuple[Part, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True)
class Manifest:
    """All files of a checkpoint, sorted by path, and folders that would else be missing for they are empty."""

    files: tuple[FileEntry, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def parts(self) -> dict[str, int]:
        """Each part once: its size by its digest."""
        return {part.digest: part.size_bytes for file in self.files for part in file.parts}

    def encode(self) -> bytes:
        """The one form that the digest is of."""
        return json.dumps(to_plain(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    def digest(self) -> str:
        return hashlib.sha256(self.encode()).hexdigest()


def read_manifest(data: bytes, digest: str | None = None, limit_bytes: int = MAX_MANIFEST_BYTES) -> Manifest:
    """Raises ValueError for what is not a manifest, is not the one of this digest, or would leave its folder."""
    if len(data) > limit_bytes:
        raise ValueError(f"a manifest holds at most {limit_bytes} bytes, found {len(data)}")
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("the manifest is damaged: its digest is another")
    try:
        manifest: Manifest = from_plain(Manifest, json.loads(data))
    except (FieldError, ValueError, RecursionError) as error:
        raise ValueError(f"this is no manifest: {error}") from error
    _check(manifest)
    return manifest


def _check(manifest: Manifest) -> None:
    seen: set[str] = set()
    for path in (*(file.path for file in manifest.files), *manifest.folders):
        if not is_inside(path) or path in seen:
            raise ValueError(f"a manifest names a path that it must not: {path[:100]!r}")
        seen.add(path)
    for file in manifest.files:
        if not 0 <= file.mode <= 0o777:
            raise ValueError(f"the mode of {file.path[:100]!r} is no permission")
        for part in file.parts:
            if not is_digest(part.digest) or not 0 < part.size_bytes <= PART_BYTES:
                raise ValueError(f"a part of {file.path[:100]!r} is not one")
    for path in seen:
        if any(str(parent) in seen and str(parent) not in manifest.folders for parent in PurePosixPath(path).parents):
            raise ValueError(f"a manifest names {path[:100]!r} below a file")


def is_inside(path: str) -> bool:
    """Whether a path names something below the folder that it is relative to."""
    if not path or "\0" in path or "\\" in path or len(path.encode(errors="replace")) > MAX_PATH_BYTES:
        return False
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and str(pure) == path and path != "."


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None
