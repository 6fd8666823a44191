"""One attempt's output: from the pipe, without secrets, into its log and to who looks for metrics in it."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from collections.abc import Callable

from clustertune.agent.log_file import LogFile
from clustertune.agent.redaction import Redactor

_READ_BYTES = 64 * 1024
_MANY_FULL_READS = 256
"""One after the other the pipe was full, for 16 MiB: who wrote had to wait for us."""

MAX_LINE_BYTES = 64 * 1024
"""A longer line is looked at in pieces of this size."""


class Output:
    """Reads a pipe that many processes may write to, until all of them closed it or nobody waits for it any more."""

    def __init__(
        self,
        fd: int,
        loop: asyncio.AbstractEventLoop,
        log: LogFile,
        redactor: Redactor,
        on_lines: Callable[[list[str]], None] | None,
        *,
        whole_lines: bool = False,
    ) -> None:
        """``on_lines`` gets all lines, without their ends; they end by a carriage return too, as progress bars do.

        ``held_up`` tells whether the program was seen to wait until its output was read.

        ``whole_lines``: others write into the same log, and lines shall not be torn.
        """
        os.set_blocking(fd, False)
        self._fd: int | None = fd
        self._loop = loop
        self._log, self._redactor, self._on_lines = log, redactor, on_lines
        self._held = self._line = self._torn = b""
        self._whole_lines = whole_lines
        self._at_end: asyncio.Event = asyncio.Event()
        self._full_reads = 0
        self.held_up = False
        self._paused = True
        self.resume()

    def pause(self) -> None:
        """Reads nothing until ``resume``: the program blocks once the pipe is full."""
        if self._fd is not None and not self._paused:
            self._loop.remove_reader(self._fd)
        self._paused = True

    def resume(self) -> None:
        if self._fd is not None and self._paused:
            self.held_up |= _waiting_bytes(self._fd) >= _READ_BYTES
            self._loop.add_reader(self._fd, self._on_readable)
        self._paused = False

    async def drain(self, patience_s: float, *, whole: bool) -> None:
        """Reads what is there; where somebody holds the pipe open still, waits at most ``patience_s`` for its end.

        ``whole``: a last line without its end is one that the program meant so, and not torn by its death.
        """
        self.resume()
        while self._fd is not None and self._on_readable():
            pass
        if self._fd is not None:
            try:
                await asyncio.wait_for(self._at_end.wait(), patience_s)
            except asyncio.TimeoutError:
                self._finish()
        if whole:
            self._tell(self._line)
        self._line = b""

    def _on_readable(self) -> bool:
        """Whether there may be more to read at once."""
        if self._fd is None:
            return False
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._full_reads = self._full_reads + 1 if len(data) == _READ_BYTES else 0
            self.held_up |= self._full_reads >= _MANY_FULL_READS
            self._take(self._held + data)
        else:
            self._finish()
        return bool(data)

    def add(self, text: str) -> None:
        """Text that did not come through the pipe: what an import printed."""
        self._take(text.encode())

    def _take(self, data: bytes) -> None:
        clean, self._held = self._redactor.split(data)
        self._write(clean)
        if self._on_lines is not None:
            self._cut(clean)

    def _write(self, data: bytes) -> None:
        if self._whole_lines:
            data = self._torn + data
            end = len(data) if len(data) > MAX_LINE_BYTES else max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
            data, self._torn = data[:end], data[end:]
        self._log.write(data)

    def _cut(self, data: bytes) -> None:
        data = self._line + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        self._tell(data[:end])
        self._line = data[end:]
        while len(self._line) > MAX_LINE_BYTES:
            self._tell(self._line[:MAX_LINE_BYTES])
            self._line = self._line[MAX_LINE_BYTES:]

    def _tell(self, data: bytes) -> None:
        lines = list(filter(None, data.replace(b"\r", b"\n").decode(errors="replace").split("\n")))
        if lines and self._on_lines is not None:
            self._on_lines(lines)

    def _finish(self) -> None:
        if self._fd is None:
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = None
        clean = self._redactor.all(self._held)
        self._held = b""
        self._log.write(self._torn + clean + (b"\n" if self._torn + clean and self._whole_lines else b""))
        if self._on_lines is not None:
            self._cut(clean)  # what is left of it waits until it is known how the program ended
        self._at_end.set()


def _waiting_bytes(fd: int) -> int:
    """In a pipe, 64 KiB unless somebody changed it."""
    found = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, found)
    return found[0]
