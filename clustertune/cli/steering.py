"""Commands that tell an experiment what to do: pause, stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clustertune.cli import options

if TYPE_CHECKING:
    from clustertune.model.snapshot import ExperimentSnapshot


def pause(name: options.Name = None, cluster: options.Cluster = None, as_json: options.Json = False) -> None:
    """End an experiment's trials for now; `resume` goes on with it."""
    from clustertune.cli.places import find

    found = find(name, cluster)
    _print_state(found.coordinator.pause(found.name), as_json=as_json)


def stop(name: options.Name = None, cluster: options.Cluster = None, as_json: options.Json = False) -> None:
    """End an experiment for good, keeping its results."""
    from clustertune.cli.places import find

    found = find(name, cluster)
    _print_state(found.coordinator.stop(found.name), as_json=as_json)


def _print_state(snapshot: ExperimentSnapshot, *, as_json: bool) -> None:
    from clustertune.cli.printing import print_json, show
    from clustertune.cli.program import program
    from clustertune.view.ending import ending

    if as_json:
        print_json({"experiment": snapshot.name, "state": snapshot.state})
    else:
        show(ending(snapshot, program()))
