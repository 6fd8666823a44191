"""Measures clustertune: ``python ours.py WORKLOAD [size]`` prints its figures as one line of JSON.

Run it with an interpreter that has clustertune and scikit-learn installed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from holding import quiet, shared_data
from machine import descendants, proportional_bytes
from product import Product, product
from programs import curves
from start_up import medians_s

ONE_NUMBER = {"x": {"type": "float", "low": 0, "high": 1}}


def no_op(trials: int) -> Mapping[str, float]:
    """Trials that report once and end, two at once, from submission to the last end."""
    with product(slots=2) as running:
        return _no_op(running, trials)


def memory(trials: int) -> Mapping[str, float]:
    """What coordinator and agent hold after so many trials."""
    with product(slots=2) as running:
        speed = _no_op(running, trials)
        agents = list(running.agents)
        warm = [pid for agent in agents for pid in descendants(agent)]
        sizes = {"coordinator": [running.coordinator], "agent": agents, "warm_parent": warm}
        found = {f"{name}_mb": proportional_bytes(pids) / 1e6 for name, pids in sizes.items()}
    return {"memory_mb": found["coordinator_mb"] + found["agent_mb"], **found, **speed}


def first_line(trials: int) -> Mapping[str, float]:
    """From the decision to run a trial to the first line of its function, one trial after another."""
    with product(slots=1) as running:
        running.tune(run={"call": "first_line:train"}, space=ONE_NUMBER, trials=trials)
        decided = {fact["trial"]: now for now, fact in running.facts("AttemptPlaced")}
        began = {int(trial): float(now) for trial, now in map(str.split, running.log.read_text().splitlines())}
    # The first one waits while the module is imported for the first time, once for all.
    first, *taken = [began[trial] - decided[trial] for trial in sorted(began)]
    return {
        "first_line_ms": statistics.median(taken) * 1e3,
        "slowest_ms": max(taken) * 1e3,
        "first_trial_ms": first * 1e3,
        "trials": len(began),
    }


def asha(trials: int) -> Mapping[str, float]:
    """Wall time over that of the same epochs without any overhead."""
    with product(slots=curves.AT_ONCE) as running:
        command_s = running.tune(
            run={"call": "curves:train"},
            space={name: {"type": "float", "low": 0, "high": 2} for name in ("floor", "height", "rate")},
            initial=curves.configs(trials),
            resource={"name": "epoch", "min": 1, "max": curves.EPOCHS},
            scheduler={"type": "asha", "reduction_factor": 3},
            trials=trials,
        )
        wall_s, epochs = running.wall_s(), running.log.stat().st_size
        placed = running.facts("AttemptPlaced")[0][0] - running.facts("ExperimentCreated")[0][0]
    ideal_s = curves.ideal_s(epochs)
    return {
        "overhead": wall_s / ideal_s,
        "wall_s": wall_s,
        "ideal_s": ideal_s,
        "epochs": epochs,
        "command_s": command_s,
        "until_first_decision_s": placed,
    }


def reports(each: int) -> Mapping[str, float]:
    """Eight trials that do nothing but report, from their first start to the last end; counts what the journal has."""
    trials = 8
    with product(slots=trials) as running:
        running.tune(
            run={"call": "many_reports:train"},
            space={"reports": {"type": "constant", "value": each}, **ONE_NUMBER},
            trials=trials,
        )
        kept = running.query("SELECT count(*) FROM reports")[0][0]
        began, ended = running.facts("AttemptStarted")[0][0], running.facts("AttemptEnded")[-1][0]
    return {"reports_per_s": kept / (ended - began), "lost": trials * each - kept, "reports": trials * each}


def start_up(times: int) -> Mapping[str, float]:
    """What importing adds to Python's own start, and the whole of ``--help``; medians, taken in turn."""
    command = str(Path(sys.executable).with_name("clustertune"))
    commands = [[sys.executable, "-c", ""], [sys.executable, "-c", "import clustertune"], [command, "--help"]]
    nothing, imported, shown = medians_s(commands, times)
    return {"import_ms": (imported - nothing) * 1e3, "help_ms": shown * 1e3, "python_ms": nothing * 1e3}


def _no_op(running: Product, trials: int) -> Mapping[str, float]:
    command_s = running.tune(run={"call": "no_op:train"}, space=ONE_NUMBER, trials=trials)
    ended = running.facts("AttemptEnded")
    wall_s = ended[-1][0] - running.facts("ExperimentCreated")[0][0]
    until_first_s = running.facts("AttemptStarted")[0][0] - running.facts("ExperimentCreated")[0][0]
    return {
        "trials_per_s": len(ended) / wall_s,
        "wall_s": wall_s,
        "until_first_start_s": until_first_s,
        "command_s": command_s,
    }


WORKLOADS: Mapping[str, Callable[[int], Mapping[str, float]]] = {
    "no-op": no_op,
    "first-line": first_line,
    "asha": asha,
    "reports": reports,
    "memory": memory,
    "start-up": start_up,
    "quiet": quiet,
    "shared-data": shared_data,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("size", type=int, help="trials; reports of each trial; times; seconds; megabytes")
    chosen = parser.parse_args()
    print(json.dumps(WORKLOADS[chosen.workload](chosen.size)))


if __name__ == "__main__":
    main()
