"""Results as files, written as they come: results.json, best.yaml, trials.csv, reports.csv, schedule.json."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from clustertune.coordinator.core.lineage import Segment
from clustertune.coordinator.places import write_whole
from clustertune.model.snapshot import ExperimentSnapshot, FrontPoint, Incumbent, TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one experiment's files are made from, taken at one moment."""

    snapshot: ExperimentSnapshot
    rows: Sequence[TrialRow]
    parameters: Sequence[str]
    schedule: Sequence[Segment] = ()
    front: Sequence[FrontPoint] = ()


@dataclass(slots=True)
class ResultFiles:
    """The files of one experiment. ``write`` blocks: it belongs in a thread."""

    folder: Path
    journal: Path
    _metrics: list[str] = field(default_factory=list)
    _through: int = -1

    def write(self, what: Written) -> None:
        """Raises OSError when the disk refuses; the next write then begins reports.csv anew."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self.folder / "trials.csv", trials_csv(what.rows, what.parameters, _columns(what.snapshot)))
        if what.snapshot.best is not None:
            write_whole(self.folder / "best.yaml", yaml.safe_dump(dict(what.snapshot.best.config), sort_keys=False))
        else:
            (self.folder / "best.yaml").unlink(missing_ok=True)  # the only one with a value has ended infeasible
        if what.schedule:
            write_whole(self.folder / "schedule.json", schedule_json(what.snapshot, what.schedule))
        else:
            (self.folder / "schedule.json").unlink(missing_ok=True)
        try:
            self._append_reports(what.snapshot.name)
        except OSError:
            self._through = -1
            raise
        # Last: where it tells of an end, all the others are complete.
        write_whole(self.folder / "results.json", results_json(what.snapshot, what.front))

    def _append_reports(self, experiment: str) -> None:
        connection = sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=5)
        try:
            while rows := connection.execute(
                "SELECT id, trial, attempt, resource, metrics FROM reports"
                " WHERE experiment = ? AND id > ? ORDER BY id LIMIT 10000",
                (experiment, max(self._through, 0)),
            ).fetchall():
                self._add(rows)
        finally:
            connection.close()

    def _add(self, rows: list[tuple[int, int, int, int, str]]) -> None:
        parsed = [(i, trial, attempt, resource, json.loads(metrics)) for i, trial, attempt, resource, metrics in rows]
        fresh = {name for *_, metrics in parsed for name in metrics} - set(self._metrics)
        path = self.folder / "reports.csv"
        if self._through < 0:
            self._metrics = sorted(fresh)
            write_whole(path, self._header())
        elif fresh:
            self._widen(path, sorted(fresh))
        with path.open("a", encoding="utf-8", newline="") as file:
            for _, trial, attempt, resource, metrics in parsed:
                file.write(_line([trial, attempt, resource, *(metrics.get(name, "") for name in self._metrics)]))
        self._through = rows[-1][0]

    def _header(self) -> str:
        own = ["trial", "attempt", "resource"]
        return _line([*own, *(f"metric.{name}" if name in own else name for name in self._metrics)])

    def _widen(self, path: Path, fresh: list[str]) -> None:
        """A metric that was not there before gets a column, empty in the rows that are."""
        self._metrics += fresh
        part = path.with_name("reports.csv.part")
        with path.open(encoding="utf-8") as old, open(part, "w", encoding="utf-8", opener=_private) as new:
            next(old)
            new.write(self._header())
            new.writelines(line.rstrip("\n") + "," * len(fresh) + "\n" for line in old)
        part.replace(path)


def results_json(snapshot: ExperimentSnapshot, front: Sequence[FrontPoint] = ()) -> str:
    """With several objectives ``best`` is the compromise on the ``front``, and has a value for each metric."""
    written = {
        "experiment": snapshot.name,
        "state": snapshot.state.value,
        "reason": snapshot.reason,
        **_aims(snapshot),
        "best": None if snapshot.best is None else _best(snapshot.best, several=bool(snapshot.objectives)),
        **({"front": [_point(point) for point in front]} if snapshot.objectives else {}),
        "trials": {state: count for state, count in snapshot.counts.items() if count},
        "reports": snapshot.reports,
        "elapsed_s": round(snapshot.elapsed_s, 3),
        "cost_usd": snapshot.cost_usd,
    }
    return json.dumps(written, indent=2) + "\n"


def _aims(snapshot: ExperimentSnapshot) -> dict[str, object]:
    if not snapshot.objectives:
        return {"objective": {"metric": snapshot.metric, "goal": snapshot.goal}}
    return {"objectives": [{"metric": aim.metric, "goal": aim.goal} for aim in snapshot.objectives]}


def _best(best: Incumbent, *, several: bool) -> dict[str, object]:
    """``breaks`` is there where no trial keeps all metric constraints: this one breaks them least."""
    value: dict[str, object] = {} if several else {"value": best.value}
    if several and not best.broken:
        value |= {"chosen_as": "compromise"}
    if best.values:
        value |= {"values": dict(best.values)}
    if best.broken:
        value |= {"breaks": list(best.broken)}
    return {"trial": best.trial, **value, "resource": best.resource, "config": dict(best.config)}


def _point(point: FrontPoint) -> dict[str, object]:
    values = {"trial": point.trial, "values": dict(point.values)}
    failed = {"failed": True} if point.failed else {}
    return {**values, "resource": point.resource, "config": dict(point.config), **failed}


def schedule_json(snapshot: ExperimentSnapshot, segments: Sequence[Segment]) -> str:
    """What ``population-based-replay`` reads; a plot of it needs nothing else."""
    written = {
        "experiment": snapshot.name,
        "resource": snapshot.resource,
        "objective": {"metric": snapshot.metric, "goal": snapshot.goal},
        "value": None if snapshot.best is None else snapshot.best.value,
        "schedule": [
            {
                "resource_from": segment.resource_from,
                "resource_to": segment.resource_to,
                "trial": segment.trial,
                "config": dict(segment.config),
            }
            for segment in segments
        ],
    }
    return json.dumps(written, indent=2) + "\n"


_OWN_COLUMNS = ("trial", "state", "attempts", "resource", "value", "elapsed_s")
_LINEAGE = ("cloned_from", "begins_at")
"""Columns that are there where trials were cloned."""


def trials_csv(rows: Iterable[TrialRow], parameters: Sequence[str], metrics: Sequence[str] = ()) -> str:
    """``metrics``: those that count, where that is more than one; ``value`` is that of the first objective."""
    rows = list(rows)
    lineage = _LINEAGE if any(row.cloned_from is not None for row in rows) else ()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    taken = {*_OWN_COLUMNS, *_LINEAGE, *parameters}
    named = [f"metric.{name}" if name in taken else name for name in metrics]
    writer.writerow([*_OWN_COLUMNS, *lineage, *named, *parameters])
    for row in rows:
        shown = [row.trial, row.state.value, row.attempts, _cell(row.resource), _cell(row.value)]
        came_from = [_cell(row.cloned_from), row.begins_at] if lineage else []
        counted = _values(row.values, metrics)
        writer.writerow([*shown, round(row.elapsed_s, 3), *came_from, *counted, *_values(row.config, parameters)])
    return out.getvalue()


def _columns(snapshot: ExperimentSnapshot) -> Sequence[str]:
    return snapshot.wanted if len(snapshot.wanted) > 1 else ()


def _values(config: Mapping[str, object], parameters: Sequence[str]) -> list[object]:
    return [config.get(name, "") for name in parameters]


def _cell(value: float | None) -> object:
    return "" if value is None else value


def _line(cells: Sequence[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
