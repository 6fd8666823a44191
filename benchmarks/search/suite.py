"""The tasks: which functions and recorded trainings strategies are measured on, and what one training takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Protocol

from benchmarks.search import tables
from benchmarks.search.trainings import TRAININGS
from clustertune.coordinator.simulation.task import Task
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.coordinator.simulation.tasks.hartmann import DIFFICULTIES, Hartmann
from clustertune.model.parameters import Choice, Float, Int, Ordinal
from clustertune.model.space import Space


class Measurable(Task, Protocol):
    """Reports one metric, which is to be made small, up to ``max_resource``."""

    @property
    def metric(self) -> str: ...

    @property
    def max_resource(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """A task as it is given to every strategy: ``training_s`` is what a usual training to the highest level takes.

    ``lowest`` is the least loss that there is, where that is known.
    """

    task: Measurable
    training_s: float
    lowest: float | None = None


LEVELS = 81

PLAIN = Space({name: Float(0.0, 1.0) for name in ("a", "b", "c", "d")})
MANY = Space({f"x{number}": Float(0.0, 1.0) for number in range(10)})
MIXED = Space(
    {
        "lr": Float(1e-5, 1.0, log=True),
        "width": Int(8, 1024, log=True),
        "depth": Int(1, 8),
        "dropout": Float(0.0, 0.5, step=0.05),
        "batch": Ordinal((16, 32, 64, 128, 256)),
        "activation": Choice(("relu", "gelu", "tanh", "silu")),
        "nesterov": Choice((False, True)),
    }
)
CONDITIONAL = Space(
    {
        "solver": Choice(("sgd", "adam", "rmsprop")),
        "lr": Float(1e-5, 1.0, log=True),
        "momentum": Float(0.0, 0.99),
        "beta": Float(0.8, 0.999),
        "decay": Choice(("none", "cosine", "step")),
        "every": Int(1, 50, log=True),
        "width": Int(8, 512, log=True),
    },
    {"momentum": {"solver": ("sgd", "rmsprop")}, "beta": {"solver": ("adam",)}, "every": {"decay": ("step",)}},
)


def _hartmann(dimensions: int, difficulty: str) -> Posed:
    task = Hartmann(dimensions=dimensions, difficulty=DIFFICULTIES[difficulty], max_resource=LEVELS)
    return Posed(task=task, training_s=LEVELS * task.step_seconds, lowest=task.lowest)


def _curves(number: int, space: Space, **options: float) -> Posed:
    """What is not named is as tame as can be, so that a task shows one difficulty."""
    tame: dict[str, Any] = {"misleading": 0.3, "late": 0.0, "diverging": 0.0, "noise": 0.02}
    task = Curves(space=space, number=number, max_resource=LEVELS, **(tame | options))
    return Posed(task=task, training_s=LEVELS * task.step_seconds)


def _table(name: str) -> Posed:
    task = tables.read(name)
    return Posed(
        task=task,
        training_s=median(trial.elapsed_s for trial in task.trials),
        lowest=min(loss for trial in task.trials for _, metrics in trial.reports if (loss := metrics["loss"]) == loss),
    )


TASKS: Mapping[str, Callable[[], Posed]] = {
    **{
        f"hartmann{dimensions}-{difficulty}": partial(_hartmann, dimensions, difficulty)
        for dimensions in (3, 6)
        for difficulty in DIFFICULTIES
    },
    "curves-tame": partial(_curves, 101, PLAIN),
    "curves-crossing": partial(_curves, 102, PLAIN, misleading=0.95),
    "curves-late": partial(_curves, 103, PLAIN, misleading=0.7, late=0.4),
    "curves-diverging": partial(_curves, 104, PLAIN, misleading=0.7, diverging=0.35),
    "curves-noisy": partial(_curves, 105, PLAIN, misleading=0.5, noise=0.15),
    "curves-many": partial(_curves, 106, MANY, misleading=0.5),
    "curves-mixed": partial(_curves, 107, MIXED, misleading=0.7, late=0.1, diverging=0.1),
    "curves-conditional": partial(_curves, 108, CONDITIONAL, misleading=0.7, late=0.1, diverging=0.1),
    **{name: partial(_table, name) for name in TRAININGS},
}

QUICK = ("hartmann3-good", "curves-late", "curves-mixed", "breast-cancer-sgd")
"""Few enough to see in two minutes that everything works; they say little."""
