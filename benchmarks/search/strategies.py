"""What is compared: our strategies and those of peers, each with the environment that it runs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REDUCTION_FACTOR = 3
"""That of every strategy that halves, so that rungs lie at the same levels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """``tuner`` is the module of this folder that runs it, with ``options``; ``environment`` is where."""

    name: str
    tuner: str
    environment: str
    options: Mapping[str, Any]

    @property
    def is_ours(self) -> bool:
        return self.tuner == "ours"


def ours(name: str, options: Mapping[str, Any]) -> Strategy:
    """``options``: the fields of the definition that make it differ from a definition without any."""
    return Strategy(name=name, tuner="ours", environment="clustertune", options=options)


def _pair(scheduler: str, searcher: str) -> Strategy:
    halving = {"reduction_factor": REDUCTION_FACTOR} if scheduler.startswith("asha") else {}
    return ours(
        f"{scheduler}+{searcher}", {"scheduler": {"type": scheduler, **halving}, "searcher": {"type": searcher}}
    )


def _optuna(name: str, sampler: str, pruner: str) -> Strategy:
    options = {"sampler": sampler, "pruner": pruner, "reduction_factor": REDUCTION_FACTOR}
    return Strategy(name=f"Optuna {name}", tuner="with_optuna", environment="optuna-search", options=options)


def _syne_tune(name: str) -> Strategy:
    options = {"baseline": name, "reduction_factor": REDUCTION_FACTOR}
    return Strategy(name=f"Syne Tune {name}", tuner="with_syne_tune", environment="syne-tune", options=options)


RANDOM = _pair("fifo", "random")
DEFAULT = ours("default", {})

OURS = (
    DEFAULT,
    RANDOM,
    _pair("asha", "random"),
    _pair("fifo", "bayesian"),
    _pair("asha", "multi-fidelity"),
    _pair("asha-promotion", "multi-fidelity"),
)
PEERS = (
    _optuna("TPE+SHA", sampler="tpe", pruner="successive-halving"),
    _optuna("TPE+Hyperband", sampler="tpe", pruner="hyperband"),
    _optuna("GP", sampler="gp", pruner="none"),
    _syne_tune("ASHA"),
    _syne_tune("BOHB"),
)
STRATEGIES: Mapping[str, Strategy] = {strategy.name: strategy for strategy in (*OURS, *PEERS)}
