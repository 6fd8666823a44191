"""What trials cost that are merely there: the agent's memory and CPU time beside them, and data that they share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machine import descendants, parent_of, proportional_bytes, used_s
from product import Product, product

TRIALS = 8
_X = {"x": {"type": "float", "low": 0, "high": 1}}
_BEGIN_S = 120.0
_SETTLE_S = 1.0


def quiet(seconds: int) -> Mapping[str, float]:
    """Eight trials that sleep: memory of the agent and of what starts trials, and their CPU time as % of one core."""
    space = {"seconds": {"type": "constant", "value": seconds + 2 * _SETTLE_S}, **_X}
    with product(slots=TRIALS) as running, _trials(running, run={"call": "quiet:train"}, space=space):
        time.sleep(_SETTLE_S)
        (agent,) = running.agents
        own = [agent, *(pid for pid in descendants(agent) if parent_of(pid) == agent)]
        used, began = used_s(own), time.monotonic()
        time.sleep(seconds)
        percent = 100 * (used_s(own) - used) / (time.monotonic() - began)
        return {"cpu_percent": percent, "memory_mb": proportional_bytes(own) / 1e6, "processes": len(own)}


def shared_data(megabytes: int) -> Mapping[str, float]:
    """The same eight trials as forks of one warm parent and as programs of their own: memory of all, and the ratio."""
    forked = _held_mb({"call": "shared_data:train"}, megabytes)
    fresh = _held_mb(
        {"command": "python shared_data.py"}, megabytes, metrics=[{"name": "loss", "regex": r"loss=(\S+)"}]
    )
    return {"ratio": fresh / forked, "forked_mb": forked, "fresh_mb": fresh}


def _held_mb(run: Mapping[str, object], megabytes: int, **more: object) -> float:
    with product(slots=TRIALS) as running:
        measured = Path(str(running.log) + ".measured")
        environment = {"BENCHMARK_LOG": str(running.log), "BENCHMARK_MB": str(megabytes)}
        with _trials(running, run=run, space=_X, env=environment, **more):
            held = proportional_bytes([pid for agent in running.agents for pid in descendants(agent)]) / 1e6
            measured.touch()
        return held


@contextlib.contextmanager
def _trials(running: Product, **definition: object) -> Iterator[None]:
    """Inside, all eight are there; at the end they are waited for."""
    with ThreadPoolExecutor(1) as pool:
        tuned = pool.submit(running.tune, trials=TRIALS, **definition)
        deadline = time.monotonic() + _BEGIN_S
        while len(running.log.read_text().splitlines()) < TRIALS:
            if tuned.done() or time.monotonic() > deadline:
                raise SystemExit(f"not all of {TRIALS} trials began: {tuned}")
            time.sleep(0.05)
        yield
        tuned.result()
