"""Where a followed experiment is shown: a live screen, plain lines, or JSON lines."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.console import Console, ConsoleDimensions
from rich.live import Live

from clustertune.model.clock import Clock
from clustertune.model.codec import to_plain
from clustertune.model.snapshot import Event, ExperimentSnapshot
from clustertune.view.plain_lines import event_line, progress_line
from clustertune.view.screen import screen

PLAIN_PROGRESS_EVERY_S = 10.0
EVENTS_KEPT = 50


class Display(Protocol):
    """Shows an experiment as it goes on."""

    def show(self, snapshot: ExperimentSnapshot, events: Sequence[Event]) -> None:
        """The experiment now, and the events that are new since the last call."""
        ...

    def say(self, text: str) -> None:
        """A line about the following itself: the coordinator was started again, the experiment is being paused."""
        ...

    def close(self) -> None:
        """Leaves the terminal as it was."""
        ...


class LiveDisplay:
    """The whole screen, redrawn in place. The alternate screen is used, so that a resized window leaves no debris."""

    def __init__(self, console: Console, hint: str) -> None:
        self._console, self._hint = console, hint
        self._events: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._live = Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def show(self, snapshot: ExperimentSnapshot, events: Sequence[Event]) -> None:
        self._events.extend(events)
        # COLUMNS and LINES, which rich would believe, do not follow a window that is resized.
        self._console.size = width, height = ConsoleDimensions(*os.get_terminal_size(self._console.file.fileno()))
        drawn = screen(snapshot, width=width, height=height, events=tuple(self._events), hint=self._hint)
        self._live.update(drawn, refresh=True)

    def say(self, text: str) -> None:
        self._hint = text

    def close(self) -> None:
        self._live.stop()


class PlainDisplay:
    """A line for each event, and one about the progress when there was none for a while."""

    def __init__(self, out: TextIO, clock: Clock) -> None:
        self._out, self._clock = out, clock
        self._quiet_since = clock.monotonic_s()

    def show(self, snapshot: ExperimentSnapshot, events: Sequence[Event]) -> None:
        lines = [line for event in events if (line := event_line(event)) is not None]
        if not lines and self._clock.monotonic_s() - self._quiet_since >= PLAIN_PROGRESS_EVERY_S:
            lines = [f"{self._now()}  {progress_line(snapshot)}"]
        self._print(lines)

    def say(self, text: str) -> None:
        self._print([f"{self._now()}  {text}"])

    def close(self) -> None:
        pass

    def _now(self) -> str:
        return time.strftime("%H:%M:%S", time.localtime(self._clock.wall_s()))

    def _print(self, lines: Sequence[str]) -> None:
        if lines:
            print("\n".join(lines), file=self._out, flush=True)
            self._quiet_since = self._clock.monotonic_s()


class JsonDisplay:
    """A JSON object a line: ``{"type": "event", …}`` with an event's fields, or ``{"type": "note", "text": …}``."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, snapshot: ExperimentSnapshot, events: Sequence[Event]) -> None:
        for event in events:
            self.line({"type": "event", "experiment": snapshot.name, **to_plain(event)})

    def say(self, text: str) -> None:
        self.line({"type": "note", "text": text})

    def line(self, plain: dict[str, object]) -> None:
        print(json.dumps(plain, allow_nan=False), file=self._out, flush=True)

    def close(self) -> None:
        pass


def is_live_terminal(out: TextIO) -> bool:
    """Whether a live view can be drawn there."""
    return out.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
