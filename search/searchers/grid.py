"""Grid search: every combination of a few values of each parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.contracts import NoConfig
from clustertune.search.searchers.stream import Stream, initial_config, keyed_point


@dataclass(frozen=True, slots=True)
class GridOptions:
    """How fine the grid is."""

    points: int = field(
        default=5,
        metadata={
            "doc": "Values taken of each float without a step, and of each int without a step that has more; "
            "both ends are among them, and a log scale is divided geometrically.",
            "minimum": 2,
            "maximum": 10_000,
            "examples": [10],
        },
    )


class GridSearch:
    """Goes through every combination of values that is allowed, the last parameter fastest."""

    Options = GridOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: GridOptions
    ) -> None:
        self._stream = Stream(lambda: _configs(space, seed, initial, options.points))

    def suggest(self, trial: int) -> Config | NoConfig:
        """The user's own configurations, then the grid without them. EXHAUSTED after the last."""
        return self._stream.config(trial)

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """Grid search does not learn."""

    def forget(self, trial: int) -> None:
        """Grid search does not learn."""


def _configs(space: Space, seed: int, initial: Sequence[Mapping[str, Value]], points: int) -> Iterator[Config]:
    def draw(trial: int, attempt: int) -> Sequence[float]:
        return keyed_point(seed, trial, attempt, len(space.dimensions))

    first = [config for trial in range(len(initial)) if (config := initial_config(space, initial, draw, trial))]
    yield from first
    # By their text, because 1 and true are different values and equal in Python.
    given = set(map(repr, first))
    yield from (config for config in space.grid(points) if repr(config) not in given)
