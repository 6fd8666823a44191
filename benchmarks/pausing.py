"""What pausing a trial and resuming it on another agent adds to its saving and loading.

``python pausing.py MOVES`` prints its figures as one line of JSON: two agents, a slot each. ``asked``: from the report
at a rung to the open checkpoint, under ASHA. ``left``: from the closed block until it is stored and the slot is free.
``elsewhere``: from the placement on the other agent until the program has its checkpoint's folder.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from product import PROGRAMS, Product

from clustertune.client.coordinator import Coordinator
from clustertune.client.home import Home
from clustertune.client.nearby import running
from clustertune.coordinator.__main__ import serve
from clustertune.coordinator.places import Places
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.snapshot import Submission

AGENTS = ("local-0", "local-1")
LIMIT_S = 60.0
RUNGS = 12


def measure(moves: int) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(prefix="ct-") as name:
        home = Home(Path(name) / "home")
        product = Product(Path(name), slots=1)
        home.cluster("bench").store_definition({"name": "bench", "provider": "local", "slots": 1})
        process = subprocess.Popen([sys.executable, __file__, "--serve", str(home.path)])
        try:
            with _client(home) as client:
                _at_rungs(client, product.log)
                for number in range(moves + 1):  # the other agent imports the program at the first one
                    _move(client, product, Path(name), number)
            asked = [line["entered"] - line["reported"] for line in _lines(product) if "left" in line][:RUNGS]
            taken = [_taken(product, f"moved{number}") for number in range(1, moves + 1)]
        finally:
            product.end()
            process.wait(LIMIT_S)
    figures = {key: statistics.median(each[key] for each in taken) * 1e3 for key in taken[0]}
    asked_ms = statistics.median(asked) * 1e3
    added_ms = asked_ms + figures["left_ms"] + figures["elsewhere_ms"]
    return {"added_ms": added_ms, "asked_ms": asked_ms, **figures}


def _at_rungs(client: Coordinator, log: Path) -> None:
    name = _submit(client, log, name="rungs", scheduler="asha-promotion", resource={"min": 1, "max": 2}, trials=RUNGS)
    _until(lambda: client.experiment(name).state.ended)


def _move(client: Coordinator, product: Product, folder: Path, number: int) -> None:
    """A trial is paused; another takes its slot; it goes on on the other agent."""
    hold = {"BENCHMARK_HOLD": str(folder)}  # the same for all, so that each agent imports the program once
    moved = _submit(client, product.log, name=f"moved{number}", resource={"max": 2}, trials=1, env=hold)
    _until(lambda: client.experiment(moved).reports == 1)
    client.pause(moved)
    _until(lambda: any(fact["experiment"] == moved for _, fact in product.facts("CheckpointStored")))
    call = {"call": "pausing:hold"}
    holder = _submit(client, product.log, name=f"holder{number}", run=call, trials=1, env=hold)
    _until(lambda: client.experiment(holder).slots_used == 1)
    client.resume(moved)
    _until(lambda: client.experiment(moved).state.ended)
    (folder / holder).touch()
    _until(lambda: client.experiment(holder).state.ended)


def _taken(product: Product, moved: str) -> Mapping[str, float]:
    lines = [line for line in _lines(product) if line["attempt"].startswith(f"{moved}:")]
    saved, began = next(line for line in lines if "left" in line), lines[-1]
    first, second = [(now, fact) for now, fact in product.facts("AttemptPlaced") if fact["experiment"] == moved]
    if first[1]["instance"] == second[1]["instance"]:
        raise SystemExit(f"{moved} stayed where it was")
    kinds = ("AttemptEnded", "CheckpointStored")
    free = max(next(now for now, fact in product.facts(kind) if fact["experiment"] == moved) for kind in kinds)
    return {
        "left_ms": free - saved["left"],
        "elsewhere_ms": began["began"] - second[0],
        "saving_ms": saved["left"] - saved["entered"],
        "loading_ms": began["loaded"] - began["began"],
    }


def _submit(client: Coordinator, log: Path, **changes: Any) -> str:
    plain: dict[str, Any] = {
        "run": {"call": "pausing:train"},
        "space": {"x": {"type": "float", "low": 0, "high": 1}},
        "objective": {"metric": "loss"},
        **changes,
        "env": {"BENCHMARK_LOG": str(log), **changes.get("env", {})},
    }
    definition = ExperimentDefinition.from_plain(plain).to_plain()
    return client.submit(Submission(definition=definition, workdir=str(PROGRAMS), python=sys.executable))


def _client(home: Home) -> Coordinator:
    folder = home.cluster("bench")
    _until(lambda: folder.record() is not None and running(folder) is not None)
    found = running(folder)
    assert found is not None
    return found


def _lines(product: Product) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in product.log.read_text().splitlines()]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(0.01)


def _serve(home: Path) -> None:
    places = Places(home, "bench")
    places.prepare()
    with places.lock():
        asyncio.run(serve(places, instances=AGENTS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("moves", type=int, nargs="?")
    parser.add_argument("--serve", type=Path, metavar="HOME")
    chosen = parser.parse_args()
    if chosen.serve is not None:
        _serve(chosen.serve)
    else:
        print(json.dumps(measure(chosen.moves)))


if __name__ == "__main__":
    main()
