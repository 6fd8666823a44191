"""A trial that says that it is there, and sleeps."""

from __future__ import annotations

import os
import time


def train(config: dict[str, float]) -> float:
    with open(os.environ["BENCHMARK_LOG"], "a") as log:
        print(os.getpid(), file=log)
    time.sleep(config["seconds"])
    return 0.0
