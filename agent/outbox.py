"""Keeps what the coordinator has not acknowledged: on disk, and the newest of it in memory too."""

from __future__ import annotations

import errno
import json
import os
import time
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path

from clustertune.model.messages import Numbered, encode

_MEMORY_BYTES = 4 * 1024 * 1024
_EMPTY_ABOVE_BYTES = 1024 * 1024
_REWRITE_ABOVE_BYTES = 64 * 1024 * 1024
_RETRY_S = 1.0


class Outbox:
    """Numbered frames in order: appended, sent, acknowledged. One process, one epoch.

    A frame is written before it is sent, without fsync: that outlives this process, and a machine that dies takes the
    trials along in any case. On a full disk frames stay in memory and writing is tried again; ``problem`` says so.
    """

    def __init__(self, path: Path, memory_bytes: int = _MEMORY_BYTES) -> None:
        """Goes on with what an agent of the same epoch left. Raises OSError."""
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._memory_limit = memory_bytes
        self._acknowledged = 0
        self._lengths = array("I")  # of every frame that is not acknowledged, its line end included
        self._memory: deque[bytes] = deque()  # the newest of them
        self._memory_bytes = 0
        self._unwritten = 0  # how many of the newest are not on disk
        self._begin = self._end = 0  # in the file: of the first frame that is not acknowledged, and after the last
        self._sent = 0  # through this number
        self._next_offset = 0  # in the file: of the frame after that
        self._retry_at_s = 0.0
        self.unsent_bytes = 0
        self.problem = ""
        self._load()

    @property
    def last(self) -> int:
        """The number of the newest frame."""
        return self._acknowledged + len(self._lengths)

    @property
    def settled(self) -> bool:
        """Whether everything is acknowledged."""
        return not self._lengths

    def _load(self) -> None:
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        lines = data.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # the earlier agent died while it wrote
        self._end = sum(map(len, lines))
        os.ftruncate(self._fd, self._end)
        if lines:
            self._acknowledged = json.loads(lines[0])["seq"] - 1
            self._lengths.extend(map(len, lines))
        self.rewind(0)

    def append(self, build: Callable[[int], Numbered]) -> int:
        """Numbers, keeps and returns the number of the message that ``build`` makes of it."""
        number = self.last + 1
        line = encode(build(number)).encode() + b"\n"
        self._lengths.append(len(line))
        self._memory.append(line)
        self._memory_bytes += len(line)
        self._unwritten += 1
        self.unsent_bytes += len(line)
        self._write()
        self._trim()
        return number

    def _write(self) -> None:
        """All that is not on disk yet. What a full disk took only half of is taken back."""
        if self._unwritten > 1 and time.monotonic() < self._retry_at_s:
            return
        data = b"".join(self._memory[index] for index in range(-self._unwritten, 0))
        try:
            written, why = os.write(self._fd, data), os.strerror(errno.ENOSPC)
        except OSError as error:
            written, why = 0, str(error.strerror)
        if written < len(data):
            self.problem = f"reports are kept in memory only, {self._path} cannot be written: {why}"
            os.ftruncate(self._fd, self._end)
            self._retry_at_s = time.monotonic() + _RETRY_S
            return
        self._end += len(data)
        self._unwritten = 0
        self.problem = ""

    def _trim(self) -> None:
        while self._memory_bytes > self._memory_limit and len(self._memory) > self._unwritten:
            self._memory_bytes -= len(self._memory.popleft())

    def acknowledge(self, through: int) -> None:
        """Forgets everything up to ``through``; of numbers beyond the newest, it learns where to go on."""
        if through >= self.last:
            self._forget_all(max(through, self.last))
        elif through > self._acknowledged:
            self._forget(through - self._acknowledged)

    def _forget(self, count: int) -> None:
        passed = sum(self._lengths[:count])
        if self._sent < self._acknowledged + count:
            # Acknowledged over an earlier connection, before this one sent it again.
            self.unsent_bytes -= sum(self._lengths[self._sent - self._acknowledged : count])
            self._sent = self._acknowledged + count
            self._next_offset = self._begin + passed
        del self._lengths[:count]
        self._acknowledged += count
        self._begin += passed
        while len(self._memory) > len(self._lengths):
            self._memory_bytes -= len(self._memory.popleft())
        self._unwritten = min(self._unwritten, len(self._memory))
        # Frames acknowledged before the disk took them never get a place in the file.
        missing = max(0, self._begin - self._end)
        self._begin -= missing
        self._next_offset -= missing
        if self._begin > _REWRITE_ABOVE_BYTES:
            self._rewrite()

    def _forget_all(self, through: int) -> None:
        del self._lengths[:]
        self._memory.clear()
        self._acknowledged = self._sent = through
        self._memory_bytes = self._unwritten = self.unsent_bytes = 0
        if self._end > _EMPTY_ABOVE_BYTES:
            os.ftruncate(self._fd, 0)
            self._end = 0
        self._begin = self._next_offset = self._end

    def _rewrite(self) -> None:
        """Drops the beginning of a file that never was acknowledged wholly. Nothing changes on an error."""
        fresh = self._path.with_suffix(".new")
        data = os.pread(self._fd, self._end - self._begin, self._begin)
        try:
            fresh.write_bytes(data)
            fresh.chmod(0o600)
            fd = os.open(fresh, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except OSError:
            return
        fresh.replace(self._path)
        os.close(self._fd)
        self._fd = fd
        self._next_offset -= self._begin
        self._end -= self._begin
        self._begin = 0

    def rewind(self, acknowledged: int) -> None:
        """After a new connection: the coordinator has everything up to ``acknowledged``, the rest goes out again."""
        self.acknowledge(acknowledged)
        self._sent = self._acknowledged
        self._next_offset = self._begin
        self.unsent_bytes = sum(self._lengths)

    def take(self) -> str | None:
        """The next frame to send; None where all are sent."""
        if self._sent == self.last:
            return None
        index = self._sent - self._acknowledged
        length = self._lengths[index]
        in_memory = index - (len(self._lengths) - len(self._memory))
        line = self._memory[in_memory] if in_memory >= 0 else os.pread(self._fd, length, self._next_offset)
        self._sent += 1
        self._next_offset += length
        self.unsent_bytes -= length
        return line[:-1].decode()

    def close(self) -> None:
        """Removes the file where nothing in it is wanted any more."""
        os.close(self._fd)
        if self.settled:
            self._path.unlink(missing_ok=True)
