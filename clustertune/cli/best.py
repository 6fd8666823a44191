"""The command that shows the best trial, and brings home what it left."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clustertune.cli import options
from clustertune.model.errors import ClustertuneError, Mistake

if TYPE_CHECKING:
    from clustertune.cli.places import Found
    from clustertune.model.snapshot import Artifact, BestTrial

_POLL_S = 0.3
_PATIENCE_S = 600.0
"""How long to wait for what is still on its way to the storage; a trouble there is told at once."""


def best(
    name: options.Name = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="A new folder for its configuration, checkpoint, result, provenance."),
    ] = None,
    trial_number: Annotated[
        int | None,
        typer.Option(
            "--trial", metavar="N", help="Another trial than the best: one that you like better on the front."
        ),
    ] = None,
    cluster: options.Cluster = None,
    as_json: options.Json = False,
) -> None:
    """Show the best trial: its configuration, what ran, and what it left; --to brings all of it.

    Of several objectives the front is shown, and the compromise on it, which is nearest to the best of each. Only of
    the best trial, and of those on the front, checkpoints are kept for certain.
    """
    from clustertune.cli.places import TO_LOOK_AT, find
    from clustertune.cli.printing import print_json, show
    from clustertune.view.best import best_trial
    from clustertune.view.winning import front_table

    if to is not None and to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise Mistake(f"{to} exists and is not an empty folder; name another, or remove it")
    found = find(name, cluster, TO_LOOK_AT)
    trial = found.coordinator.best(found.name, trial_number)
    if to is not None:
        trial = _bring(found, trial, to)
    if as_json:
        print_json(trial)
    else:
        if trial.front and trial_number is None:
            show(front_table(trial.front, trial.objectives, trial.trial, trial.resource_name), "")
        show(best_trial(trial))
        if to is not None:
            print(f"all of it is in {to}")
        elif trial.artifacts:
            which = f" --trial {trial.trial}" if trial.named else ""
            print(f"`clustertune best {found.name}{which} --to DIR` brings it")


def _bring(found: Found, trial: BestTrial, to: Path) -> BestTrial:
    trial = _settled(found, trial)
    to.mkdir(parents=True, exist_ok=True)
    for artifact in trial.artifacts:
        _fetch(found, artifact, to / artifact.kind.value)
    level = trial.resource_name
    about = {
        "experiment": trial.experiment,
        "trial": trial.trial,
        "attempt": trial.attempt,
        "state": trial.state.value,
        **(trial.values or {trial.metric: trial.value}),
        level: trial.resource,
        "seed": trial.seed,
        "artifacts": {a.kind.value: {"digest": a.ref.digest, level: a.ref.resource} for a in trial.artifacts},
        "told": dict(trial.told),
        "provenance": dict(trial.provenance),
    }
    (to / "config.json").write_text(json.dumps(dict(trial.config), indent=2) + "\n")
    (to / "provenance.json").write_text(json.dumps(about, indent=2) + "\n")
    return trial


def _settled(found: Found, trial: BestTrial) -> BestTrial:
    """Once everything that it left is in the storage."""
    from clustertune.cli.printing import warn

    deadline_s, told = time.monotonic() + _PATIENCE_S, False
    while any(not artifact.stored for artifact in trial.artifacts):
        if trial.problem or time.monotonic() > deadline_s:
            raise ClustertuneError(
                f"what trial {trial.trial} left is not in the storage yet: {trial.problem or 'it is still on its way'}"
            )
        if not told:
            told = True
            warn(f"waiting for what trial {trial.trial} left to be stored …")
        time.sleep(_POLL_S)
        trial = found.coordinator.best(found.name, trial.trial if trial.named else None)
    return trial


def _fetch(found: Found, artifact: Artifact, folder: Path) -> None:
    from clustertune.cli.printing import transfer_progress
    from clustertune.client.artifacts import fetch

    with transfer_progress(artifact.kind.value, artifact.ref.size_bytes) as progress:
        fetch(found.coordinator, found.name, artifact.ref.digest, folder, progress)
