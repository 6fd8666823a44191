"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="The experiment; may be left out where it is clear which one is meant."),
]
Cluster = Annotated[
    str | None, typer.Option("--cluster", "-c", metavar="NAME", help="Look in this cluster only; default: in all.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print JSON lines: each event, then the result.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines, also on a terminal.")]
