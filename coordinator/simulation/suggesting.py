"""Slow searchers in virtual time: the real ones, in this process, whose answers come after a modelled while."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.commands import Suggest
from clustertune.coordinator.core.slow import Asked
from clustertune.coordinator.simulation.timeline import Timeline
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.search.registry import Registry

_TICK_S = 1.0
"""While an answer is awaited the clock ticks, as a coordinator's does: what waited long enough is filled in."""


class Suggesting:
    """Carries out ``Suggest`` for one experiment; an answer takes ``takes_s``."""

    def __init__(
        self,
        definition: ExperimentDefinition,
        registry: Registry,
        timeline: Timeline,
        takes_s: float,
        tell_core: Callable[[e.Happening], None],
    ) -> None:
        self._definition, self._registry = definition, registry
        self._timeline, self._takes_s, self._tell_core = timeline, takes_s, tell_core
        self._searcher: Asked | None = None
        self._told = self._awaited = 0

    def suggest(self, command: Suggest) -> None:
        """Computes at once from what is known now, and answers later. Raises BrokenPlugin."""
        if self._searcher is None:
            self._searcher = self._make()
        self._searcher.tell(command.told[self._told : command.known])
        self._told = command.known
        configs = tuple(self._searcher.propose(command.count)) if command.count else ()
        answer = e.Suggested(experiment=command.experiment, known=command.known, configs=configs)
        self._awaited = self._timeline.after(self._takes_s, self._answer, answer)
        for second in range(1, int(self._takes_s / _TICK_S) + 1):
            self._timeline.after(second * _TICK_S, self._tick, self._awaited)

    def _answer(self, answer: e.Suggested) -> None:
        self._awaited = 0
        self._tell_core(answer)

    def _tick(self, awaited: int) -> None:
        if awaited == self._awaited:
            self._tell_core(e.Ticked())

    def _make(self) -> Asked:
        choice = self._definition.searcher
        made: Any = self._registry.make_searcher(
            choice.type,
            choice.options,
            space=self._definition.space,
            seed=self._definition.seed,
            initial=tuple(self._definition.initial),
        )
        return Asked(made, choice.type, self._definition.space, self._registry.searcher_package)
