"""Asynchronous Hyperband: a loop over brackets of asynchronous successive halving with promotion.

Li et al. 2020 (https://arxiv.org/abs/1810.05934), algorithm 2: instead of one early-stopping rate s, the rates are
looped over as Hyperband does, each bracket for as long as it has budget. The budgets, and the levels, are Hyperband's
(Li et al. 2018, JMLR 18(185), algorithm 1), counted in new trials: bracket s_max gets the first n of them, s_max - 1
the next, …, and after bracket 0, whose trials run to the end, the loop begins anew. Departure: a bracket that has had
its trials goes on promoting them, among those of its next turns too, since a promotion is better the more it looks at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clustertune.search.schedulers.ladder import (
    LOOP,
    REDUCTION_FACTOR,
    hyperband_brackets,
    maximum_problem,
    taking_turns,
)
from clustertune.search.schedulers.promotion import Promotion


@dataclass(frozen=True, slots=True)
class AsyncHyperbandOptions:
    """How hard trials are culled, and how soon each bracket has its turn."""

    reduction_factor: int | float = field(default=3, metadata=REDUCTION_FACTOR)
    loop: int | None = field(default=None, metadata=LOOP)


class AsyncHyperband(Promotion):
    """Loops over ladders of ASHA that begin ever later (asynchronous Hyperband); trials must take checkpoints."""

    Options = AsyncHyperbandOptions

    def __init__(
        self, *, min_resource: int, max_resource: int | None, seed: int, options: AsyncHyperbandOptions
    ) -> None:
        del seed
        if max_resource is None:
            raise ValueError("async-hyperband needs max_resource")
        eta = options.reduction_factor
        brackets = hyperband_brackets(min_resource, max_resource, eta)
        super().__init__(
            max_resource=max_resource,
            ladders=[bracket.levels[:-1] for bracket in brackets],
            reduction_factor=eta,
            ladder_of=taking_turns([bracket.sizes[0] for bracket in brackets], options.loop),
        )

    @staticmethod
    def problems(
        options: AsyncHyperbandOptions, *, min_resource: int, max_resource: int | None
    ) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        del options, min_resource
        return maximum_problem("async-hyperband", max_resource)
