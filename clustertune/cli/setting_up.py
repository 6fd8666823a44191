"""Commands around an experiment: init, schema, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from clustertune.cli import options

KINDS: dict[str, Literal["experiment", "cluster"]] = {"experiment": "experiment", "cluster": "cluster"}


def init(
    template: Annotated[str | None, typer.Argument(metavar="[TEMPLATE]", help="Default: list them.")] = None,
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Default: the template's name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Copy a template to begin with; without one, list them."""
    from clustertune.cli import templates

    if template is None:
        templates.print_list(as_json=as_json)
    else:
        templates.copy(template, directory or Path(template), force=force, as_json=as_json)


def schema(kind: Annotated[str, typer.Argument(metavar="experiment|cluster", help="Of which kind of file.")]) -> None:
    """Print the JSON Schema of a definition, for editors and checks."""
    from clustertune.cli.printing import print_json
    from clustertune.definition import json_schema
    from clustertune.model.errors import NoSuchName
    from clustertune.search.registry import Registry

    if kind not in KINDS:
        raise NoSuchName("kind of definition", kind, KINDS)
    print_json(json_schema(KINDS[kind], Registry.default()))


def doctor(as_json: options.Json = False) -> None:
    """Check that all that clustertune needs is there. Exit code 1 where something is not."""
    from clustertune.cli.doctor import examine, print_findings

    findings = examine()
    print_findings(findings, as_json=as_json)
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)
