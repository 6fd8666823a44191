"""Commands that follow an experiment: tune, watch, resume."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from clustertune.cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clustertune.cli.places import Found
    from clustertune.model.snapshot import ExperimentSnapshot
    from clustertune.view.displays import Display


def tune(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment's definition.")],
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", "-c", metavar="NAME|FILE", help="Where to run; default: this machine."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a field; may be repeated.")
    ] = None,
    plain: options.Plain = False,
    as_json: options.JsonLines = False,
    detach: Annotated[bool, typer.Option("--detach", help="Submit, print the name, and leave.")] = False,
) -> None:
    """Begin an experiment and follow it. Ctrl-C pauses it (with --cluster it only leaves the view)."""
    from clustertune.cli.cluster_choice import choose_cluster
    from clustertune.cli.places import Found
    from clustertune.cli.shipping import sent_along
    from clustertune.cli.submission import prepare
    from clustertune.client.nearby import connect

    chosen = choose_cluster(cluster)
    prepared = prepare(experiment, overrides or [], chosen)
    folder, submission = chosen.settle(), prepared.submission
    if chosen.elsewhere:
        submission = sent_along(prepared, chosen, folder)
    coordinator = connect(folder)
    found = Found(coordinator.submit(submission), folder, coordinator)
    if detach:
        _print_submitted(found, as_json=as_json)
        return
    _follow(found, prepared.secrets, plain=plain, as_json=as_json, pause_on_interrupt=cluster is None)


def watch(
    name: options.Name = None,
    cluster: options.Cluster = None,
    plain: options.Plain = False,
    as_json: options.JsonLines = False,
) -> None:
    """Look on at an experiment. Ctrl-C leaves the view, and the experiment goes on."""
    from clustertune.cli.places import TO_LOOK_AT, find

    _follow(find(name, cluster, TO_LOOK_AT), {}, plain=plain, as_json=as_json, pause_on_interrupt=False)


def resume(
    name: options.Name = None,
    cluster: options.Cluster = None,
    plain: options.Plain = False,
    as_json: options.JsonLines = False,
    detach: Annotated[bool, typer.Option("--detach", help="Resume and leave.")] = False,
) -> None:
    """Go on with a paused experiment and follow it. Secrets are read from the environment again.

    One that has completed meanwhile has nothing to go on with: its result is shown.
    """
    found, secrets, seen = _take_up(name, cluster)
    if detach:
        _print_submitted(found, as_json=as_json)
        return
    _follow(found, secrets, plain=plain, as_json=as_json, pause_on_interrupt=cluster is None, after=seen)


def _take_up(name: str | None, cluster: str | None, tries: int = 3) -> tuple[Found, Mapping[str, str], int]:
    """Resumes, and tells with which secrets and after which event. A coordinator that dies meanwhile is asked again."""
    from clustertune.cli.places import TO_RESUME, find
    from clustertune.cli.submission import secrets_from_environment, secrets_of_cluster
    from clustertune.model.errors import CoordinatorUnreachable
    from clustertune.model.trial import ExperimentState
    from clustertune.view.follow import last_event_id

    try:
        found = find(name, cluster, TO_RESUME)
        snapshot = found.coordinator.experiment(found.name)
        seen = last_event_id(found.coordinator, found.name)
        if snapshot.state is ExperimentState.COMPLETED:
            return found, {}, seen
        of_cluster = secrets_of_cluster(found.folder.stored_definition() or {})
        secrets = secrets_from_environment([*snapshot.secrets, *of_cluster])
        found.coordinator.resume(found.name, secrets)
    except CoordinatorUnreachable:
        if tries <= 1:
            raise
        return _take_up(name, cluster, tries - 1)
    return found, secrets, seen


def _follow(
    found: Found,
    secrets: Mapping[str, str],
    *,
    plain: bool,
    as_json: bool,
    pause_on_interrupt: bool,
    after: int = 0,
) -> NoReturn:
    """Until it ends or the user leaves; exits with the code that says which."""
    from clustertune.client.nearby import connect, log_end
    from clustertune.view.follow import follow
    from clustertune.view.interrupts import Interrupts
    from clustertune.view.link import Link

    link = Link(
        found.name, found.coordinator, lambda: connect(found.folder), secrets,
        log_end=lambda: log_end(found.folder), leaves=not pause_on_interrupt,
    )  # fmt: skip
    hint = "Ctrl-C pauses the experiment" if pause_on_interrupt else "Ctrl-C leaves; the experiment goes on"
    with Interrupts() as interrupts:
        display = _display(plain=plain, as_json=as_json, hint=hint)
        try:
            snapshot = follow(link, display, interrupts, after=after, pause_on_interrupt=pause_on_interrupt)
        except KeyboardInterrupt:
            display.close()
            _tell_of_hasty_leave(found.name, pausing=pause_on_interrupt)
        finally:
            display.close()
    found = replace(found, coordinator=link.coordinator)
    if as_json:
        _print_result(found, snapshot)
    else:
        _print_ending(found, snapshot)
    raise typer.Exit(_exit_code(snapshot))


def _tell_of_hasty_leave(name: str, *, pausing: bool) -> NoReturn:
    from clustertune.cli.boundary import INTERRUPTED
    from clustertune.cli.printing import warn
    from clustertune.cli.program import program

    if pausing:
        warn(f"left at once; {name} may still be ending its trials. Go on with: {program()} resume {name}")
    else:
        warn(f"left; look on again with: {program()} watch {name}")
    raise typer.Exit(INTERRUPTED)


def _display(*, plain: bool, as_json: bool, hint: str) -> Display:
    from clustertune.cli.printing import console
    from clustertune.model.clock import SystemClock
    from clustertune.view.displays import JsonDisplay, LiveDisplay, PlainDisplay, is_live_terminal

    if as_json:
        return JsonDisplay(sys.stdout)
    if plain or not is_live_terminal(sys.stdout):
        return PlainDisplay(sys.stdout, SystemClock())
    return LiveDisplay(console(), hint)


def _print_result(found: Found, snapshot: ExperimentSnapshot) -> None:
    """As the last JSON line."""
    import json

    from clustertune.view.displays import JsonDisplay

    results = json.loads(found.coordinator.file(found.name, "results.json"))
    JsonDisplay(sys.stdout).line({"type": "result", **results, "folder": snapshot.folder})


def _print_ending(found: Found, snapshot: ExperimentSnapshot) -> None:
    from clustertune.cli.looking import best_wrote
    from clustertune.cli.printing import show
    from clustertune.cli.program import program
    from clustertune.view.ending import ending

    show(ending(snapshot, program(), best_wrote=best_wrote(found, snapshot)))


def _exit_code(snapshot: ExperimentSnapshot) -> int:
    from clustertune.cli.boundary import FAILED, INTERRUPTED
    from clustertune.model.trial import ExperimentState

    if snapshot.state is ExperimentState.FAILED or (snapshot.state is ExperimentState.PAUSED and snapshot.failure):
        return FAILED
    return 0 if snapshot.state.ended else INTERRUPTED


def _print_submitted(found: Found, *, as_json: bool) -> None:
    from clustertune.cli.printing import print_json
    from clustertune.cli.program import program

    if as_json:
        print_json({"experiment": found.name, "cluster": found.folder.name})
    else:
        print(f"{found.name} runs; look on with: {program()} watch {found.name}")
