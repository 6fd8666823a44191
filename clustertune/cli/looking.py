"""Commands that show what is there: status, logs, results, list."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from clustertune.cli import options
from clustertune.model.errors import Mistake
from clustertune.model.trial import ExperimentState

if TYPE_CHECKING:
    from clustertune.cli.places import Found
    from clustertune.model.snapshot import ExperimentSnapshot, LogPage

BEST_SHOWN = 10
FOLLOW_POLL_S = 0.2
MOST_TRIED = 50
PIPED_WIDTH = 120
STATUS_LINES = 30


def status(name: options.Name = None, cluster: options.Cluster = None, as_json: options.Json = False) -> None:
    """Show an experiment as it is now, or all of them and the machines."""
    from clustertune.cli.places import TO_LOOK_AT, clusters, find
    from clustertune.cli.printing import print_json

    if name is None:
        places = clusters(cluster)
        if sum(len(place.snapshot.experiments) for place in places) != 1:
            _overview(cluster, as_json=as_json)
            return
    found = find(name, cluster, TO_LOOK_AT)
    snapshot = found.coordinator.experiment(found.name)
    if as_json:
        print_json(snapshot)
    else:
        _print_status(snapshot)


def list_(cluster: options.Cluster = None, as_json: options.Json = False) -> None:
    """List all experiments."""
    from clustertune.cli.places import clusters
    from clustertune.cli.printing import print_json, show
    from clustertune.view.tables import experiments

    summaries = [one for place in clusters(cluster) for one in place.snapshot.experiments]
    if as_json:
        print_json(summaries)
    elif not summaries:
        print("no experiments yet; begin with `clustertune init`")
    else:
        show(experiments(summaries, time.time()))


def results(
    name: options.Name = None,
    cluster: options.Cluster = None,
    path: Annotated[bool, typer.Option("--path", help="Print only the folder that holds the results.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show an experiment's best trials, or all on its front, and where its results are."""
    from clustertune.cli.places import TO_LOOK_AT, find
    from clustertune.cli.printing import show
    from clustertune.view.ending import outcome
    from clustertune.view.tables import best_first, trials

    found = find(name, cluster, TO_LOOK_AT)
    snapshot = found.coordinator.experiment(found.name)
    if path:
        print(snapshot.folder)
    elif as_json:
        print(found.coordinator.file(found.name, "results.json").rstrip())
    else:
        rows = best_first(found.coordinator.all_trials(found.name), snapshot.goal)
        if shown := [row for row in rows if row.front] if snapshot.front else rows[:BEST_SHOWN]:
            show(trials(shown, snapshot.resource), "")
        show(outcome(snapshot))


def logs(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The experiment.")] = None,
    trial: Annotated[
        int | None,
        typer.Argument(metavar="[TRIAL]", help="Its number; default: a failed or running one, else the best."),
    ] = None,
    attempt: Annotated[int | None, typer.Option("--attempt", help="Default: the last one.", min=1)] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the attempt is over.")] = False,
    cluster: options.Cluster = None,
    as_json: options.Json = False,
) -> None:
    """Print what a trial wrote."""
    from clustertune.cli.places import TO_LOOK_AT, find
    from clustertune.cli.printing import warn

    found = find(name, cluster, TO_LOOK_AT)
    number = _interesting_trial(found, follow=follow) if trial is None else trial
    if number is None:
        warn(f"no trial of {found.name} wrote anything")
        return
    if trial is None and not as_json:
        print(f"trial {number} of {found.name}:", file=sys.stderr)
    if follow:
        _await_trial(found, number)
    _print_log(found, number, attempt, follow=follow, as_json=as_json)


def _print_status(snapshot: ExperimentSnapshot) -> None:
    from clustertune.cli.printing import console, show
    from clustertune.view.screen import screen

    show(screen(snapshot, width=min(console().width, PIPED_WIDTH), height=STATUS_LINES, events=snapshot.events))


def _interesting_trial(found: Found, *, follow: bool) -> int | None:
    """The newest failed or running trial that wrote something, else the best one, else any; None where none did.

    One that is to be followed need not have written anything yet.
    """
    coordinator, name = found.coordinator, found.name
    begun = [row for row in coordinator.all_trials(name) if row.attempts]
    if not begun:
        raise Mistake(f"no trial of {name} has begun yet")
    best = coordinator.experiment(name).best
    notable = [row.trial for row in reversed(begun) if row.state.value in ("failed", "running")]
    others = [row.trial for row in reversed(begun)]
    running = {row.trial for row in begun if row.state.value == "running"}
    candidates = [*notable[:MOST_TRIED], *([best.trial] if best else []), *others[:MOST_TRIED]]
    return next((trial for trial in candidates if (follow and trial in running) or wrote(found, trial)), None)


def wrote(found: Found, trial: int) -> bool:
    """Whether the trial's last attempt has any output."""
    page = found.coordinator.log(found.name, trial, limit=1)
    return bool(page.next_offset) and not page.missing


def best_wrote(found: Found, snapshot: ExperimentSnapshot) -> bool:
    return snapshot.best is not None and wrote(found, snapshot.best.trial)


def _await_trial(found: Found, trial: int) -> None:
    """An experiment that has just begun has no trials yet; who follows waits for them."""
    while True:
        snapshot = found.coordinator.experiment(found.name)
        if sum(snapshot.counts.values()) > trial or snapshot.state is not ExperimentState.RUNNING:
            return
        if snapshot.limit is not None and trial >= snapshot.limit:
            return
        time.sleep(FOLLOW_POLL_S)


def _print_log(found: Found, trial: int, attempt: int | None, *, follow: bool, as_json: bool) -> None:
    from clustertune.cli.printing import print_json, warn

    offset = 0
    while True:
        page = found.coordinator.log(found.name, trial, attempt=attempt, offset=offset)
        if as_json:
            print_json(page)
        else:
            _write(page)
        if page.missing or page.end or (not page.text and not follow):
            break
        if not page.text:
            time.sleep(FOLLOW_POLL_S)
        offset = page.next_offset
    if page.next_offset == 0 and not as_json:
        warn(f"trial {trial} of {found.name} wrote nothing")


def _write(page: LogPage) -> None:
    if page.missing:
        raise Mistake(page.missing)
    sys.stdout.write(page.text)
    sys.stdout.flush()


def _overview(cluster: str | None, *, as_json: bool) -> None:
    from clustertune.cli.places import clusters
    from clustertune.cli.printing import print_json, show
    from clustertune.view.tables import experiments, instances

    snapshots = [place.snapshot for place in clusters(cluster)]
    if as_json:
        print_json(snapshots)
        return
    if not snapshots:
        print("no experiments yet; begin with `clustertune init`")
    for snapshot in snapshots:
        print(f"cluster {snapshot.cluster} ({snapshot.provider}), coordinator process {snapshot.pid}")
        if snapshot.problem:
            print(f"problem: {snapshot.problem}")
        if there := [row for row in snapshot.instances if row.state != "down"]:
            show(instances(there))
        if snapshot.experiments:
            show(experiments(snapshot.experiments, time.time()))
