"""The user's program on its way to machines elsewhere: which folder, the snapshot, and sending it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clustertune.cli.printing import warn
from clustertune.client.nearby import connect
from clustertune.client.workdir import Changed, Snapshot, take
from clustertune.model.errors import Mistake

if TYPE_CHECKING:
    from clustertune.cli.cluster_choice import ClusterChoice
    from clustertune.cli.submission import Prepared
    from clustertune.client.coordinator import Coordinator
    from clustertune.client.home import ClusterFolder
    from clustertune.model.snapshot import Submission

_TAKES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """``folder`` is sent, and trials run in ``within`` of it (empty: in itself).

    ``of_cluster``: it is the cluster's workdir, which machines that come up later are given as well.
    """

    folder: Path
    within: str = ""
    of_cluster: bool = False


def sent_along(prepared: Prepared, cluster: ClusterChoice, folder: ClusterFolder) -> Submission:
    """The submission, with the program that it names at the coordinator. Raises Mistake where it cannot be sent."""
    shipment = what_to_send(cluster.workdir, prepared.workdir)
    snapshot = take_snapshot(shipment, folder)
    snapshot = send_snapshot(shipment, snapshot, folder, lambda: connect(folder))
    return replace(prepared.submission, snapshot=snapshot.digest, workdir=shipment.within)


def send_workdir(cluster: ClusterChoice, folder: ClusterFolder) -> None:
    """The cluster's own workdir alone, where setup runs on machines that come up. Raises Mistake."""
    shipment = Shipment(folder=Path(cluster.workdir), of_cluster=True)
    send_snapshot(shipment, take_snapshot(shipment, folder), folder, lambda: connect(folder))


def what_to_send(cluster_workdir: str, experiment_workdir: Path) -> Shipment:
    """The cluster's workdir where the experiment's lies in it, else the experiment's alone. Both are absolute."""
    whole, own = Path(cluster_workdir), experiment_workdir.resolve()
    if not whole.is_absolute():  # a cluster that was written down before it had one
        return Shipment(folder=own)
    whole = whole.resolve()
    if own.is_relative_to(whole):
        return Shipment(folder=whole, within="" if own == whole else own.relative_to(whole).as_posix(), of_cluster=True)
    warn(f"the experiment's workdir {own} is outside the cluster's, {whole}: it alone goes to the machines")
    return Shipment(folder=own)


def take_snapshot(shipment: Shipment, folder: ClusterFolder) -> Snapshot:
    """Says what is left out, and what is much. Raises Mistake where it cannot be sent, or trials could not run."""
    user = Path.home().resolve()
    if user.is_relative_to(shipment.folder.resolve()):
        raise Mistake(
            f"{shipment.folder} is no folder to send to machines: your keys and all else that you have are in it; put "
            "the program into a folder of its own, and name that as the cluster's workdir"
        )
    snapshot = take(shipment.folder, remembered=folder.read_files(shipment.folder), without=folder.home)
    for notice in snapshot.notices:
        warn(notice)
    within = f"{shipment.within}/"
    if shipment.within and not any(file.path.startswith(within) for file in snapshot.manifest.files):
        raise Mistake(
            f"nothing of {shipment.folder / shipment.within}, where trials are to run, would go to the machines: "
            "an ignore file leaves it out; take it back in by a line in .clustertuneignore, such as "
            f"!/{shipment.within}/"
        )
    return snapshot


def send_snapshot(
    shipment: Shipment, snapshot: Snapshot, folder: ClusterFolder, connect: Callable[[], Coordinator]
) -> Snapshot:
    """What was sent in the end: where files change meanwhile it is taken again. Raises Mistake where they always do."""
    for _ in range(_TAKES - 1):
        try:
            _send(shipment, snapshot, connect)
            return snapshot
        except Changed:
            snapshot = take_snapshot(shipment, folder)
    try:
        _send(shipment, snapshot, connect)
    except Changed as error:
        raise Mistake(f"the program cannot be sent while it changes: {error}") from error
    return snapshot


def _send(shipment: Shipment, snapshot: Snapshot, connect: Callable[[], Coordinator]) -> None:
    from clustertune.client.sending import send
    from clustertune.model.clock import SystemClock
    from clustertune.view.displays import is_live_terminal
    from clustertune.view.sending import SendingView

    view = SendingView(sys.stderr, SystemClock(), live=is_live_terminal(sys.stderr))
    try:
        send(snapshot, connect, view)
    finally:
        view.close()
    if shipment.of_cluster:
        with connect() as coordinator:
            coordinator.keep_workdir(snapshot.digest)
