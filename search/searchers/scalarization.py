"""Several losses to one, anew for each proposal, so that the proposals spread over the front.

ParEGO (Knowles 2006, IEEE TEC 10(1), section III): the losses f_j are scaled, weights w are drawn, and what is modelled
is the augmented Chebyshev function max_j(w_j f_j) + rho sum_j(w_j f_j) with rho = 0.05. Departures: weights are
not from a lattice and more often near the ends, each loss is scaled to its best and its third quartile, which one trial
that diverged does not move, and metric constraints are kept to.

Who breaks constraints is told to be worse than the worst that keeps them, by at most as much again as those span: the
model then learns in which direction they are kept, and the scale of what keeps them stays.
"""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from clustertune.search.searchers.past import Past

_RHO = 0.05
_LEAST = 1e-9


def weights(seed: int, number: int, losses: int) -> list[float]:
    """For proposal ``number``, from the Dirichlet distribution with parameter 1/2.

    Even weights would seldom lead to the ends: where losses are squares of distances, a sixteenth of all proposals
    would go to the fifth of the front that is nearest to one of them.
    """
    generator = Random(f"{seed}/weights/{number}")  # noqa: S311 - reproducible, not secret
    drawn = [generator.gammavariate(0.5, 1.0) + _LEAST for _ in range(losses)]
    return [one / sum(drawn) for one in drawn]


def weigh(past: Past, chosen: list[float] | None = None) -> None:
    """Gives every report that had several losses, or constraints to keep, one loss. By default all weigh alike."""
    if not past.vectors:
        return
    vectors = np.array([losses for losses, _ in past.vectors.values()])
    violations = np.array([violation for _, violation in past.vectors.values()])
    wanted = np.array(chosen if chosen is not None else [1.0 / vectors.shape[1]] * vectors.shape[1])
    scalars = penalized(scalarized(vectors, violations <= 0.0, wanted), violations)
    for (trial, level), loss in zip(past.vectors, scalars.tolist(), strict=True):
        past.trials[trial].losses[level] = loss


def scalarized(vectors: Any, keeps: Any, chosen: Any) -> Any:
    """(n, m) losses to (n,); one loss alone stays as it is."""
    if vectors.shape[1] == 1:
        return vectors[:, 0]
    known = vectors[keeps] if keeps.any() else vectors
    best, quartile, worst = known.min(axis=0), np.quantile(known, 0.75, axis=0, method="lower"), known.max(axis=0)
    span = np.where(quartile > best, quartile - best, np.where(worst > best, worst - best, 1.0))
    weighted = chosen * (vectors - best) / span
    return weighted.max(axis=1) + _RHO * weighted.sum(axis=1)


def penalized(scalars: Any, violations: Any) -> Any:
    """Those with a violation behind all others, the more they break the further."""
    broken, share = violations > 0.0, violations / (1.0 + violations)
    if not broken.any():
        return scalars
    if broken.all():
        return share
    best, worst = scalars[~broken].min(), scalars[~broken].max()
    span = worst - best if worst > best else 1.0
    return np.where(broken, worst + span * share, scalars)
