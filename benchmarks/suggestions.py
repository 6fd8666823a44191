"""What suggestions cost: ``python benchmarks/suggestions.py [--quick] [--only wait] [--only cost] [--only idle]``.

Prints three tables, and keeps the numbers in benchmarks/results/. Exit code 1: a figure was not reached.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.suggesting.cost import cost  # noqa: E402 - found from here on
from benchmarks.suggesting.idle import idle  # noqa: E402
from benchmarks.suggesting.wait import wait  # noqa: E402

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("wait", "cost", "idle")
SEARCHERS = ("bayesian", "multi-fidelity")
WAITS = (("bayesian", "fifo", 800), ("bayesian", "asha", 3000), ("multi-fidelity", "asha", 3000))
QUICK_WAITS = (("bayesian", "asha", 100), ("multi-fidelity", "asha", 100))
OBSERVATIONS, QUICK_OBSERVATIONS = (50, 150, 500, 1000, 3000), (50, 150)
TRIALS_S, SLOTS = (1.0, 10.0, 60.0, 600.0), (1, 4, 16, 64)

WAIT_MS, IDLE = 5.0, 0.01
"""To reach: 99 in a hundred waits are shorter, and slots are empty for a smaller share of their time."""

USUAL_S = 0.1
"""What a suggestion is taken to last where it was not measured."""


def main() -> int:
    chosen = _arguments()
    parts = chosen.only or PARTS
    kept: dict[str, Any] = {}
    missed = 0
    if "wait" in parts:
        kept["wait"] = [_told(wait, *each) for each in (QUICK_WAITS if chosen.quick else WAITS)]
        print(_table(WAIT_HEAD, map(_wait_row, kept["wait"])), flush=True)
        missed += sum(each["ms"]["ready"]["p99"] > WAIT_MS for each in kept["wait"])
    if "cost" in parts:
        counts = QUICK_OBSERVATIONS if chosen.quick else OBSERVATIONS
        kept["cost"] = [
            {"searcher": name, "observations": count, **_told(cost, name, count)}
            for name in SEARCHERS
            for count in counts
        ]
        print(_table(COST_HEAD, map(_cost_row, kept["cost"])), flush=True)
    if "idle" in parts:
        kept["idle"] = list(_idle(_suggestion_times(kept.get("cost", ()))))
        print(_table(IDLE_HEAD, _idle_rows(kept["idle"])), flush=True)
        missed += sum(
            each["idle"] >= IDLE for each in kept["idle"] if each["trial_s"] / each["slots"] > each["suggest_s"]
        )
    print(f"all that was measured: {_keep(kept, quick=chosen.quick)}")
    return int(missed > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What suggestions cost.", epilog="About five minutes; --quick one.")
    parser.add_argument("--only", action="append", choices=PARTS, help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="to see that it works, not for figures")
    return parser.parse_args()


def _told(measure: Any, *arguments: Any) -> Any:
    print(f"measuring {measure.__name__} {' '.join(map(str, arguments))}", file=sys.stderr, flush=True)
    return measure(*arguments)


def _suggestion_times(costs: Sequence[Mapping[str, Any]]) -> Sequence[float]:
    """The quickest and the slowest that was measured."""
    measured = [each["next_s"] for each in costs]
    return sorted({round(min(measured), 2), round(max(measured), 2)}) if measured else [USUAL_S]


def _idle(times_s: Sequence[float]) -> Iterable[Mapping[str, Any]]:
    for suggest_s in times_s:
        for scheduler in ("fifo", "asha"):
            for trial_s in TRIALS_S:
                for slots in SLOTS:
                    found = idle(slots=slots, trial_s=trial_s, suggest_s=suggest_s, scheduler=scheduler)
                    known = {"suggest_s": suggest_s, "scheduler": scheduler, "trial_s": trial_s, "slots": slots}
                    yield {**known, **found}


WAIT_HEAD = ("searcher", "scheduler", "trials", "observations", "by the searcher", "wait p50 / p99 / max, ms",
             "CPU of it, p99", "all handled, p99", "CPU of it, p99", "loop late, p50 / p99")  # fmt: skip
COST_HEAD = ("searcher", "observations", "a proposal, s", "learned anew, s", "peak, MB")
IDLE_HEAD = ("suggestion, s", "scheduler", "trial, s", *(f"{slots} slots: empty, filled in" for slots in SLOTS))


def _wait_row(each: Mapping[str, Any]) -> Sequence[str]:
    ms = each["ms"]
    return (
        each["searcher"], each["scheduler"], f"{each['trials']:,}", f"{each['observations']:,}",
        f"{each['sources'].get('searcher', 0) / each['trials']:.0%}",
        " / ".join(f"{ms['ready'][name]:.2f}" for name in ("p50", "p99", "max")),
        *(f"{ms[name]['p99']:.2f}" for name in ("ready cpu", "handled", "handled cpu")),
        f"{ms['loop']['p50']:.1f} / {ms['loop']['p99']:.1f}",
    )  # fmt: skip


def _cost_row(each: Mapping[str, Any]) -> Sequence[str]:
    times = (f"{each['next_s']:.3f}", f"{each['anew_s']:.3f}")
    return each["searcher"], f"{each['observations']:,}", *times, f"{each['peak_mb']:.0f}"


def _idle_rows(cells: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[str]]:
    """A row for each kind of trial. In italics: suggestions take longer than slots need to become free."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for each in cells:
        shown = f"{each['idle']:.2%}, {each['filled_in']:.0%}"
        slow = each["suggest_s"] >= each["trial_s"] / each["slots"]
        kind = (f"{each['suggest_s']:g}", each["scheduler"], f"{each['trial_s']:g}")
        rows.setdefault(kind, []).append(f"*{shown}*" if slow else shown)
    return ((*kind, *shown) for kind, shown in rows.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def _keep(kept: Mapping[str, Any], *, quick: bool) -> Path:
    now = datetime.datetime.now(datetime.UTC)
    machine = {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"suggestions-{now:%Y-%m-%dT%H-%M-%S}.json"
    path.write_text(json.dumps({"at": now.isoformat(), "quick": quick, "machine": machine, **kept}, indent=1))
    return path


if __name__ == "__main__":
    sys.exit(main())
