"""How far the user's program has come on its way to the coordinator, in one line."""

from __future__ import annotations

from typing import TextIO

from clustertune.client.sending import Progress
from clustertune.model.clock import Clock

QUIET_S = 0.5
"""What takes no longer is not worth a word."""

LINE_S = 5.0
LIVE_S = 0.1
_CLEAR = "\r\x1b[2K"


class SendingView:
    """One line that changes on a terminal; elsewhere a line every few seconds. Nothing where it takes no time."""

    def __init__(self, stream: TextIO, clock: Clock, *, live: bool) -> None:
        self._stream, self._clock, self._live = stream, clock, live
        self._began_s: float | None = None
        self._shown_s: float | None = None
        self._last: Progress | None = None

    def __call__(self, progress: Progress) -> None:
        now_s = self._clock.monotonic_s()
        if self._began_s is None:
            self._began_s = now_s
        self._last = progress
        if now_s >= self._due_s(self._began_s):
            self._show(now_s - self._began_s)
            self._shown_s = now_s

    def close(self) -> None:
        """The last line stays where any was shown."""
        if self._shown_s is not None and self._began_s is not None:
            self._show(self._clock.monotonic_s() - self._began_s)
            if self._live:
                self._write("\n")
        self._began_s = self._shown_s = self._last = None

    def _due_s(self, began_s: float) -> float:
        every_s = LIVE_S if self._live else LINE_S
        if self._shown_s is None:
            return began_s + (QUIET_S if self._live else every_s)
        return self._shown_s + every_s

    def _show(self, elapsed_s: float) -> None:
        if self._last is not None:
            text = line(self._last, elapsed_s)
            self._write(f"{_CLEAR}{text}" if self._live else f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def line(progress: Progress, elapsed_s: float) -> str:
    """``sending the program: 3,211 of 10,000 files, 12.1 of 48.3 MB, 5.2 MB/s``."""
    rate = f", {_amount(progress.sent_bytes / elapsed_s)}/s" if elapsed_s > 0 and progress.sent_bytes else ""
    files = f"{progress.files_sent:,} of {progress.files:,} file{'' if progress.files == 1 else 's'}"
    return f"sending the program: {files}, {_of(progress.sent_bytes, progress.size_bytes)}{rate}"


def _of(part_bytes: int, whole_bytes: int) -> str:
    size, unit = _unit(whole_bytes)
    return f"{part_bytes / size:.1f} of {whole_bytes / size:.1f} {unit}"


def _amount(size_bytes: float) -> str:
    size, unit = _unit(size_bytes)
    return f"{size_bytes / size:.1f} {unit}"


def _unit(size_bytes: float) -> tuple[float, str]:
    if size_bytes >= 1e9:
        return 1e9, "GB"
    return (1e6, "MB") if size_bytes >= 1e5 else (1e3, "kB")
