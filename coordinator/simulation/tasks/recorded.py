"""An earlier experiment stands in for training: its recorded curves, read back from its result files.

A configuration that was tried reports what was recorded, exactly, and fails or proves infeasible where it did then.
Any other reports what the nearest tried one did: the distance is Euclidean in the coordinates of the search space,
where a category, or a parameter that one of the two lacks, is 1 apart. Beyond its last recorded level a trial that had
been stopped stays at its last value: what it would have become, nobody knows, and nothing is invented. A clone that
went on from another trial's checkpoint is left out: what its configuration does from the beginning was not seen. The
files hold a trial's time and not that of each report: levels share it evenly; nor do they say why a trial failed.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from clustertune.coordinator.simulation.task import Crashed, Infeasible, Step
from clustertune.model.errors import Mistake
from clustertune.model.parameters import Choice, Parameter
from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState

_OWN_TRIALS = ("trial", "state", "attempts", "resource", "value", "elapsed_s", "cloned_from", "begins_at")
_OWN_REPORTS = ("trial", "attempt", "resource")
_LEAST_S = 0.001
"""Times are recorded in milliseconds; a trial that took none of them is taken to have taken one."""


@dataclass(frozen=True, slots=True)
class RecordedTrial:
    """What one trial reported, level by level, and how long it took in all."""

    config: Config
    reports: Sequence[tuple[int, Mapping[str, float]]]
    elapsed_s: float
    failed: bool
    infeasible: bool = False


@dataclass(slots=True)
class Recorded:
    """Trials of an earlier experiment as a task, over the space of the one that is simulated.

    ``left_out`` counts those that are not of that space, ``clones`` those that did not train from the beginning.
    """

    tells_why: ClassVar[bool] = False

    space: Space
    metric: str
    max_resource: int
    trials: Sequence[RecordedTrial]
    left_out: int = 0
    clones: int = 0
    _points: list[list[float | None]] = field(init=False)
    _nearest: dict[str, RecordedTrial] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._points = [self._point(trial.config) for trial in self.trials]

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        """What the nearest recorded trial reported; raises Crashed or Infeasible where it had ended so."""
        del seed
        trial = self.nearest(config)
        levels = trial.reports[-1][0] if trial.reports else 1
        level_s, before = max(trial.elapsed_s, _LEAST_S) / levels, 0
        for resource, metrics in trial.reports:
            yield resource, level_s * (resource - before), metrics
            before = resource
        if trial.failed:
            raise Crashed("the recorded trial failed here")
        if trial.infeasible:
            raise Infeasible("the recorded trial was infeasible here")
        for resource in range(before + 1, self.max_resource + 1):
            yield resource, level_s, trial.reports[-1][1]

    def nearest(self, config: Config) -> RecordedTrial:
        """Of equally near ones, the first that was tried."""
        key = repr(config)
        if key not in self._nearest:
            point = self._point(config)
            distances = [self._distance(point, other) for other in self._points]
            self._nearest[key] = self.trials[distances.index(min(distances))]
        return self._nearest[key]

    def _point(self, config: Config) -> list[float | None]:
        """None where a parameter is inactive."""
        units = self.space.to_unit(config)
        return [unit if name in config else None for name, unit in zip(self.space.dimensions, units, strict=True)]

    def _distance(self, left: Sequence[float | None], right: Sequence[float | None]) -> float:
        return math.fsum(
            _apart(self.space.parameters[name], a, b)
            for name, a, b in zip(self.space.dimensions, left, right, strict=True)
        )


def _apart(parameter: Parameter, left: float | None, right: float | None) -> float:
    """The square of how far two values of one parameter are apart."""
    if left is None or right is None or type(parameter) is Choice:
        return float(left != right)
    return (left - right) ** 2


def read_recorded(
    trials_csv: str, reports_csv: str, *, space: Space, metric: str, max_resource: int | None = None
) -> Recorded:
    """From the text of both files. What is left out is counted: clones, and configurations that ``space`` lacks.

    Raises Mistake where the recorded space is another one, the metric was not reported, or nothing is left.
    """
    rows = list(csv.DictReader(io.StringIO(trials_csv)))
    _check_names(list(rows[0]) if rows else [], space, next(csv.reader(io.StringIO(reports_csv)), []))
    curves = _curves(reports_csv, metric)
    whole = [row for row in rows if row.get("begins_at") in (None, "", "0")]
    found = [_trial(row, curves.get(row["trial"], []), space) for row in whole]
    trials = [trial for trial in found if trial is not None and (trial.reports or trial.failed or trial.infeasible)]
    if not any(trial.reports for trial in trials):
        none = "no report of one that is in the space and trained from the beginning"
        raise Mistake(f"none of the {len(rows)} recorded trials can be used: {none}")
    top = max_resource or max(trial.reports[-1][0] for trial in trials if trial.reports)
    return Recorded(space, metric, top, trials, left_out=found.count(None), clones=len(rows) - len(whole))


def _check_names(columns: Sequence[str], space: Space, reported: Sequence[str]) -> None:
    """Where several metrics counted, each has a column beside the parameters."""
    metrics = {*reported, *(f"metric.{name}" for name in reported)} - set(space.names)
    recorded = [name for name in columns if name not in _OWN_TRIALS and name not in metrics]
    missing, strange = [n for n in space.names if n not in recorded], [n for n in recorded if n not in space.names]
    if missing or strange:
        parts = [f"without {', '.join(missing)}"] if missing else []
        parts += [f"with {', '.join(strange)}, which the experiment does not have"] if strange else []
        raise Mistake(f"the recorded trials are of another search space: {' and '.join(parts)}")


def _curves(reports_csv: str, metric: str) -> dict[str, list[tuple[int, Mapping[str, float]]]]:
    """Reports by trial; levels only grow, as the first report of a level counts."""
    reader = csv.DictReader(io.StringIO(reports_csv))
    columns = {
        name: name.removeprefix("metric.") if name[7:] in _OWN_REPORTS else name for name in reader.fieldnames or ()
    }
    metrics = {column: name for column, name in columns.items() if column not in _OWN_REPORTS}
    if metric not in metrics.values():
        raise Mistake(
            f"the recorded trials did not report {metric!r}; they reported {', '.join(metrics.values()) or 'nothing'}"
        )
    curves: dict[str, list[tuple[int, Mapping[str, float]]]] = {}
    for row in reader:
        curve = curves.setdefault(row["trial"], [])
        if not curve or int(row["resource"]) > curve[-1][0]:
            values = {name: float(row[column]) for column, name in metrics.items() if row[column]}
            curve.append((int(row["resource"]), values))
    return curves


def _trial(
    row: Mapping[str, str], reports: Sequence[tuple[int, Mapping[str, float]]], space: Space
) -> RecordedTrial | None:
    """None for a configuration that is not one of the space."""
    written = {name: row[name] for name in space.names if row[name] != ""}
    try:
        config: Config = {name: _read(space.parameters[name], text) for name, text in written.items()}
    except ValueError:
        return None
    if space.check(config) or any(space.is_active(name, config) != (name in config) for name in space.names):
        return None
    failed, infeasible = (row["state"] == state.value for state in (TrialState.FAILED, TrialState.INFEASIBLE))
    return RecordedTrial(config, reports, float(row["elapsed_s"]), failed, infeasible)


def _read(parameter: Parameter, text: str) -> bool | int | str | float:
    """The value that was written as ``text``. Raises ValueError."""
    values = getattr(parameter, "values", None) or ((parameter.value,) if hasattr(parameter, "value") else None)
    if values is not None:
        for value in values:
            if str(value) == text:
                found: bool | int | str | float = value
                return found
        raise ValueError(f"{text!r} is not among the values")
    return parameter.read(float(text))
