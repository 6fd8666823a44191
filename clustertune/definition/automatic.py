"""Puts an algorithm in each place where a definition says ``auto``, with the reason beside it."""

from __future__ import annotations

from collections.abc import Collection

from clustertune.definition.algorithms import AUTO, Chosen, Kind, Registry, resolve_choice
from clustertune.definition.document import Document
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.definition.sections import AlgorithmChoice

_PLAINEST_SCHEDULER, _PLAINEST_SEARCHER = AlgorithmChoice(type="fifo"), AlgorithmChoice(type="random")
"""What nothing can be wrong with: so that what is wrong elsewhere is said alone."""


def with_algorithms_chosen(
    definition: ExperimentDefinition, registry: Registry, *, broken: Collection[str] = ()
) -> ExperimentDefinition:
    """The definition with every AUTO replaced. ``broken`` are fields that hold stand-ins."""
    scheduler, searcher = definition.scheduler, definition.searcher
    if scheduler.type == AUTO:
        scheduler = _scheduler(definition, registry, broken)
    if searcher.type == AUTO:
        searcher = _searcher(definition, registry, broken, scheduler.type)
    return definition.model_copy(update={"scheduler": scheduler, "searcher": searcher})


def _scheduler(definition: ExperimentDefinition, registry: Registry, broken: Collection[str]) -> AlgorithmChoice:
    if {"resource", "trials"} & set(broken):
        return _PLAINEST_SCHEDULER
    resource = definition.resource
    chosen = registry.choose_scheduler(min_resource=resource.min, max_resource=resource.max, trials=definition.trials)
    return _complete("scheduler", chosen, registry)


def _searcher(
    definition: ExperimentDefinition, registry: Registry, broken: Collection[str], scheduler: str
) -> AlgorithmChoice:
    try:
        space = definition.space
    except ValueError:  # said elsewhere
        return _PLAINEST_SEARCHER
    if {"space", "constraints", "trials", "parallel"} & set(broken) or not space.parameters:
        return _PLAINEST_SEARCHER
    chosen = registry.choose_searcher(
        space=space,
        trials=definition.trials,
        parallel=definition.parallel,
        scheduler=scheduler,
        earlier=bool(definition.warm_start),
    )
    return _complete("searcher", chosen, registry)


def _complete(kind: Kind, chosen: Chosen, registry: Registry) -> AlgorithmChoice:
    """With its defaults, so that a later version of it does not change an experiment that was begun."""
    written = {"type": chosen.type, **chosen.options}
    choice, problems = resolve_choice(kind, written, registry, Document(tree={kind: written}, file=None))
    if choice is None:
        raise ValueError(f"{kind} auto chose {written}: {problems[0].message}")
    return AlgorithmChoice.model_validate({**choice, "because": chosen.because})
