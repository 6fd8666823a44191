"""One attempt's output: from the pipe, without secrets, into its log and to who looks for metrics in it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable

from clustertune.agent.log_file import LogFile
from clustertune.agent.redaction import Redactor

_READ_BYTES = 64 * 1024
_LINE_END = re.compile(rb"[\r\n]+")
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
        on_line: Callable[[str], None] | None,
    ) -> None:
        """``on_line`` gets every line, without its end; lines end by a carriage return too, as progress bars do."""
        os.set_blocking(fd, False)
        self._fd: int | None = fd
        self._loop = loop
        self._log, self._redactor, self._on_line = log, redactor, on_line
        self._held = self._line = b""
        self._at_end: asyncio.Event = asyncio.Event()
        self._paused = True
        self.resume()

    def pause(self) -> None:
        """Reads nothing until ``resume``: the program blocks once the pipe is full."""
        if self._fd is not None and not self._paused:
            self._loop.remove_reader(self._fd)
        self._paused = True

    def resume(self) -> None:
        if self._fd is not None and self._paused:
            self._loop.add_reader(self._fd, self._on_readable)
        self._paused = False

    async def drain(self, patience_s: float) -> None:
        """Reads what is there; where somebody holds the pipe open still, waits at most ``patience_s`` for its end."""
        self.resume()
        while self._fd is not None and self._on_readable():
            pass
        if self._fd is not None:
            try:
                await asyncio.wait_for(self._at_end.wait(), patience_s)
            except asyncio.TimeoutError:
                self._finish()

    def _on_readable(self) -> bool:
        """Whether there may be more to read at once."""
        if self._fd is None:
            return False
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._take(self._held + data)
        else:
            self._finish()
        return bool(data)

    def add(self, text: str) -> None:
        """Text that did not come through the pipe: what an import printed."""
        self._take(text.encode())

    def _take(self, data: bytes) -> None:
        clean, self._held = self._redactor.split(data)
        self._log.write(clean)
        if self._on_line is not None:
            self._cut(clean)

    def _cut(self, data: bytes) -> None:
        *lines, self._line = _LINE_END.split(self._line + data)
        for line in lines:
            self._tell(line)
        while len(self._line) > MAX_LINE_BYTES:
            self._tell(self._line[:MAX_LINE_BYTES])
            self._line = self._line[MAX_LINE_BYTES:]

    def _tell(self, line: bytes) -> None:
        if line and self._on_line is not None:
            self._on_line(line.decode(errors="replace"))

    def _finish(self) -> None:
        if self._fd is None:
            return
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._fd = None
        clean = self._redactor.all(self._held)
        self._held = b""
        self._log.write(clean)
        self._tell(self._line + clean)
        self._line = b""
        self._at_end.set()
