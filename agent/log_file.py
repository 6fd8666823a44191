"""The output of one attempt on disk: its first mebibyte and its last, however much there was."""

from __future__ import annotations

import os
from pathlib import Path

from clustertune.agent.removal import remove
from clustertune.agent.untrusted import open_file

HALF_BYTES = 1024 * 1024
TAIL_BYTES = 4096


class LogFile:
    """Appended to while the attempt runs, and read at any time.

    Offsets count the bytes of the whole output, also of those left out, so that they mean the same before and after.
    The beginning is in one file, the end in two more that take turns; ``close`` joins them.
    """

    def __init__(self, path: Path, half_bytes: int = HALF_BYTES, *, fresh: bool = False) -> None:
        """Reads a log that is there already, of an earlier agent; a ``fresh`` one takes its place."""
        self.path = path
        self._half = half_bytes
        self._file: int | None = None
        self._newer, self._older = path.with_suffix(".newer"), path.with_suffix(".older")
        if fresh and os.path.lexists(path):
            self._remove_all()
        self.size = self._head = path.stat().st_size if path.is_file() else 0
        self._turn = 0  # bytes in the newer of the two files
        self._joined_gap = 0  # bytes left out, once joined
        self._note = b""
        self.tail = b""
        self.problem = ""

    def write(self, data: bytes) -> None:
        """Never raises: on a full disk the log stops, and ``problem`` says so."""
        if self.problem or not data:
            return
        try:
            self._write(data)
        except OSError as error:
            self.problem = f"the log of this attempt stops after {self.size} bytes: {error.strerror}"
        else:
            self.tail = (self.tail + data)[-TAIL_BYTES:] if len(data) < TAIL_BYTES else data[-TAIL_BYTES:]

    def _write(self, data: bytes) -> None:
        first = data[: max(0, self._half - self._head)]
        self._append(self.path, first)
        rest = data[len(first) :]
        while rest:
            if self._turn == self._half:
                self._close_file()
                self._newer.replace(self._older)
                self._turn = 0
            piece = rest[: self._half - self._turn]
            self._append(self._newer, piece)
            rest = rest[len(piece) :]

    def _append(self, path: Path, data: bytes) -> None:
        if path is self._newer and self._turn == 0:
            self._close_file()
        if self._file is None and data:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        while data and self._file is not None:
            written = os.write(self._file, data)
            self._count(path, written)
            data = data[written:]

    def _count(self, path: Path, written: int) -> None:
        self.size += written
        if path is self.path:
            self._head += written
        else:
            self._turn += written

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def close(self) -> None:
        """The attempt is over: one file, with a line between the beginning and the end where something was left out."""
        self._close_file()
        if self._joined_gap or not self._newer.exists():
            return
        gap = self._gap_end() - self._head
        note = f"\n[clustertune: {gap} bytes left out]\n".encode() if gap else b""
        try:
            end = self._read_end(self._gap_end(), self._half)
            with open(self.path, "ab") as file:
                file.write(note + end)
        except OSError as error:
            self.problem = self.problem or f"the end of this attempt's log could not be kept: {error.strerror}"
        self._joined_gap, self._note = gap, note
        for path in (self._newer, self._older):
            path.unlink(missing_ok=True)
        self._turn = 0

    def _gap_end(self) -> int:
        """Where the kept end begins."""
        return max(self._head, self.size - self._half)

    @property
    def left_out_bytes(self) -> int:
        """Between the beginning and the end, once closed."""
        return self._joined_gap

    def read(self, offset: int, limit: int) -> tuple[int, bytes]:
        """At most ``limit`` bytes from ``offset`` on, and where they truly begin: beyond what was left out.

        A negative offset counts from the end. Raises OSError.
        """
        offset = max(0, self.size + offset) if offset < 0 else min(offset, self.size)
        if offset < self._head:
            return offset, _read(self.path, offset, min(limit, self._head - offset))
        offset = max(offset, self._gap_end())
        if self._joined_gap or self._note:
            return offset, _read(self.path, offset - self._joined_gap + len(self._note), limit)
        if self._turn:
            return offset, self._read_end(offset, limit)
        return offset, _read(self.path, offset, limit)

    def _read_end(self, offset: int, limit: int) -> bytes:
        newer_from = self.size - self._turn
        if offset >= newer_from:
            return _read(self._newer, offset - newer_from, limit)
        older = _read(self._older, self._half - (newer_from - offset), min(limit, newer_from - offset))
        return older + _read(self._newer, 0, limit - len(older))

    def remove(self) -> None:
        self._close_file()
        # The other two come to be once the first is full.
        if self._head >= self._half:
            self._remove_all()
        else:
            self.path.unlink(missing_ok=True)

    def _remove_all(self) -> None:
        for path in (self._newer, self._older, self.path):
            remove(path)


def _read(path: Path, offset: int, limit: int) -> bytes:
    try:
        with open(open_file(path), "rb") as file:
            file.seek(offset)
            return file.read(limit)
    except FileNotFoundError:
        return b""


def whole_characters(data: bytes, *, more: bool) -> bytes:
    """``data`` without the beginning of a UTF-8 character at its end that ``more`` will complete."""
    if not more:
        return data
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte >= 0xC0:
            width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if back < width and len(data) > back else data
        if byte < 0x80:
            break
    return data
