"""Ctrl-C as something to ask about: the first one is counted, the second one interrupts at once."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Self


class Interrupts:
    """While entered: SIGINT is counted, a second one raises KeyboardInterrupt; SIGTERM raises SystemExit(143).

    A SIGINT that this program was told to ignore (as shells do for what runs in the background) stays ignored.
    Only for the main thread.
    """

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[signal.Signals, object] = {}
        self._heard, self._tell = os.pipe()
        os.set_blocking(self._tell, False)

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_interrupt)
        # SystemExit unwinds the stack, so that the terminal is put right before the process ends.
        self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._on_terminate)
        return self

    def __exit__(self, *failure: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal.signal returned it takes back
        os.close(self._heard)
        os.close(self._tell)

    def wait(self, seconds: float) -> None:
        """Sleeps; a signal ends it early."""
        if select.select([self._heard], [], [], seconds)[0]:
            os.read(self._heard, 64)

    def _on_interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        os.write(self._tell, b"!")
        if self.count > 1:
            raise KeyboardInterrupt

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)
