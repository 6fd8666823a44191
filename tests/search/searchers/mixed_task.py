"""A task with a bit of everything, whose best configuration is known."""

from __future__ import annotations

import math

from clustertune.model.space import Choice, Float, Int, Ordinal, Space
from clustertune.model.trial import Config

MIXED = Space(
    {
        "lr": Float(1e-5, 1.0, log=True),
        "solver": Choice(("a", "b", "c")),
        "width": Int(1, 128, log=True),
        "depth": Ordinal((1, 2, 4, 8)),
        "momentum": Float(0.0, 1.0, step=0.1),
    },
    {"momentum": {"solver": ("b", "c")}},
)


def loss_of(config: Config) -> float:
    """0 where lr is 10**-2.5, the solver b, width 48, depth 2 and momentum 0.8."""
    return (
        abs(math.log10(float(config["lr"])) + 2.5)
        + (0.0 if config["solver"] == "b" else 0.7)
        + abs(float(config["width"]) - 48) / 64
        + (0.0 if config["depth"] == 2 else 0.3)
        + abs(float(config.get("momentum", 0.0)) - 0.8)
    )
