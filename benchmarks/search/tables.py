"""Recorded trainings as tasks: a file a training, which ``record.py`` writes and any tuner's environment can read."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.search.trainings import TRAININGS, Training
from clustertune.coordinator.simulation.task import key_of, uniform
from clustertune.coordinator.simulation.tasks.recorded import Recorded, RecordedTrial

FOLDER = Path(__file__).resolve().parent / "tables"
DIGITS = 4


def read(name: str) -> Recorded:
    """The table called ``name``: a configuration that is not in it reports what the nearest one did."""
    training = TRAININGS[name]
    rows = json.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))
    return Recorded(training.space, "loss", training.max_resource, [_trial(row) for row in rows])


def _trial(row: Mapping[str, Any]) -> RecordedTrial:
    losses = [math.nan if loss is None else loss for loss in row["losses"]]
    return RecordedTrial(
        row["config"], [(level, {"loss": loss}) for level, loss in enumerate(losses, 1)], row["elapsed_s"], failed=False
    )


def drawn(name: str, training: Training) -> Sequence[Mapping[str, Any]]:
    """The configurations of a table: drawn uniformly from its space, always the same ones."""
    dimensions = len(training.space.dimensions)
    keys = [key_of({}, name, number) for number in range(training.configs)]
    return [training.space.from_unit([uniform(key, axis) for axis in range(dimensions)]) for key in keys]


def row(config: Mapping[str, Any], losses: Sequence[float], elapsed_s: float) -> Mapping[str, Any]:
    """What is written of one training; a loss that is not finite is null, for JSON has none."""
    rounded = [float(f"{loss:.{DIGITS}g}") if math.isfinite(loss) else None for loss in losses]
    return {"config": config, "losses": rounded, "elapsed_s": round(elapsed_s, 4)}


def write(name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.json.gz"
    # Without a time stamp, so that the same rows make the same file.
    path.write_bytes(gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), mtime=0))
    return path
