"""Configurations in the order of the trials: the user's own first, and none twice where the space is finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import shake_128
from itertools import islice
from random import Random
from struct import iter_unpack

from clustertune.model.parameters import LARGEST_INT
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig

Draw = Callable[[int, int], Sequence[float]]
"""A point of the unit cube, a function of the trial's number and of how often it was drawn for that trial already."""

_DRAWS = 64
"""Draws that met nothing new before the remaining configurations are gone through instead."""

_CHUNK = 4096


class Stream:
    """Answers for any trial number from a sequence that is read forwards only.

    A restarted process asks for a late number first: what lies before is read past. An earlier number begins anew.
    """

    def __init__(self, begin: Callable[[], Iterator[Config]]) -> None:
        self._begin = begin
        self._items, self._next = begin(), 0

    def config(self, trial: int) -> Config | NoConfig:
        """The configuration of ``trial``, or EXHAUSTED."""
        if trial < self._next:
            self._items, self._next = self._begin(), 0
        found = next(islice(self._items, trial - self._next, None), NoConfig.EXHAUSTED)
        self._next = trial + 1
        return found


def keyed_point(seed: int, trial: int, draw: int, dimensions: int) -> list[float]:
    """Independent uniform coordinates in [0, 1): a function of the arguments alone, in every process."""
    # A hash, so that neighbouring seeds and trials have nothing in common; far cheaper than a generator made anew.
    words = shake_128(f"{seed}/{trial}/{draw}".encode()).digest(8 * dimensions)
    return [(word >> 11) * 2.0**-53 for (word,) in iter_unpack("<Q", words)]


def drawn_config(space: Space, initial: Sequence[Mapping[str, Value]], draw: Draw, trial: int) -> Config:
    """The configuration of ``trial`` where the space is so large that repeats need no thought."""
    return space.fill(initial[trial] if trial < len(initial) else {}, draw(trial, 0))


def without_repeats(space: Space, seed: int, initial: Sequence[Mapping[str, Value]], draw: Draw) -> Iterator[Config]:
    """A configuration for each trial until the finite ``space`` is used up.

    Rejection keeps the distribution of ``draw`` among what is left. Each configuration is remembered, so a suggestion
    costs about one draw, and near the end one step through a shuffled list.
    """
    seen: set[str] = set()
    for trial, given in enumerate(initial):
        config = space.fill(given, draw(trial, 0))
        seen.add(repr(config))
        yield config
    remaining = _remaining(space, seed, seen)
    trial = len(initial)
    while len(seen) < (space.size or 0):
        config = _first_new(space, seen, draw, trial) or next(remaining)
        seen.add(repr(config))
        yield config
        trial += 1


def _first_new(space: Space, seen: set[str], draw: Draw, trial: int) -> Config | None:
    configs = (space.from_unit(draw(trial, attempt)) for attempt in range(_DRAWS))
    return next((config for config in configs if repr(config) not in seen), None)


def _remaining(space: Space, seed: int, seen: set[str]) -> Iterator[Config]:
    """What was not seen yet, shuffled in pieces, so that a large space is never held whole."""
    configs = space.grid(LARGEST_INT)
    number = 0
    while chunk := list(islice(configs, _CHUNK)):
        Random(f"{seed}/remaining/{number}").shuffle(chunk)  # noqa: S311 - reproducible, not secret
        yield from (config for config in chunk if repr(config) not in seen)
        number += 1
