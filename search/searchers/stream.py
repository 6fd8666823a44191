"""Configurations in the order of the trials: the user's own first, allowed ones alone, none twice in a finite space."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from hashlib import shake_128
from itertools import islice
from random import Random
from struct import unpack

from clustertune.model.parameters import LARGEST_INT
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig

Draw = Callable[[int, int], Sequence[float]]
"""A point of the unit cube, a function of the trial's number and of how often it was drawn for that trial already."""

_DRAWS = 64
"""Allowed draws that met nothing new before the remaining configurations are gone through instead."""

_MOST_DRAWS = 300_000
"""Draws, allowed or not, before there is held to be nothing allowed: where one in ten thousand is, the least that a
definition may leave, thirty times as many as it takes on average. It costs seconds, once, at the end."""

_MOST_DRAWS_OF_COUNTED = 2_000
"""A space that was counted can be gone through, which is sooner done."""

_CHUNK = 4096
_SHORT_CHUNK = 64
"""Where few configurations are allowed, it is a long way to each."""


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
    return [(word >> 11) * 2.0**-53 for word in unpack(f"<{dimensions}Q", words)]


def allowed_config(
    space: Space, draw: Draw, trial: int, *, given: Mapping[str, Value] | None = None, seen: Collection[str] = ()
) -> Config | None:
    """The first draw for ``trial`` that the constraints allow and that is not among ``seen``; None after many draws.

    So the distribution of ``draw`` is kept, as far as it lies where it may. ``seen`` holds configurations as ``repr``
    writes them, because 1 and true are different values and equal in Python.
    """
    old = 0
    for attempt in range(_MOST_DRAWS if space.size is None else _MOST_DRAWS_OF_COUNTED):
        config = space.fill(given or {}, draw(trial, attempt))
        if not space.allows(config):
            continue
        if not seen or repr(config) not in seen:
            return config
        old += 1
        if old == _DRAWS:
            return None
    return None


def initial_config(space: Space, initial: Sequence[Mapping[str, Value]], draw: Draw, trial: int) -> Config | None:
    """The user's own configuration, completed. What no values for the rest make allowed is left aside."""
    return allowed_config(space, draw, trial, given=initial[trial]) or allowed_config(space, draw, trial)


def drawn_config(space: Space, initial: Sequence[Mapping[str, Value]], draw: Draw, trial: int) -> Config | NoConfig:
    """The configuration of ``trial`` where there is no end to the space, so that repeats need no thought."""
    if trial < len(initial):
        return initial_config(space, initial, draw, trial) or NoConfig.EXHAUSTED
    return allowed_config(space, draw, trial) or NoConfig.EXHAUSTED


def without_repeats(space: Space, seed: int, initial: Sequence[Mapping[str, Value]], draw: Draw) -> Iterator[Config]:
    """A configuration for each trial until the finite ``space`` is used up.

    Rejection keeps the distribution of ``draw`` among what is left, until many draws meet nothing new. Each
    configuration is remembered, so a suggestion costs about one draw, and near the end one step through a shuffled
    list; where the constraints allow little of a large space, up to a million steps.
    """
    seen: set[str] = set()
    remaining = _remaining(space, seed, seen)
    trial, drawing = 0, True
    while space.size is None or len(seen) < space.size or trial < len(initial):
        config = None
        if trial < len(initial):
            config = initial_config(space, initial, draw, trial)
        elif drawing:
            config = allowed_config(space, draw, trial, seen=seen)
            # Once there is next to nothing new to draw, drawing on would take longer and longer.
            drawing = config is not None
        config = config or next(remaining, None)
        if config is None:
            return
        seen.add(repr(config))
        yield config
        trial += 1


def _remaining(space: Space, seed: int, seen: set[str]) -> Iterator[Config]:
    """What was not seen yet, shuffled in pieces, so that a large space is never held whole."""
    configs = space.grid(LARGEST_INT)
    number = 0
    while chunk := list(islice(configs, _CHUNK if space.size is not None else _SHORT_CHUNK)):
        Random(f"{seed}/remaining/{number}").shuffle(chunk)  # noqa: S311 - reproducible, not secret
        yield from (config for config in chunk if repr(config) not in seen)
        number += 1
