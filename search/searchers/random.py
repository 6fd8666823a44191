"""Random search: every trial's configuration is drawn on its own (Bergstra and Bengio 2012, JMLR 13, 281-305)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig
from clustertune.search.searchers.stream import Stream, drawn_config, keyed_point, without_repeats


@dataclass(frozen=True, slots=True)
class RandomOptions:
    """Random search has nothing to set."""


class RandomSearch:
    """Draws each configuration independently; a finite space is gone through without repeats."""

    Options = RandomOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: RandomOptions
    ) -> None:
        del options
        self._space, self._seed, self._initial = space, seed, initial
        self._stream = None
        if space.finite:
            self._stream = Stream(lambda: without_repeats(space, seed, initial, self._draw))

    def suggest(self, trial: int) -> Config | NoConfig:
        """A function of the seed and the trial's number. EXHAUSTED after the last of a finite space."""
        if self._stream is not None:
            return self._stream.config(trial)
        return drawn_config(self._space, self._initial, self._draw, trial)

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """Random search does not learn."""

    def forget(self, trial: int) -> None:
        """Random search does not learn."""

    def _draw(self, trial: int, attempt: int) -> Sequence[float]:
        return keyed_point(self._seed, trial, attempt, len(self._space.dimensions))
