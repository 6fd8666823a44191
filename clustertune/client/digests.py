"""Remembers what files held when they were read, so that an unchanged folder costs one walk."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from clustertune.client.walk import FoundFile
from clustertune.model.checkpoint import PART_BYTES, Part, is_digest

_VERSION = 1
_SURE_NS = 2_000_000_000
"""The grain of the coarsest file times: two changes within it may share one. git calls such files racy."""


class Digests:
    """The parts of files by their paths, as long as size, times and inode are what they were."""

    def __init__(self, file: Path | None) -> None:
        """``file`` keeps them between two commands; None keeps nothing. One that cannot be read is as good as none."""
        self._file = file
        self._before: dict[str, Any] = _read(file) if file is not None else {}
        self._now: dict[str, list[Any]] = {}
        self._changed = False

    def known(self, found: FoundFile) -> tuple[Part, ...] | None:
        """Its parts, where it is the file that was read before."""
        entry = self._before.get(found.path)
        if not isinstance(entry, list) or entry[:4] != _key(found):
            return None
        parts = _parts(found.stamp.size_bytes, entry[4] if len(entry) == 5 else None)
        if parts is not None:
            self._now[found.path] = entry
        return parts

    def remember(self, found: FoundFile, parts: tuple[Part, ...], read_ns: int) -> None:
        """``read_ns``: the wall time just before it was read. What had just changed may change again unseen."""
        self._changed = True
        if max(found.stamp.mtime_ns, found.stamp.ctime_ns) + _SURE_NS < read_ns:
            self._now[found.path] = [*_key(found), [part.digest for part in parts]]

    def save(self) -> None:
        """What cannot be kept is read again the next time."""
        if self._file is None or not (self._changed or self._now.keys() != self._before.keys()):
            return
        draft = self._file.with_name(f".{self._file.name}.{secrets.token_hex(4)}")
        text = json.dumps({"version": _VERSION, "files": self._now}, separators=(",", ":"))
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            draft.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()


def _key(found: FoundFile) -> list[int]:
    stamp = found.stamp
    return [stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns, stamp.inode]


def _parts(size_bytes: int, digests: object) -> tuple[Part, ...] | None:
    sizes = [min(PART_BYTES, size_bytes - start) for start in range(0, size_bytes, PART_BYTES)]
    if not isinstance(digests, list) or len(digests) != len(sizes):
        return None
    if not all(isinstance(digest, str) and is_digest(digest) for digest in digests):
        return None
    return tuple(Part(digest, size) for digest, size in zip(digests, sizes, strict=True))


def _read(file: Path) -> dict[str, Any]:
    try:
        plain = json.loads(file.read_bytes())
        found = plain["files"] if plain["version"] == _VERSION else {}
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
