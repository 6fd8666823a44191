"""Asynchronous successive halving as the paper has it: trials wait at their rungs until they are promoted.

Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning" (https://arxiv.org/abs/1810.05934), algorithm 2.
Their r is ``min_resource``, R ``max_resource``, eta ``reduction_factor``; s, the early-stopping rate, is 0. The
departure, to promote at once what would be promoted next, is in ``promotion.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from clustertune.search.schedulers.ladder import REDUCTION_FACTOR, maximum_problem, rung_levels
from clustertune.search.schedulers.promotion import Promotion


@dataclass(frozen=True, slots=True)
class AshaPromotionOptions:
    """How hard trials are culled."""

    reduction_factor: int | float = field(default=3, metadata=REDUCTION_FACTOR)


class AshaPromotion(Promotion):
    """Pauses each trial at its rung and resumes the best (ASHA with promotion); trials must take checkpoints."""

    Options = AshaPromotionOptions

    def __init__(
        self, *, min_resource: int, max_resource: int | None, seed: int, options: AshaPromotionOptions
    ) -> None:
        del seed
        if max_resource is None:
            raise ValueError("asha-promotion needs max_resource")
        eta = options.reduction_factor
        ladder = rung_levels(min_resource, max_resource, eta)
        super().__init__(max_resource=max_resource, ladders=[ladder], reduction_factor=eta, ladder_of=_the_only_one)

    @staticmethod
    def problems(
        options: AshaPromotionOptions, *, min_resource: int, max_resource: int | None
    ) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        del options, min_resource
        return maximum_problem("asha-promotion", max_resource)


def _the_only_one(trial: int) -> int:
    del trial
    return 0
