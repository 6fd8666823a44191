"""The logs of all attempts, read while they grow and afterwards."""

from __future__ import annotations

from clustertune.agent.folder import Folder
from clustertune.agent.log_file import LogFile, whole_characters
from clustertune.model.messages import MAX_LOG_CHUNK_BYTES, LogChunk, LogRequest


class Logs:
    """Holds those of attempts that run, and of those that left something out; the others are on disk alone."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._held: dict[str, LogFile] = {}

    def open(self, attempt: str, log: LogFile) -> None:
        self._held[attempt] = log

    def close(self, attempt: str) -> None:
        """The attempt is over."""
        if not self._held[attempt].left_out_bytes:
            del self._held[attempt]

    def remove(self, attempt: str) -> None:
        (self._held.pop(attempt, None) or LogFile(self._folder.log(attempt))).remove()

    def chunk(self, request: LogRequest, *, running: bool) -> LogChunk:
        log = self._held.get(request.attempt) or LogFile(self._folder.log(request.attempt))
        try:
            offset, data = log.read(request.offset, max(1, min(request.limit, MAX_LOG_CHUNK_BYTES)))
        except OSError as error:
            text = f"[clustertune: the log cannot be read: {error.strerror}]\n"
            return LogChunk(request.request, log.size, log.size, log.size, text, True)
        data = whole_characters(data, more=running or offset + len(data) < log.size)
        after = offset + len(data)
        end = not running and after >= log.size
        return LogChunk(request.request, offset, after, log.size, data.decode(errors="replace"), end)
