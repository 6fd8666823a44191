"""Measures clustertune beside its peers on the same work: ``python benchmarks/run.py [--only NAME] [--no-peers]``.

Prints one table, and keeps everything that was measured in benchmarks/results/. Exit code 1: a figure was not reached.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import environments
from machine import Measured, MeasurementFailed, measure
from table import Result, render
from workloads import ALL, Measurement, Workload

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

QUIET_CPUS = 0.25
"""While others keep more than this busy, a figure says little: the measurement is repeated, and the quietest counts."""

TRIES, WORTH_REPEATING_S, LIMIT_S = 3, 15.0, 240.0


def main() -> int:
    chosen = _arguments()
    workloads = [workload for workload in ALL if not chosen.only or workload.name in chosen.only]
    wanted = [
        (workload, measurement)
        for workload in workloads
        for measurement in workload.measurements
        if chosen.peers or measurement.environment == "clustertune"
    ]
    try:
        pythons = {name: environments.prepare(name) for name in dict.fromkeys(m.environment for _, m in wanted)}
    except subprocess.CalledProcessError as error:
        print(f"an environment cannot be made: {error}", file=sys.stderr)
        return 1
    results = list(_measure_all(wanted, pythons, quick=chosen.quick))
    print(render(results))
    print(f"\nall that was measured: {_keep(results, quick=chosen.quick)}")
    return int(any(result.missed for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measures clustertune beside its peers.",
        epilog="Without peers about a minute, with them about ten, and some more the first time, for installing them.",
    )
    parser.add_argument("--only", action="append", choices=[workload.name for workload in ALL], help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer trials: to see that it works, not for figures")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="clustertune alone")
    return parser.parse_args()


def _measure_all(
    wanted: Sequence[tuple[Workload, Measurement]], pythons: dict[str, Path], *, quick: bool
) -> Iterable[Result]:
    known: dict[str, Measured] = {}  # one run may give the figures of two workloads
    for workload, measurement in wanted:
        arguments = measurement.arguments(quick=quick)
        print(f"measuring {workload.name}: {measurement.who} {measurement.note}", file=sys.stderr, flush=True)
        command = [str(pythons[measurement.environment]), str(HERE / arguments[0]), *arguments[1:]]
        try:
            if str(command) not in known:
                known[str(command)] = _quietest(command, quick=quick)
        except MeasurementFailed as error:
            print(error, file=sys.stderr)
            yield Result(workload=workload, measurement=measurement, problem=str(error).splitlines()[0][-60:])
            continue
        yield Result(workload=workload, measurement=measurement, measured=known[str(command)])


def _quietest(command: Sequence[str], *, quick: bool) -> Measured:
    tries = [measure(command, limit_s=LIMIT_S)]
    while (
        tries[-1].other_cpus > QUIET_CPUS
        and tries[-1].wall_s < WORTH_REPEATING_S
        and len(tries) < (1 if quick else TRIES)
    ):
        tries.append(measure(command, limit_s=LIMIT_S))
    return min(tries, key=lambda measured: measured.other_cpus)


def _keep(results: Sequence[Result], *, quick: bool) -> Path:
    now = datetime.datetime.now(datetime.UTC)
    machine = {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    rows = [
        {
            "workload": result.workload.name,
            **asdict(result.measurement),
            "measured": asdict(result.measured) if result.measured else None,
            "problem": result.problem,
        }
        for result in results
    ]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%dT%H-%M-%S}.json"
    path.write_text(json.dumps({"at": now.isoformat(), "quick": quick, "machine": machine, "results": rows}, indent=1))
    return path


if __name__ == "__main__":
    sys.exit(main())
