"""Printing for people and for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from clustertune.model.codec import to_plain

NO_TERMINAL_WIDTH = 1000
"""What is piped into another program is not cut to the width of a screen."""


def show(*renderables: RenderableType) -> None:
    """Tables fit the terminal. Text is left for it to wrap, so that a long command can be copied whole."""
    output = console()
    for renderable in renderables:
        output.print(renderable, soft_wrap=isinstance(renderable, Text))


def console() -> Console:
    """Standard output, without markup: what users wrote is never read as style."""
    width = None if sys.stdout.isatty() else NO_TERMINAL_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)


def print_json(value: Any) -> None:
    """A dataclass, or anything of plain values; non-finite numbers become strings."""
    print(json.dumps(to_plain(value), indent=2, allow_nan=False))


@contextlib.contextmanager
def transfer_progress(what: str, total_bytes: int) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, and nothing elsewhere."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total_bytes)
        yield lambda come, total: bar.update(task, completed=come, total=total)


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
