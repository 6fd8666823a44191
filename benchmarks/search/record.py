"""Trains for real, and writes the tables: ``PYTHONPATH=. python -m benchmarks.search.record [NAME…]``, some minutes."""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import argparse
import time
from pathlib import Path

from benchmarks.search import tables
from benchmarks.search.trainings import TRAININGS, losses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TRAININGS)}; default: all")
    for name in parser.parse_args().names or TRAININGS:
        began = time.perf_counter()
        path = record(name)
        print(f"{path.name}: {path.stat().st_size:,} bytes, {time.perf_counter() - began:.0f} s", flush=True)


def record(name: str) -> Path:
    """CPU time and not wall time: what others do on the machine is no part of a table."""
    training, rows = TRAININGS[name], []
    for config in tables.drawn(name, training):
        began = time.process_time()
        curve = list(losses(training, config))
        rows.append(tables.row(config, curve, time.process_time() - began))
    return tables.write(name, rows)


if __name__ == "__main__":
    main()
