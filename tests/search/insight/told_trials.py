"""Trials of known functions, over a space of every kind of parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from clustertune.model.parameters import Choice, Float, Int, Ordinal
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.insight.evidence import Told

SPACE = Space(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "decay": Float(0.0, 1.0),
        "hidden": Int(8, 256, log=True),
        "solver": Choice(("sgd", "adam", "lbfgs")),
        "momentum": Float(0.0, 0.99),
        "batch": Ordinal((16, 32, 64, 128)),
    },
    {"momentum": {"solver": ("sgd",)}},
)


def drawn(count: int, seed: int = 0, space: Space = SPACE) -> list[Config]:
    draw = Random(seed)
    return [space.from_unit([draw.random() for _ in space.dimensions]) for _ in range(count)]


def trials(loss: Callable[[Config], float], count: int, *, noise: float = 0.05, seed: int = 0) -> list[Told]:
    """All at one level. An infinite loss is a failed trial's."""
    chance = Random(seed + 1)
    return [
        Told(config=config, level=1, loss=loss(config) + noise * chance.gauss(0.0, 1.0), curve={})
        for config in drawn(count, seed)
    ]


def decades(config: Config, best: float) -> float:
    """How many factors of ten the learning rate is off."""
    return abs(math.log10(float(config["lr"])) - math.log10(best))
