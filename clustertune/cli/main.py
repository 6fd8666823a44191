"""The `clustertune` program: its commands, in the order in which one needs them."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from clustertune import __version__
from clustertune.cli import (
    best,
    boundary,
    following,
    insight,
    looking,
    machines,
    replay,
    setting_up,
    simulate,
    steering,
)

app = typer.Typer(
    name="clustertune",
    help="Tunes any training program's hyperparameters on machines that you own.",
    epilog="Begin with `clustertune init`. Exit codes: 0 done, 1 the experiment failed, 2 a mistake in the command or "
    "a definition, 3 the provider refused, 130 interrupted.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)

for command in (
    setting_up.init,
    machines.up,
    following.tune,
    looking.status,
    following.watch,
    looking.logs,
    steering.pause,
    steering.stop,
    following.resume,
    looking.results,
    best.best,
    insight.insight,
    looking.list_,
    machines.down,
    replay.replay,
    simulate.simulate,
    setting_up.schema,
    setting_up.doctor,
):
    app.command(name=command.__name__.rstrip("_"))(boundary.guarded(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"clustertune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> NoReturn:
    """What the console script calls."""
    app()
    raise SystemExit(0)
