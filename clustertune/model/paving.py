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

_HALVINGS = 300
"""So often a box is halved: tens of milliseconds, once for a space."""

_NARROWEST = 2.0**-30
"""A side is not halved any further."""

_JUST_BELOW_1 = math.nextafter(1.0, 0.0)

_Box = tuple[tuple[float, float], ...]
"""A side for each axis."""


class Paving:
    """Boxes over ``axes``, the coordinates that matter to the constraints; all others are free."""

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
        self._parameters, self._constraints = parameters, constraints
        self._axes = [(index, name) for index, name in enumerate(dimensions) if name in spoken_of - set(given)]
        self._fixed: dict[str, Range] = {name: range_of(given[name]) for name in given if name in spoken_of}
        for name in spoken_of - set(given) - set(dimensions):
            self._fixed[name] = range_of(parameters[name].at(0.0))
        self._boxes = self._found()
        self._until = list(accumulate(map(_volume, self._boxes)))

    @property
    def share(self) -> float:
        """Of the cube that is left."""
        return self._until[-1] if self._boxes else 0.0

    def moved(self, point: Sequence[float]) -> Sequence[float]:
        """A point of the cube, moved into a box: evenly spread there if it was in the cube. Only where some is left."""
        if not self._axes:
            return point
        moved = list(point)
        first, _ = self._axes[0]
        # The first coordinate says which box, and what remains of it, where in that.
        place = point[first] * self.share
        number = min(bisect_right(self._until, place), len(self._boxes) - 1)
        before = self._until[number - 1] if number else 0.0
        moved[first] = min(max((place - before) / (self._until[number] - before), 0.0), _JUST_BELOW_1)
        for (index, _), (start, end) in zip(self._axes, self._boxes[number], strict=True):
            moved[index] = min(start + moved[index] * (end - start), _JUST_BELOW_1)
        return moved

    def _found(self) -> list[_Box]:
        whole: _Box = ((0.0, 1.0),) * len(self._axes)
        done: list[_Box] = []
        waiting: list[tuple[float, _Box]] = []
        self._sort_in(whole, done, waiting)
        for _ in range(_HALVINGS):
            if not waiting:
                break
            _, box = heappop(waiting)
            halves = self._halves(box)
            if not halves:
                done.append(box)
            for half in halves:
                self._sort_in(half, done, waiting)
        return sorted(done + [box for _, box in waiting])

    def _sort_in(self, box: _Box, done: list[_Box], waiting: list[tuple[float, _Box]]) -> None:
        verdicts = {constraint.outcome(self._ranges(box)) for constraint in self._constraints}
        if False in verdicts:
            return
        if None in verdicts:
            heappush(waiting, (-_volume(box), box))
        else:
            done.append(box)

    def _ranges(self, box: _Box) -> dict[str, Range]:
        ranges = dict(self._fixed)
        for (_, name), (start, end) in zip(self._axes, box, strict=True):
            if (found := range_between(self._parameters[name], start, end)) is not None:
                ranges[name] = found
        return ranges

    def _halves(self, box: _Box) -> list[_Box]:
        """Across the longest side that can be halved; none where there is no such."""
        for number in sorted(range(len(box)), key=lambda number: box[number][0] - box[number][1]):
            start, end = box[number]
            middle = self._middle(self._parameters[self._axes[number][1]], start, end)
            if middle is not None:
                return [(*box[:number], side, *box[number + 1 :]) for side in ((start, middle), (middle, end))]
        return []

    @staticmethod
    def _middle(parameter: Parameter, start: float, end: float) -> float | None:
        """None where the side holds a single value."""
        if end - start < _NARROWEST or parameter.at(start) == parameter.at(math.nextafter(end, 0.0)):
            return None
        return (start + end) / 2


def _volume(box: _Box) -> float:
    return math.prod(end - start for start, end in box)
