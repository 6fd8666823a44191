"""Where in the unit cube constraints may allow anything: boxes that leave out what they surely forbid.

Set inversion by interval analysis (Jaulin and Walter 1993, Automatica 29): boxes are halved, and those dropped in
which a constraint is surely broken. What is left is drawn from as evenly as the cube was, so what is allowed is met as
evenly, and far sooner.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from heapq import heappop, heappush
from itertools import accumulate

from clustertune.model.constraints import Constraint
from clustertune.model.parameters import Parameter
from clustertune.model.ranges import Range, range_between, range_of
from clustertune.model.trial import Value

_MOST_LOOKS = 1_000
"""So often it is found out what a constraint comes to in a box: tens of milliseconds, once for a space."""

_NARROWEST = 2.0**-30
"""A side is not halved any further."""

_JUST_BELOW_1 = math.nextafter(1.0, 0.0)

_Box = tuple[tuple[float, float], ...]
"""A side for each axis."""

_Waiting = tuple[float, _Box, tuple[int, ...]]
"""The larger a box, the sooner it is halved."""


class Paving:
    """Boxes over the coordinates that matter to the constraints; all others are free."""

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        constraints: Sequence[Constraint],
        dimensions: Sequence[str],
        *,
        maybe: Collection[str],
        given: Mapping[str, Value],
    ) -> None:
        """``maybe`` are the parameters that may not be there, ``given`` those that have their value already."""
        spoken_of = {name for constraint in constraints for name in constraint.names} - set(maybe)
        axes = {name: index for index, name in enumerate(dimensions) if name in spoken_of - set(given)}
        fixed = {name: range_of(given[name]) for name in given if name in spoken_of}
        for name in spoken_of - set(given) - set(dimensions):
            fixed[name] = range_of(parameters[name].at(0.0))
        groups = _groups(constraints, axes)
        self.parts = [
            Part(
                {name: parameters[name] for name in axes if name in names}, together, fixed,
                [index for name, index in axes.items() if name in names], _MOST_LOOKS // len(groups),
            )
            for names, together in groups
        ]  # fmt: skip
        """One for each group of constraints that have no coordinate in common with others."""

    @property
    def share(self) -> float:
        """Of the cube that is left."""
        return math.prod(part.share for part in self.parts)

    def moved(self, point: Sequence[float]) -> Sequence[float]:
        """A point of the cube, moved into a box: evenly spread there if it was in the cube. Only where some is left."""
        moved = list(point)
        for part in self.parts:
            part.move(moved)
        return moved


class Part:
    """Boxes over a few axes, ``places`` of which in a point are known."""

    def __init__(
        self,
        parameters: Mapping[str, Parameter],
        constraints: Sequence[Constraint],
        fixed: Mapping[str, Range],
        places: Sequence[int],
        most_looks: int,
    ) -> None:
        self._names, self._parameters = tuple(parameters), parameters
        self._constraints, self._fixed, self.places = constraints, fixed, places
        self.boxes = self._found(most_looks)
        self._until = list(accumulate(map(_volume, self.boxes)))

    @property
    def share(self) -> float:
        return self._until[-1] if self.boxes else 0.0

    def move(self, point: list[float]) -> None:
        if not self.places:
            return
        # The first coordinate says which box, and what remains of it, where in that.
        place = point[self.places[0]] * self.share
        number = min(bisect_right(self._until, place), len(self.boxes) - 1)
        before = self._until[number - 1] if number else 0.0
        point[self.places[0]] = max((place - before) / (self._until[number] - before), 0.0)
        for index, (start, end) in zip(self.places, self.boxes[number], strict=True):
            point[index] = min(start + point[index] * (end - start), _JUST_BELOW_1)

    def _found(self, most_looks: int) -> list[_Box]:
        whole: _Box = ((0.0, 1.0),) * len(self._names)
        done: list[_Box] = []
        waiting: list[_Waiting] = []
        looks = self._sort_in(whole, tuple(range(len(self._constraints))), done, waiting)
        while waiting and looks < most_looks:
            _, box, unsure = heappop(waiting)
            halves = self._halves(box, {name for number in unsure for name in self._constraints[number].names})
            if not halves:
                done.append(box)
            for half in halves:
                looks += self._sort_in(half, unsure, done, waiting)
        return sorted(done + [box for _, box, _ in waiting])

    def _sort_in(self, box: _Box, unsure: tuple[int, ...], done: list[_Box], waiting: list[_Waiting]) -> int:
        """``unsure`` are the constraints that are not known to hold all over it. Returns how often it was looked."""
        ranges, left = self._ranges(box), []
        for looks, number in enumerate(unsure, start=1):
            verdict = self._constraints[number].outcome(ranges)
            if verdict is False:
                return looks
            if verdict is None:
                left.append(number)
        if left:
            heappush(waiting, (-_volume(box), box, tuple(left)))
        else:
            done.append(box)
        return len(unsure)

    def _ranges(self, box: _Box) -> dict[str, Range]:
        ranges = dict(self._fixed)
        for name, (start, end) in zip(self._names, box, strict=True):
            if (found := range_between(self._parameters[name], start, end)) is not None:
                ranges[name] = found
        return ranges

    def _halves(self, box: _Box, wanted: Collection[str]) -> list[_Box]:
        """Across the longest side of those that can be halved and matter; none where there is no such."""
        for number in sorted(range(len(box)), key=lambda number: box[number][0] - box[number][1]):
            name, (start, end) = self._names[number], box[number]
            middle = _middle(self._parameters[name], start, end) if name in wanted else None
            if middle is not None:
                return [(*box[:number], side, *box[number + 1 :]) for side in ((start, middle), (middle, end))]
        return []


def _groups(constraints: Sequence[Constraint], axes: Collection[str]) -> list[tuple[set[str], list[Constraint]]]:
    """Constraints that share axes, directly or by way of others, with all the axes of each group."""
    groups: list[tuple[set[str], list[Constraint]]] = []
    for constraint in constraints:
        names, together = set(constraint.names) & set(axes), [constraint]
        apart = []
        for others, group in groups:
            if others & names:
                names, together = names | others, group + together
            else:
                apart.append((others, group))
        groups = [*apart, (names, together)]
    return groups


def _middle(parameter: Parameter, start: float, end: float) -> float | None:
    """None where the side holds a single value."""
    if end - start < _NARROWEST or parameter.at(start) == parameter.at(math.nextafter(end, 0.0)):
        return None
    return (start + end) / 2


def _volume(box: _Box) -> float:
    return math.prod(end - start for start, end in box)
