"""What the core wants of whoever knows the algorithms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from clustertune.coordinator.core.ahead import StandIn
from clustertune.model.space import Space
from clustertune.model.trial import Config
from clustertune.search.contracts import Scheduler, Searcher


class Algorithms(Protocol):
    """Makes searchers and schedulers from their names; the search room's registry is one."""

    def make_searcher(
        self, name: str, options: Mapping[str, Any], *, space: Space, seed: int, initial: tuple[Config, ...]
    ) -> Searcher: ...

    def make_scheduler(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        space: Space,
        min_resource: int,
        max_resource: int | None,
        seed: int,
    ) -> Scheduler: ...

    def searcher_package(self, name: str) -> str:
        """Name and version of the package that it comes from; empty where that is ours."""
        ...

    def scheduler_package(self, name: str) -> str: ...

    def scheduler_pauses(self, name: str, options: Mapping[str, Any]) -> bool: ...

    def searcher_design(self, name: str, options: Mapping[str, Any], *, space: Space) -> int | None:
        """None for a searcher that answers at once; for a slow one how many trials come before its first proposal."""
        ...

    def make_stand_in(self, *, space: Space, seed: int, initial: tuple[Config, ...]) -> StandIn: ...
