"""What one attempt is heard saying: reports, notices, lines of output, and how its callable ended."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from clustertune.agent.decisions import Answer, Decisions
from clustertune.agent.facts import Facts
from clustertune.agent.log_file import LogFile
from clustertune.agent.metric_text import Batch, Found, JsonLineReader, Level, PatternReader
from clustertune.agent.outbox import Outbox
from clustertune.agent.output import Output
from clustertune.agent.redaction import Redactor
from clustertune.agent.report_stream import ReportStream
from clustertune.agent.saving import Saving
from clustertune.agent.spawner_link import CannotStart
from clustertune.agent.untrusted import open_file
from clustertune.model.messages import Described, Start
from clustertune.model.trial import Report

_PATIENCE_S = 1.0
"""How long to wait for pipes that something beyond our reach still holds open."""

_METRICS_READ_BYTES = 1024 * 1024
_MAX_OUTCOMES = 100


class Ears:
    """Listens to the reports' socket, to the pipes of the processes and to the metrics file, all without waiting."""

    def __init__(
        self, start: Start, folder: Path, log: LogFile, redactor: Redactor, stream: ReportStream, saving: Saving,
        outbox: Outbox, wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self.key = secrets.token_hex(16)
        self._start, self._run, self._folder = start, start.run, folder
        self._log, self._redactor, self._stream, self._saving = log, redactor, stream, saving
        self._outbox, self._wake = outbox, wake
        self._loop = asyncio.get_running_loop()
        self._after = start.checkpoint.resource if start.checkpoint is not None else 0
        self._metrics = JsonLineReader(start.run.resource, after=self._after)
        self._metrics_offset = 0
        self._patterns: PatternReader | None = None
        self._output: Output | None = None
        self._others: list[Output] = []  # what ranks above 0 of a group print: never a report
        self._facts = Facts()
        self.decisions = Decisions(start.target)
        self.last_level = self._after
        self.said: list[dict[str, str]] = []
        self.began_s = self._loop.time()

    def read_patterns(self) -> None:
        """Raises CannotStart."""
        if self._run.metrics:
            try:
                self._patterns = PatternReader(
                    self._run.metrics, self._run.objective, self._run.resource, after=self._after, also=self._run.also
                )
            except ValueError as error:
                raise CannotStart(str(error)) from error

    def open(self, printed: str) -> list[int]:
        """Where the processes are to write, a descriptor for each; ``printed`` is what their import printed."""
        pipes = [os.pipe() for _ in range(self._run.processes)]
        self._output, *self._others = (
            self._read(pipe[0], self._on_lines if self._patterns and pipe is pipes[0] else None) for pipe in pipes
        )
        self._output.add(printed)
        self.began_s = self._loop.time()
        return [pipe[1] for pipe in pipes]

    def _read(self, fd: int, on_lines: Callable[[list[str]], None] | None) -> Output:
        shared = self._run.processes > 1
        return Output(fd, self._loop, self._log, self._redactor, on_lines, whole_lines=shared)

    def on_reports(self, levels: list[Level], size_bytes: int) -> None:
        self.last_level = levels[-1][0]
        elapsed_s = round(max(0.0, self._loop.time() - self.began_s), 6)
        self._stream.add([Report(level, metrics, elapsed_s) for level, metrics in levels], size_bytes)

    def on_notice(self, text: str) -> None:
        self._stream.notice(text)

    def on_outcome(self, outcome: dict[str, str]) -> None:
        if len(self.said) < _MAX_OUTCOMES:
            self.said.append(outcome)

    def on_asks(self) -> None:
        self._saving.can_save = True

    def on_checkpoint(self) -> None:
        self._saving.look(closely=True)

    def on_describe(self, told: dict[str, str]) -> None:
        clean = {self._redactor.text(name): self._redactor.text(text) for name, text in told.items()}
        fresh, notices = self._facts.take(clean)
        for notice in notices:
            self._stream.notice(notice)
        if fresh:
            self._outbox.append(partial(Described, attempt=self._start.attempt, told=fresh))
            self._wake()

    def on_wait(self, level: int, answer: Answer) -> None:
        self.decisions.wait(level, answer)

    def _on_lines(self, texts: list[str]) -> None:
        if self._patterns is not None:
            self._on_batch(self._patterns.lines(texts), sum(map(len, texts)))
            self._tell_held_up()

    def _tell_held_up(self) -> None:
        if self._output is not None and self._patterns is not None and self._output.held_up:
            self._stream.notice("its output comes faster than it can be read; it waits, and its time goes on")

    def _on_found(self, found: Iterable[Found], size_bytes: int) -> None:
        batch = Batch()
        for one in found:
            batch.add(one)
        self._on_batch(batch, size_bytes)

    def _on_batch(self, batch: Batch, size_bytes: int) -> None:
        for notice in batch.notices:
            self._stream.notice(notice)
        if batch.reports:
            self.on_reports(batch.reports, size_bytes)

    def pause_reading(self) -> None:
        if self._output is not None and self._patterns is not None:
            self._output.pause()

    def resume_reading(self) -> None:
        if self._output is not None:
            self._output.resume()
            self._tell_held_up()

    def read_metrics_file(self, *, last: bool = False) -> None:
        """Takes what was appended since the last time, at most one mebibyte of it unless it is the ``last``."""
        try:
            with open(open_file(self._folder / "metrics.jsonl"), "rb") as file:
                file.seek(self._metrics_offset)
                while data := file.read(_METRICS_READ_BYTES):
                    self._metrics_offset += len(data)
                    self._on_found(self._metrics.feed(data), len(data))
                    self._check_metrics_line()
                    if not last:
                        break
        except OSError:
            return  # it is not there yet, and for most trials never will be
        if last:
            self._on_found(self._metrics.feed(b"", last=True), 0)

    def _check_metrics_line(self) -> None:
        if self._metrics.waiting_bytes > _METRICS_READ_BYTES:
            self._metrics = JsonLineReader(self._run.resource, after=self.last_level)
            self._stream.notice("a line of more than 1 MiB in CLUSTERTUNE_METRICS is left out")

    async def drain(self, *, whole: bool) -> None:
        """Everything that was printed or appended, from wherever it still is. All of the processes have ended.

        ``whole``: by themselves and well, so that a last line without its end is no torn one.
        """
        for output in (self._output, *self._others):
            if output is not None:
                await output.drain(_PATIENCE_S, whole=whole)
        self._tell_held_up()
        self.read_metrics_file(last=True)
        self._log.close()
        if self._log.problem:
            self._stream.notice(self._log.problem)

    def why_nothing(self) -> str:
        """Where no line was a report, what there was instead; else empty."""
        return self._patterns.why_nothing() if self._patterns is not None and not self.last_level else ""
