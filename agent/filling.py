"""Makes a folder from a manifest, and checks every byte that goes into it. Blocks: for threads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from clustertune.agent.contents import BLOCK_BYTES, Piece, pieces, read_piece
from clustertune.model.checkpoint import Manifest

Source = Callable[[str], AbstractContextManager[Iterator[bytes]]]
"""Opens a part, by its digest."""


class Damaged(Exception):
    """Bytes that are not what their digest says. ``digest`` is the part's, where it is one's."""

    def __init__(self, error: str, digest: str = "") -> None:
        self.digest = digest
        super().__init__(error)


class Filling:
    """``make``, then ``write`` each of ``parts``, then ``set_modes``; what failed can be done again."""

    def __init__(self, manifest: Manifest, target: Path, check: Callable[[], None] = lambda: None) -> None:
        """``check`` is called often, and ends it by raising."""
        self._manifest, self._target, self._check = manifest, target, check
        self._pieces = pieces(manifest)
        self._made: set[Path] = set()

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self._pieces)

    def make(self) -> None:
        """Folders and empty files. Raises OSError, also where this disk takes two names for one."""
        self._target.mkdir(mode=0o700, exist_ok=True)
        for folder in self._manifest.folders:
            (self._target / folder).mkdir(parents=True, exist_ok=True)
        for file in self._manifest.files:
            path = self._target / file.path
            if path not in self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                self._made.add(path)

    def write(self, digest: str, source: Source) -> None:
        """To every place where it belongs. Raises Damaged, OSError, and what ``source`` raises."""
        first, *others = self._pieces[digest]
        self._write_first(first, digest, source)
        for place in others:
            with self._open(place) as file:
                for block in read_piece(self._target, first):
                    self._check()
                    file.write(block)
                file.flush()

    def _write_first(self, place: Piece, digest: str, source: Source) -> None:
        written, found = 0, hashlib.sha256()
        with self._open(place) as file, source(digest) as blocks:
            for block in blocks:
                self._check()
                found.update(block)
                written += len(block)
                if written > place.size_bytes:
                    raise Damaged(f"a part of {place.path} has more than its {place.size_bytes} bytes", digest)
                file.write(block)
            file.flush()  # a full disk is told here, and not when it is closed
        if written < place.size_bytes or found.hexdigest() != digest:
            raise Damaged(f"a part of {place.path} is not what its digest says", digest)

    def _open(self, place: Piece) -> BinaryIO:
        file = open(self._target / place.path, "r+b", buffering=BLOCK_BYTES)  # noqa: SIM115 - who asks closes it
        file.seek(place.offset)
        return file

    def set_modes(self) -> None:
        for file in self._manifest.files:
            (self._target / file.path).chmod(file.mode)
