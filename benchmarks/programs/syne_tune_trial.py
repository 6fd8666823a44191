"""The programs of this folder for Syne Tune, which starts a trial as a script with its configuration in argv."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from syne_tune import Reporter


def no_op(configuration: argparse.Namespace) -> None:
    Reporter()(loss=configuration.x, epoch=1)


def first_line(_: argparse.Namespace) -> None:
    import sklearn.datasets
    import sklearn.neural_network  # noqa: F401

    note_time()
    Reporter()(loss=0.0, epoch=1)


def asha(configuration: argparse.Namespace) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    import curves

    report = Reporter()
    for epoch, loss in curves.epochs(vars(configuration)):
        report(loss=loss, epoch=epoch)


def reports(configuration: argparse.Namespace) -> None:
    note_time()
    report = Reporter()
    for step in range(1, configuration.reports + 1):
        report(loss=1 / step, epoch=step)


def note_time() -> None:
    now = time.time()
    with open(os.environ["BENCHMARK_LOG"], "a") as log:
        print(now, file=log)


WORKLOADS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "no-op": no_op,
    "first-line": first_line,
    "asha": asha,
    "reports": reports,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workload", choices=WORKLOADS)
    parser.add_argument("--reports", type=int)
    for name in ("x", "floor", "height", "rate"):
        parser.add_argument(f"--{name}", type=float)
    configuration, _ = parser.parse_known_args()
    WORKLOADS[configuration.workload](configuration)


if __name__ == "__main__":
    main()
