"""The parts of working directories that lie on this machine, named by their digests; each is whole or not there."""

from __future__ import annotations

import hashlib
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from clustertune.agent.contents import BLOCK_BYTES
from clustertune.agent.root import Hindered
from clustertune.agent.untrusted import open_file
from clustertune.model.checkpoint import PART_BYTES, is_digest

_FRESH_S = 3600.0
"""What somebody has just sent, or asked for, is about to be laid out: it is no leftover yet."""

_MAX_LINE_BYTES = 128


def is_here(parts: Path, digest: str, size_bytes: int) -> bool:
    try:
        found = (parts / digest).lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size_bytes


def announced(given: BinaryIO) -> tuple[str, int] | None:
    """The next line of a stream, ``DIGEST SIZE``; None at its end. Raises Hindered."""
    line = given.readline(_MAX_LINE_BYTES)
    if not line:
        return None
    digest, _, size = line.decode(errors="replace").removesuffix("\n").partition(" ")
    if not line.endswith(b"\n") or not is_digest(digest) or not (size.isascii() and size.isdigit()):
        raise Hindered("expected a line DIGEST SIZE before each part; found something else")
    if not 0 < int(size) <= PART_BYTES:
        raise Hindered(f"a part has at most {PART_BYTES} bytes, {size} were announced")
    return digest, int(size)


def take_part(parts: Path, digest: str, size_bytes: int, given: BinaryIO) -> None:
    """Reads so many bytes, and keeps them where they are what the digest says. Raises Hindered, OSError."""
    descriptor, name = tempfile.mkstemp(dir=parts, prefix=".")
    part = Path(name)
    try:
        with open(descriptor, "wb") as file:
            _copy(digest, size_bytes, given, file)
        part.replace(parts / digest)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _copy(digest: str, size_bytes: int, given: BinaryIO, file: BinaryIO) -> None:
    found, left = hashlib.sha256(), size_bytes
    while left:
        block = given.read(min(BLOCK_BYTES, left))
        if not block:
            raise Hindered(f"the stream ended {left} bytes before the end of a part; send it again")
        found.update(block)
        file.write(block)
        left -= len(block)
    if found.hexdigest() != digest:
        raise Hindered(f"a part is not what its digest {digest} says; send it again")


@contextmanager
def reading(parts: Path, digest: str) -> Iterator[Iterator[bytes]]:
    """Its bytes in blocks. Raises OSError."""
    with open(open_file(parts / digest), "rb", buffering=0) as file:
        yield iter(lambda: file.read(BLOCK_BYTES), b"")


def remove_all_but(parts: Path, needed: set[str]) -> None:
    """Also what a stream that was cut left; but nothing that was touched a short while ago."""
    now_s = time.time()
    for path in parts.iterdir():
        with suppress(OSError):
            if path.name not in needed and abs(now_s - path.lstat().st_mtime) > _FRESH_S:
                path.unlink()
