"""Commands about machines: up, down."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from clustertune.cli import options

if TYPE_CHECKING:
    from clustertune.client.coordinator import Coordinator
    from clustertune.model.snapshot import ClusterSnapshot, InstanceRow

POLL_S = 0.2
GONE_LIMIT_S = 60.0


def up(
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER.yaml|NAME", help="The cluster.")],
    as_json: options.Json = False,
) -> None:
    """Bring a cluster's machines up, before there is anything to run. Exit code 3 where one cannot be had."""
    from clustertune.cli.cluster_choice import choose_cluster
    from clustertune.cli.printing import print_json, show
    from clustertune.cli.shipping import send_workdir
    from clustertune.client.nearby import connect
    from clustertune.view.tables import instances

    chosen = choose_cluster(cluster)
    folder = chosen.settle()
    if chosen.definition is not None and chosen.definition.setup:
        send_workdir(chosen, folder)
    with connect(folder) as coordinator:
        coordinator.up()
        snapshot = _when_there(coordinator, quiet=as_json)
    if as_json:
        print_json(snapshot.instances)
    else:
        show(instances(snapshot.instances))
    if any(row.state != "ready" for row in snapshot.instances):
        raise typer.Exit(_provider_refused())


def down(
    cluster: Annotated[str, typer.Argument(metavar="NAME", help="The cluster.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Pause what is running, without asking.")] = False,
    as_json: options.Json = False,
) -> None:
    """End a cluster's machines and its coordinator. Experiments that are running are paused, and can be resumed."""
    from clustertune.cli.places import known
    from clustertune.cli.printing import print_json, warn
    from clustertune.client.home import Home
    from clustertune.client.nearby import connect

    home = Home.from_environment()
    home.check()
    folder = known(home, cluster)
    coordinator = connect(folder)
    snapshot = coordinator.cluster()
    _pause_all(coordinator, snapshot, yes=yes)
    unended = coordinator.down()
    coordinator.shutdown(stop_agents=True)
    _await_end(snapshot.pid)
    ended = [row.instance for row in snapshot.instances if row.state != "down" and row.instance not in unended]
    if as_json:
        print_json({"cluster": folder.name, "ended": ended, "unended": unended})
    else:
        print(f"cluster {folder.name} is down" + (f": {', '.join(ended)} ended" if ended else ""))
    for name, why in unended.items():
        warn(f"{name} could not be ended, and an agent may be left there: {why}")
    if unended:
        raise typer.Exit(_provider_refused())


def _when_there(coordinator: Coordinator, *, quiet: bool) -> ClusterSnapshot:
    """Once each machine is ready or has failed; tells of each as it happens."""
    told: dict[str, str] = {}
    while True:
        snapshot = coordinator.cluster()
        for row in snapshot.instances:
            line = _line(row)
            if told.get(row.instance) != line and line and not quiet:
                print(f"{row.instance}: {line}", file=sys.stderr, flush=True)
            told[row.instance] = line
        if all(row.state in ("ready", "failing") for row in snapshot.instances):
            return snapshot
        time.sleep(POLL_S)


def _line(row: InstanceRow) -> str:
    from clustertune.view.words import counted

    if row.state == "failing":
        return row.problem
    if row.state == "ready":
        return f"ready, {counted(round(row.cpus), 'CPU')}" + (f", {counted(row.gpus, 'GPU')}" if row.gpus else "")
    return "" if row.state == "down" else row.doing or row.state


def _pause_all(coordinator: Coordinator, snapshot: ClusterSnapshot, *, yes: bool) -> None:
    from clustertune.model.errors import Mistake
    from clustertune.model.trial import ExperimentState

    running = [one.name for one in snapshot.experiments if one.state is ExperimentState.RUNNING]
    if running and not yes:
        if not sys.stdin.isatty():
            raise Mistake(f"{', '.join(running)} is running; --yes pauses it first")
        typer.confirm(f"{', '.join(running)} is running: pause it, and end the machines?", abort=True)
    for name in running:
        coordinator.pause(name)
    while any(coordinator.experiment(name).running for name in running):
        time.sleep(POLL_S)


def _await_end(pid: int) -> None:
    from clustertune.model.processes import start_mark

    deadline = time.monotonic() + GONE_LIMIT_S
    mark = start_mark(pid)
    while mark is not None and start_mark(pid) == mark and time.monotonic() < deadline:
        time.sleep(POLL_S / 4)


def _provider_refused() -> int:
    from clustertune.cli.boundary import PROVIDER_REFUSED

    return PROVIDER_REFUSED
