"""Commands that tell an experiment what to do: pause, stop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from clustertune.cli import options

if TYPE_CHECKING:
    from clustertune.cli.places import Found
    from clustertune.model.snapshot import ExperimentSnapshot

AFTER_GRACE_S = 5.0
POLL_S = 0.1


def pause(name: options.Name = None, cluster: options.Cluster = None, as_json: options.Json = False) -> None:
    """End an experiment's trials for now; `resume` goes on with it."""
    from clustertune.cli.places import TO_PAUSE, find

    found = find(name, cluster, TO_PAUSE)
    _conclude(found, found.coordinator.pause(found.name), as_json=as_json)


def stop(name: options.Name = None, cluster: options.Cluster = None, as_json: options.Json = False) -> None:
    """End an experiment for good, keeping its results."""
    from clustertune.cli.places import TO_STOP, find

    found = find(name, cluster, TO_STOP)
    _conclude(found, found.coordinator.stop(found.name), as_json=as_json)


def _conclude(found: Found, snapshot: ExperimentSnapshot, *, as_json: bool) -> None:
    """Its state once its trials have ended; how many are still ending where they take longer than they may."""
    from clustertune.cli.looking import best_wrote
    from clustertune.cli.printing import print_json, show, warn
    from clustertune.cli.program import program
    from clustertune.view.ending import ending
    from clustertune.view.words import counted

    snapshot = _when_quiet(found, snapshot)
    if as_json:
        print_json({"experiment": snapshot.name, "state": snapshot.state})
    else:
        show(ending(snapshot, program(), best_wrote=best_wrote(found, snapshot)))
    if snapshot.running:
        warn(f"{counted(len(snapshot.running), 'trial')} still ending; `{program()} status {snapshot.name}` tells more")


def _when_quiet(found: Found, snapshot: ExperimentSnapshot) -> ExperimentSnapshot:
    deadline = time.monotonic() + snapshot.grace_s + AFTER_GRACE_S
    while snapshot.running and time.monotonic() < deadline:
        time.sleep(POLL_S)
        snapshot = found.coordinator.experiment(found.name)
    return snapshot
