"""Digests of what tasks answer: ``python -m benchmarks.search.probe TASK…`` prints them as JSON.

A task is what it answers, not the files that it is written in: peers' numbers, which took hours, outlive changes to our
code that change no task.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable

from benchmarks.search.suite import TASKS, Posed
from clustertune.coordinator.simulation.task import key_of, uniform

POINTS = 24


def digest(posed: Posed) -> str:
    """Of the space, the time, and the curves of some configurations that are always the same."""
    space = posed.task.space
    found = hashlib.blake2b(digest_size=12)
    about = [sorted(map(repr, space.parameters.items())), sorted(map(repr, space.conditions.items()))]
    found.update(repr((about, posed.training_s, posed.task.metric, posed.task.max_resource)).encode())
    for number in range(POINTS):
        key = key_of({}, "probe", number)
        config = space.from_unit([uniform(key, axis) for axis in range(len(space.dimensions))])
        found.update(repr((config, space.to_unit(config))).encode())
        found.update(
            repr(
                [(level, step_s, dict(metrics)) for level, step_s, metrics in posed.task.curve(config, number)]
            ).encode()
        )
    return found.hexdigest()


def digests(names: Iterable[str]) -> dict[str, str]:
    return {name: digest(TASKS[name]()) for name in names}


if __name__ == "__main__":
    print(json.dumps(digests(sys.argv[1:])))
