"""Asks a slow searcher itself, wherever it lives: what it does wrong names it, and is a mistake of whoever wrote it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clustertune.coordinator.core.ahead import tell
from clustertune.coordinator.core.fitting import Unfit, fitting
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search import blame
from clustertune.search.contracts import SlowSearcher


class Asked:
    """A slow searcher called ``name``, which searches ``space``. ``package`` says where one of a name comes from."""

    def __init__(self, searcher: SlowSearcher, name: str, space: Space, package: Callable[[str], str]) -> None:
        self._searcher, self._space = searcher, space
        self._name, self._package = name, package

    def tell(self, told: Iterable[Sequence[Any]]) -> None:
        """Raises BrokenPlugin."""
        try:
            tell(self._searcher, told)
        except Exception as error:
            raise self._raised(error, "what it was told") from error

    def propose(self, count: int) -> list[Config]:
        """Raises BrokenPlugin, also for what is no configuration of the space."""
        try:
            answer = self._searcher.propose(count)
        except Exception as error:
            raise self._raised(error, "propose") from error
        try:
            return [fitting(config, self._space) for config in answer]
        except (TypeError, Unfit) as error:
            told = blame.answered(self._who(), answer, "propose", self._searcher, str(error))
            raise blame.BrokenPlugin(told) from error

    def _raised(self, error: Exception, method: str) -> blame.BrokenPlugin:
        return blame.BrokenPlugin(blame.raised(self._who(), error, method, self._searcher))

    def _who(self) -> str:
        return blame.named("searcher", self._name, self._package(self._name))
