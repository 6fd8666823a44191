"""Learning curves without learning: every tuner is given the same configurations and pays the same 5 ms an epoch."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Iterator, Mapping

EPOCHS, EPOCH_S, AT_ONCE = 81, 0.005, 8


def configs(trials: int) -> list[dict[str, float]]:
    """The same for everybody: where a curve ends, how high it begins, how fast it falls."""
    chance = random.Random(0)
    return [
        {"floor": chance.uniform(0, 1), "height": chance.uniform(0.5, 2), "rate": 10 ** chance.uniform(-2, 0)}
        for _ in range(trials)
    ]


def epochs(config: Mapping[str, float]) -> Iterator[tuple[int, float]]:
    """Epoch and loss; each takes 5 ms, and leaves one byte in the file ``BENCHMARK_LOG`` as the count of epochs run."""
    log = os.open(os.environ["BENCHMARK_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        for epoch in range(1, EPOCHS + 1):
            time.sleep(EPOCH_S)
            os.write(log, b".")
            yield epoch, config["floor"] + config["height"] * math.exp(-config["rate"] * epoch)
    finally:
        os.close(log)


def ideal_s(epochs_run: int) -> float:
    """How long so many epochs take when nothing ever waits."""
    return epochs_run * EPOCH_S / AT_ONCE


def train(config: dict[str, float]) -> None:
    import clustertune

    for epoch, loss in epochs(config):
        clustertune.report(epoch, loss=loss)
