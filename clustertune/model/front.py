"""Several losses at once: which measurements no other beats, and which of those is the compromise.

Domination under constraints is that of Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II"
(IEEE TEC 6(2), definition 1): whoever keeps all constraints beats whoever breaks one, and of two that break some the
one that breaks them less. Of equal measurements the one of the lower trial number stands for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A loss for each objective, and by how much all metric constraints together are broken: 0 where they are kept."""

    losses: tuple[float, ...]
    violation: float = 0.0

    @property
    def keeps(self) -> bool:
        """Whether all metric constraints are kept."""
        return self.violation <= 0.0

    @property
    def finite(self) -> bool:
        return math.isfinite(self.violation) and all(map(math.isfinite, self.losses))


def dominates(left: Sequence[float], right: Sequence[float]) -> bool:
    """Whether ``left`` is nowhere worse, and somewhere better. NaN is beaten by every number and beats nothing."""
    better = False
    for mine, other in zip(left, right, strict=True):
        if mine < other or (other != other and mine == mine):
            better = True
        elif mine != other:
            return False
    return better


def beats(left: Measured, right: Measured) -> bool:
    """Domination under constraints. Among those that break some, what they break counts and nothing else."""
    if left.keeps and right.keeps:
        return dominates(left.losses, right.losses)
    return left.violation < right.violation


def front(measured: Mapping[int, Measured]) -> tuple[int, ...]:
    """The trials that keep all constraints and that no other beats, by number; of equal ones the first.

    In lexicographic order none is beaten by a later one: each is compared with those that are on the front by then.
    """
    kept = [(one.losses, trial) for trial, one in measured.items() if one.keeps and one.finite]
    found: list[tuple[Sequence[float], int]] = []
    for losses, trial in sorted(kept):
        # Of two objectives the first only grows here, and of those found the last has the least of the second.
        rivals = found[-1:] if len(losses) == 2 else found
        if not any(_shadows(other, losses) for other, _ in rivals):
            found.append((losses, trial))
    return tuple(sorted(trial for _, trial in found))


def _shadows(left: Sequence[float], right: Sequence[float]) -> bool:
    """Whether ``left`` is nowhere worse."""
    for mine, other in zip(left, right, strict=True):  # noqa: SIM110 - half the time of all(...), and asked most
        if not mine <= other:
            return False
    return True


def _stands_for(left: Sequence[float], number: int, right: Sequence[float], other: int) -> bool:
    """Whether ``left`` keeps ``right`` from the front."""
    return _shadows(left, right) and (number < other or tuple(left) != tuple(right))


def front_with(
    before: Sequence[int], measured: Mapping[int, Measured], trial: int, earlier: Measured | None
) -> tuple[int, ...]:
    """The front after ``trial`` was measured anew, from the one ``before``; ``earlier`` is what it stood for then.

    It may be in ``measured`` no longer. Whoever is not on a front is kept from it by one who is. So only where one of
    the front has become worse can others come back, and only those that it alone kept off.
    """
    mine = measured.get(trial)
    found = [(measured[number].losses, number) for number in before if number != trial]
    if mine is not None and mine.keeps and mine.finite:
        _add(found, mine.losses, trial)
    worse = mine is None or not mine.keeps or earlier is None or not _shadows(mine.losses, earlier.losses)
    if trial in before and earlier is not None and worse:
        off = [n for n, one in measured.items() if n != trial and _stands_for(earlier.losses, trial, one.losses, n)]
        if len(earlier.losses) == 2:
            return front({n: measured[n] for n in {*off, *(number for _, number in found)}})
        for number in off:
            if measured[number].keeps and measured[number].finite:
                _add(found, measured[number].losses, number)
    return tuple(sorted(number for _, number in found))


def _add(found: list[tuple[tuple[float, ...], int]], losses: tuple[float, ...], trial: int) -> None:
    """To a front, unless one of it stands before; whom it beats goes. Whoever joined last is asked first."""
    if any(_stands_for(other, number, losses, trial) for other, number in found):
        return
    found[:] = [
        (losses, trial),
        *((other, number) for other, number in found if not _stands_for(losses, trial, other, number)),
    ]


def compromise(measured: Mapping[int, Measured], among: Iterable[int]) -> int:
    """Of trials on a front the one nearest to the ideal: to the best of each objective, of which no one has all.

    Each objective is scaled to the span that it has on the front, distances are Euclidean, ties go to the lower number.
    """
    points = {trial: measured[trial].losses for trial in sorted(among)}
    ideal, span = ideal_and_span(list(points.values()))

    def distance(trial: int) -> float:
        return math.hypot(*((x - low) / width for x, low, width in zip(points[trial], ideal, span, strict=True)))

    return min(points, key=distance)


def ideal_and_span(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """The best of each objective, and how far the worst of it is from that; 1 where all are equal."""
    columns = list(zip(*points, strict=True))
    ideal = [min(column) for column in columns]
    return ideal, [(max(column) - low) or 1.0 for column, low in zip(columns, ideal, strict=True)]


def least_violating(measured: Mapping[int, Measured]) -> int | None:
    """The trial that breaks the constraints least; ties go to the better first objective, then to the lower number."""
    ranked = [(one.violation, one.losses[0], trial) for trial, one in measured.items() if one.finite]
    return min(ranked)[2] if ranked else None
