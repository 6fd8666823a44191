"""A trial whose module imports what most trials import; its first line says what time it is."""

from __future__ import annotations

import os
import time

import numpy
import sklearn.datasets
import sklearn.neural_network

IMPORTED = (numpy, sklearn.datasets, sklearn.neural_network)


def train(config: dict[str, float]) -> float:
    now = time.time()
    with open(os.environ["BENCHMARK_LOG"], "a") as log:
        print(os.environ["CLUSTERTUNE_TRIAL"], repr(now), file=log)
    return config["x"]
