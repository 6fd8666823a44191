"""Hyperband: successive halving from many trials that are soon compared to few that run to the end, over and over.

Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 18(185),
https://arxiv.org/abs/1603.06560), algorithm 1. R is ``max_resource``, eta ``reduction_factor``; the smallest resource,
1 in the paper, is ``min_resource``. The paper's algorithm is one pass, from bracket s_max to 0; here it begins anew for
as long as there are trials. Trials that fail are treated as ``successive_halving.py`` says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle

from clustertune.search.schedulers.ladder import REDUCTION_FACTOR, hyperband_brackets, maximum_problem
from clustertune.search.schedulers.rounds import Rounds


@dataclass(frozen=True, slots=True)
class HyperbandOptions:
    """How hard trials are culled."""

    reduction_factor: int | float = field(default=3, metadata=REDUCTION_FACTOR)


class Hyperband(Rounds):
    """Rounds of successive halving that begin ever later, in a loop (Hyperband); trials must take checkpoints."""

    Options = HyperbandOptions

    def __init__(self, *, min_resource: int, max_resource: int | None, seed: int, options: HyperbandOptions) -> None:
        del seed
        if max_resource is None:
            raise ValueError("hyperband needs max_resource")
        eta = options.reduction_factor
        super().__init__(cycle(hyperband_brackets(min_resource, max_resource, eta)), eta)

    @staticmethod
    def problems(options: HyperbandOptions, *, min_resource: int, max_resource: int | None) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        del options, min_resource
        return maximum_problem("hyperband", max_resource)
