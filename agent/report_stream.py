"""Gathers one attempt's reports and notices into frames for the outbox, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from clustertune.agent.outbox import Outbox
from clustertune.agent.redaction import Redactor
from clustertune.model.messages import Reports
from clustertune.model.trial import Report

GATHER_S = 0.005
"""After a frame, what arrives within this time goes as one: a trial that reports all the time costs few frames."""

_FRAME_REPORTS = 1000
_FRAME_BYTES = 1024 * 1024
_MAX_NOTICES = 20
_MAX_NOTICE_CHARS = 500


class ReportStream:
    """The first reports go at once, those that follow soon after together. Never drops a report.

    Holds everything back until ``open``: Started comes first.
    """

    def __init__(self, attempt: str, outbox: Outbox, redactor: Redactor, wake: Callable[[], None]) -> None:
        """``wake`` is called when there is something to send."""
        self._attempt, self._outbox, self._redactor, self._wake = attempt, outbox, redactor, wake
        self._reports: list[Report] = []
        self._bytes = 0
        self._notices: list[str] = []
        self._told: set[str] = set()
        self._opened = False
        self._timer: asyncio.TimerHandle | None = None

    def open(self) -> None:
        self._opened = True
        self._settle()

    def add(self, reports: Iterable[Report], size_bytes: int) -> None:
        """``size_bytes`` is about what the reports are as text."""
        self._reports.extend(reports)
        self._bytes += size_bytes
        if self._opened and (len(self._reports) >= _FRAME_REPORTS or self._bytes >= _FRAME_BYTES):
            self.flush()
        self._settle()

    def notice(self, text: str) -> None:
        """Says each thing once, and no more than twenty of them."""
        text = self._redactor.text(text)[:_MAX_NOTICE_CHARS]
        if text in self._told or len(self._told) > _MAX_NOTICES:
            return
        self._told.add(text)
        self._notices.append(
            text if len(self._told) <= _MAX_NOTICES else "further notices of this attempt are left out"
        )
        self._settle()

    def _settle(self) -> None:
        if self._timer is None and self._opened and (self._reports or self._notices):
            self.flush()
            self._timer = asyncio.get_running_loop().call_later(GATHER_S, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._settle()

    def flush(self) -> None:
        """Hands over all there is."""
        if self._outbox.problem:
            self._note_quietly(self._outbox.problem)
        reports, notices = self._reports, tuple(self._notices)
        self._reports, self._notices, self._bytes = [], [], 0
        for first in range(0, max(len(reports), 1), _FRAME_REPORTS):
            part = tuple(reports[first : first + _FRAME_REPORTS])
            if part or notices:
                self._outbox.append(partial(self._frame, reports=part, notices=notices))
            notices = ()
        self._wake()

    def _frame(self, seq: int, *, reports: tuple[Report, ...], notices: tuple[str, ...]) -> Reports:
        return Reports(seq, self._attempt, reports, notices)

    def _note_quietly(self, text: str) -> None:
        text = self._redactor.text(text)
        if text not in self._told:
            self._told.add(text)
            self._notices.append(text)

    def close(self) -> tuple[str, ...]:
        """Hands over what is left, and returns the notices that were not told yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        notices, self._notices = tuple(self._notices), []
        if self._reports:
            self.flush()
        self._opened = False
        return notices + tuple(self._notices)
