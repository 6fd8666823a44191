"""What the commands of ``setup`` write: on standard error as it comes, and in a log; in both without secrets."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from clustertune.agent.log_file import LogFile
from clustertune.agent.redaction import Redactor
from clustertune.agent.sound_text import sound


class SetupOutput:
    """A new log in place of the last one."""

    def __init__(self, path: Path, redactor: Redactor) -> None:
        self.redactor, self._held = redactor, b""
        self._log = LogFile(path, fresh=True)

    def hear(self, data: bytes) -> None:
        done, self._held = self.redactor.split(self._held + data)
        self._tell(done)

    def flush(self) -> None:
        """Nothing more comes that could make a secret of what was held back."""
        held, self._held = self._held, b""
        self._tell(self.redactor.all(held))

    def _tell(self, data: bytes) -> None:
        self._log.write(data)
        show(data)

    @property
    def tail(self) -> str:
        return sound(self._log.tail.decode(errors="replace"))

    def close(self) -> None:
        self.flush()
        self._log.close()


def show(data: bytes) -> None:
    """For people. Where nobody is connected any more, what was begun is brought to its end all the same."""
    with suppress(OSError):
        while data:
            data = data[os.write(2, data) :]
