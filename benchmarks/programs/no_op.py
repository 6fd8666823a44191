"""A trial that reports once and ends."""

from __future__ import annotations


def train(config: dict[str, float]) -> float:
    return config["x"]
