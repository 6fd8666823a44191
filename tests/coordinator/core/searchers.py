"""A slow searcher for tests: what it proposes tells how much it knew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustertune.model.space import Space
from clustertune.model.trial import Config, Value


@dataclass(frozen=True, slots=True)
class CountingOptions:
    """How long it learns, what it has, and whether it works."""

    design: int = 2
    most: int = 1000
    error: str = ""
    dies: bool = False


class Counting:
    """Proposes a thousandth for each thing that it was told, and for each proposal before it in the same answer."""

    Options = CountingOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: CountingOptions
    ) -> None:
        del space, seed, initial
        self._options, self._told, self._created = options, 0, 0

    @staticmethod
    def design(options: CountingOptions, *, space: Space) -> int:
        del space
        return options.design

    def created(self, trial: int, config: Config) -> None:
        self._told, self._created = self._told + 1, self._created + 1

    def observe(self, trial: int, resource: int, loss: float) -> None:
        self._told += 1

    def forget(self, trial: int) -> None:
        self._told += 1

    def propose(self, count: int) -> list[Config]:
        if self._options.error:
            raise RuntimeError(self._options.error)
        if self._options.dies:
            raise SystemExit(3)
        left = max(0, self._options.most - self._created)
        return [{"lr": (self._told + index) / 1000} for index in range(min(count, left))]
