"""Synchronous successive halving: rounds in which all wait for each other at every rung.

Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization"
(https://arxiv.org/abs/1502.07943), algorithm 1, with the levels of the inner loop of Hyperband's algorithm 1 (Li et al.
2018, https://arxiv.org/abs/1603.06560): of the n trials of a round floor(n * eta**-i) reach level max * eta**-(s - i).
n is ``round_size``, eta ``reduction_factor``, max ``max_resource``; s is the largest with max * eta**-s not less than
``min_resource``. The paper knows one round and no failures. Here one round follows the other, and a trial that fails is
not waited for, nor replaced: it counts as the worst. Who cannot be among the best any more is stopped without waiting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat

from clustertune.search.schedulers.ladder import REDUCTION_FACTOR, Bracket, hyperband_brackets, maximum_problem
from clustertune.search.schedulers.rounds import Rounds


@dataclass(frozen=True, slots=True)
class SuccessiveHalvingOptions:
    """How hard trials are culled, and out of how many."""

    reduction_factor: int | float = field(default=3, metadata=REDUCTION_FACTOR)
    round_size: int | None = field(
        default=None,
        metadata={
            "doc": "How many trials a round begins with; by default so many that one of them reaches the maximum. "
            "Best a divisor of `trials`.",
            "minimum": 2,
            "examples": [27],
        },
    )


class SuccessiveHalving(Rounds):
    """Rounds in which the best of each rung go on when all have reached it; trials must take checkpoints."""

    Options = SuccessiveHalvingOptions

    def __init__(
        self, *, min_resource: int, max_resource: int | None, seed: int, options: SuccessiveHalvingOptions
    ) -> None:
        del seed
        if max_resource is None:
            raise ValueError("successive-halving needs max_resource")
        eta = options.reduction_factor
        bracket = hyperband_brackets(min_resource, max_resource, eta)[0]
        if options.round_size is not None:
            bracket = Bracket.of(bracket.levels, options.round_size, eta)
        super().__init__(repeat(bracket), eta)

    @staticmethod
    def problems(
        options: SuccessiveHalvingOptions, *, min_resource: int, max_resource: int | None
    ) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        del options, min_resource
        return maximum_problem("successive-halving", max_resource)
