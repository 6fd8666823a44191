"""An experiment's results as data frames."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clustertune.model.errors import Mistake

if TYPE_CHECKING:
    from clustertune.client.coordinator import Coordinator


@dataclass(frozen=True)
class Results:
    """``summary`` is results.json; ``trials`` has a row a trial; ``reports`` a row a report (pandas.DataFrame)."""

    summary: dict[str, Any]
    trials: Any
    reports: Any


def read_results(coordinator: Coordinator, name: str) -> Results:
    """Raises Mistake where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise Mistake("data frames need pandas: pip install 'clustertune[data-frames]'") from error
    return Results(
        summary=json.loads(coordinator.file(name, "results.json")),
        trials=pandas.read_csv(io.StringIO(coordinator.file(name, "trials.csv"))),
        reports=pandas.read_csv(io.StringIO(coordinator.file(name, "reports.csv"))),
    )
