"""Quasi-random search: a scrambled Sobol sequence covers the space more evenly than chance (Sobol 1967; Owen 1998)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from clustertune.model.errors import Mistake
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig
from clustertune.search.searchers.stream import Stream, drawn_config, keyed_point, without_repeats

_BLOCK = 256
"""Points are made in blocks of a power of two, as the sequence wants it."""

_MOST_POINTS = 2**30
_MOST_DIMENSIONS = 21201
_REMEDY = "the sobol searcher needs SciPy; run: pip install scipy"


@dataclass(frozen=True, slots=True)
class SobolOptions:
    """Quasi-random search has nothing to set."""


class SobolSearch:
    """Covers the space evenly by a Sobol sequence scrambled by the seed; a finite space is not repeated."""

    Options = SobolOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: SobolOptions
    ) -> None:
        del options
        self._space, self._seed, self._initial = space, seed, initial
        # Found out here, and not at the first suggestion.
        _qmc()
        self._block = lru_cache(maxsize=2)(self._make_block)
        self._stream = None
        if space.finite:
            self._stream = Stream(lambda: without_repeats(space, seed, initial, self._draw))

    @staticmethod
    def problems(options: SobolOptions, *, space: Space) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the searcher as a whole."""
        del options
        if importlib.util.find_spec("scipy") is None:
            return [("", _REMEDY)]
        if len(space.dimensions) > _MOST_DIMENSIONS:
            return [
                ("", f"sobol covers at most {_MOST_DIMENSIONS} parameters, found {len(space.dimensions)}; use random")
            ]
        return []

    def suggest(self, trial: int) -> Config | NoConfig:
        """A function of the seed and the trial's number. EXHAUSTED after the last of a finite space."""
        if self._stream is not None:
            return self._stream.config(trial)
        if trial >= _MOST_POINTS:
            return NoConfig.EXHAUSTED
        return drawn_config(self._space, self._initial, self._draw, trial)

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """Quasi-random search does not learn."""

    def forget(self, trial: int) -> None:
        """Quasi-random search does not learn."""

    def _draw(self, trial: int, attempt: int) -> Sequence[float]:
        # Where a point falls into a configuration that was seen, or is not allowed, chance finds the next.
        if attempt or trial >= _MOST_POINTS:
            return keyed_point(self._seed, trial, attempt, len(self._space.dimensions))
        return self._block(trial // _BLOCK)[trial % _BLOCK]

    def _make_block(self, number: int) -> list[list[float]]:
        """Points ``number * _BLOCK`` and on, whichever were made before: a restarted process gets the same."""
        if not self._space.dimensions:
            return [[]] * _BLOCK
        engine = _engine(len(self._space.dimensions), self._seed)
        if number:
            engine.fast_forward(number * _BLOCK)
        points: list[list[float]] = engine.random(_BLOCK).tolist()
        return points


def _engine(dimensions: int, seed: int) -> Any:
    import numpy as np

    generator = np.random.default_rng(seed)
    try:
        return _qmc().Sobol(dimensions, scramble=True, rng=generator)
    except TypeError:  # SciPy before 1.15 calls it seed
        return _qmc().Sobol(dimensions, scramble=True, seed=generator)


def _qmc() -> Any:
    try:
        from scipy.stats import qmc
    except ImportError as error:
        raise Mistake(_REMEDY) from error
    return qmc
