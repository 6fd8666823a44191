"""Renderables as the lines that a terminal of a given width would show."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType


def lines(renderable: RenderableType, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(renderable)
    return [line.rstrip() for line in captured.get().splitlines()]
