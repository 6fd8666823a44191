"""The event loop's wait for suggestions: a real coordinator, agent, journal and searcher, while trials report.

A slot becomes free by an event. ``ready``: from there, inside ``Core.handle``, until there is a configuration for it;
``next``: the part of that in ``Suggestions.next``; ``handled``: until all that the event leads to is decided. Each in
wall and in CPU time. ``loop``: how late a task that sleeps is woken, by whatever holds the loop or the machine up.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clustertune.client.coordinator import Coordinator
from clustertune.client.home import Home
from clustertune.client.nearby import running
from clustertune.coordinator.__main__ import serve
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.suggestions import Suggestions
from clustertune.coordinator.places import Places
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.snapshot import Submission

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from product import PROGRAMS, Product

SLOTS = 4
BEAT_S, BEGIN_S, LIMIT_S, POLL_S = 0.005, 60.0, 900.0, 0.2
_SPACE = {
    "floor": {"type": "float", "low": 0.0, "high": 1.0},
    "height": {"type": "float", "low": 0.5, "high": 2.0},
    "rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
}

Figures = Mapping[str, Any]


def wait(searcher: str, scheduler: str, trials: int) -> Figures:
    """Runs one experiment to its end; times in milliseconds. ``observations``: reports that the scheduler compared."""
    with tempfile.TemporaryDirectory(prefix="ct-") as name:
        folder = Path(name)
        home, product = Home(folder / "home"), Product(folder, slots=SLOTS)
        home.cluster("bench").store_definition({"name": "bench", "provider": "local", "slots": SLOTS})
        command = [sys.executable, "-m", "benchmarks.suggesting.wait", str(home.path), str(folder / "timed.json")]
        process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2])
        try:
            _run_to_its_end(home, _definition(searcher, scheduler, trials, product.log))
        finally:
            product.end()
            process.wait(BEGIN_S)
        timed = json.loads((folder / "timed.json").read_text())
    return {"searcher": searcher, "scheduler": scheduler, "trials": trials, **timed}


def _definition(searcher: str, scheduler: str, trials: int, log: Path) -> dict[str, Any]:
    return {
        "name": "measured",
        "run": {"call": "curves:train"},
        "space": _SPACE,
        "objective": {"metric": "loss"},
        "resource": {"name": "epoch", "max": 81},
        "scheduler": scheduler,
        "searcher": searcher,
        "trials": trials,
        "env": {"BENCHMARK_LOG": str(log)},
    }


def _run_to_its_end(home: Home, plain: dict[str, Any]) -> None:
    folder = home.cluster("bench")
    _until(lambda: folder.record() is not None and running(folder) is not None, BEGIN_S)
    found = running(folder)
    assert found is not None
    with found as client:
        definition = ExperimentDefinition.from_plain(plain).to_plain()
        name = client.submit(Submission(definition=definition, workdir=str(PROGRAMS), python=sys.executable))
        _until(lambda: _ended(client, name), LIMIT_S)


def _ended(client: Coordinator, name: str) -> bool:
    return client.experiment(name).state.ended


def _until(condition: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("it took too long")
        time.sleep(POLL_S)


class Watch:
    """Times every call of the two methods, of the class itself: the coordinator is left as it is."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.sources: Counter[str] = Counter()
        self.observations = 0

    def install(self) -> None:
        handle, following = Core.handle, Suggestions.next
        begun = (0.0, 0.0)

        def timed_handle(core: Core, *event: Any) -> Any:
            nonlocal begun
            begun = time.perf_counter(), time.thread_time()
            step = handle(core, *event)
            created = [fact for fact in step.facts if isinstance(fact, f.TrialCreated)]
            self.sources.update(fact.source or "searcher" for fact in created)
            self.observations = max([0, *(each.observations for each in core.state.experiments.values())])
            if created:
                self._note("handled", begun)
            return step

        def timed_next(suggestions: Suggestions, *asked: Any) -> Any:
            asked_at = time.perf_counter(), time.thread_time()
            found = following(suggestions, *asked)
            self._note("next", asked_at)
            self._note("ready", begun)
            return found

        Core.handle, Suggestions.next = timed_handle, timed_next  # type: ignore[method-assign]

    def _note(self, what: str, since: tuple[float, float]) -> None:
        self.taken[what].append(time.perf_counter() - since[0])
        self.taken[f"{what} cpu"].append(time.thread_time() - since[1])

    async def beat(self) -> None:
        while True:
            due = time.perf_counter() + BEAT_S
            await asyncio.sleep(BEAT_S)
            self.taken["loop"].append(time.perf_counter() - due)

    def figures(self) -> Figures:
        return {
            "observations": self.observations,
            "sources": dict(self.sources),
            "ms": {name: percentiles([1e3 * s for s in taken]) for name, taken in self.taken.items()},
        }


def percentiles(values: Sequence[float]) -> Mapping[str, float]:
    """The value below which half, or 99 in a hundred, of them lie, and the largest."""
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: ordered[min(int(share * len(ordered)), len(ordered) - 1)] for name, share in ranks.items()}


async def _serve(places: Places, watch: Watch) -> None:
    beating = asyncio.create_task(watch.beat())
    try:
        await serve(places)
    finally:
        beating.cancel()


def main() -> None:
    home, told = sys.argv[1:]
    places, watch = Places(Path(home), "bench"), Watch()
    places.prepare()
    watch.install()
    with places.lock():
        asyncio.run(_serve(places, watch))
    Path(told).write_text(json.dumps(watch.figures()))


if __name__ == "__main__":
    main()
