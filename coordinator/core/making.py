"""Makes an experiment's algorithms; says what to do where they cannot be made any more."""

from __future__ import annotations

from dataclasses import dataclass

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.ahead import Ahead
from clustertune.coordinator.core.algorithms import Algorithms
from clustertune.coordinator.core.guarded import SilentScheduler, SilentSearcher
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.errors import Mistake, NoSuchName
from clustertune.search.contracts import Scheduler, Searcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """``pauses``: whether the scheduler may pause or clone trials."""

    searcher: Searcher | Ahead
    scheduler: Scheduler
    pauses: bool


def make(algorithms: Algorithms, definition: ExperimentDefinition, fact: f.ExperimentCreated) -> Made:
    """Raises Mistake where one is not installed, cannot be imported, or cannot be made."""
    scheduler, resource = definition.scheduler, definition.resource
    return Made(
        searcher=_searcher(algorithms, definition, fact),
        scheduler=algorithms.make_scheduler(
            scheduler.type,
            scheduler.options,
            space=definition.space,
            min_resource=resource.min,
            max_resource=resource.max,
            seed=definition.seed,
        ),
        pauses=algorithms.scheduler_pauses(scheduler.type, scheduler.options),
    )


def _searcher(algorithms: Algorithms, definition: ExperimentDefinition, fact: f.ExperimentCreated) -> Searcher | Ahead:
    name, options = definition.searcher.type, definition.searcher.options
    initial = (*definition.initial, *fact.first)
    space, seed = definition.space, definition.seed
    design = algorithms.searcher_design(name, options, space=space)
    if design is None:
        return algorithms.make_searcher(name, options, space=space, seed=seed, initial=initial)
    stand_in = algorithms.make_stand_in(space=space, seed=seed, initial=initial)
    return Ahead(
        stand_in,
        design=max(design, len(initial)),
        initial=len(definition.initial),
        first=len(fact.first),
        earlier=fact.earlier,
    )


def nobody() -> Made:
    """In the place of algorithms that cannot be made: what the journal says of their experiment can still be read."""
    return Made(searcher=SilentSearcher(), scheduler=SilentScheduler(), pauses=False)


def packages(algorithms: Algorithms, definition: ExperimentDefinition) -> dict[str, str]:
    """Where the algorithms that are not ours come from, by kind."""
    found = {
        "searcher": algorithms.searcher_package(definition.searcher.type),
        "scheduler": algorithms.scheduler_package(definition.scheduler.type),
    }
    return {kind: package for kind, package in found.items() if package}


def absence(fact: f.ExperimentCreated, error: Mistake) -> str:
    """Why the algorithms cannot be made, and what to do about it."""
    if not isinstance(error, NoSuchName):
        return str(error)
    package = fact.packages.get(error.kind)
    what = f"package {package}" if package else "the package that brings it"
    return f"the {error.kind} {error.name} is not installed any more: install {what} again"
