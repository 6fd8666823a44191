"""Makes an experiment and its algorithms; says what to do where those cannot be made any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.ahead import Ahead
from clustertune.coordinator.core.algorithms import Algorithms
from clustertune.coordinator.core.guarded import (
    Blame,
    GuardedScheduler,
    GuardedSearcher,
    SilentScheduler,
    SilentSearcher,
)
from clustertune.coordinator.core.objectives import Objectives
from clustertune.coordinator.core.state import Experiment, Trial, run_spec
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


def begin(
    fact: f.ExperimentCreated,
    definition: ExperimentDefinition,
    made: Made,
    now: float,
    *,
    algorithms: Algorithms,
    env: Mapping[str, str],
    secrets: Sequence[str],
    failed: Callable[[f.AlgorithmFailed], None],
) -> Experiment:
    """An experiment at its beginning. ``failed`` hears at once of the first mistake of its algorithms."""
    name, trials = fact.experiment, list[Trial]()

    def tell(reason: str, trace: str) -> None:
        failed(f.AlgorithmFailed(experiment=name, reason=reason, trace=trace))

    def blame(kind: str, algorithm: str, package: Callable[[str], str]) -> Blame:
        return Blame(kind, algorithm, lambda: package(algorithm) or fact.packages.get(kind, ""), tell)

    searching = blame("searcher", definition.searcher.type, algorithms.searcher_package)
    scheduling = blame("scheduler", definition.scheduler.type, algorithms.scheduler_package)
    searcher, space = made.searcher, definition.space
    return Experiment(
        name=name,
        definition=definition,
        secrets=tuple(dict.fromkeys([*definition.secrets, *secrets])),
        run=replace(
            run_spec(definition, workdir=fact.workdir, python=fact.python, env=env, pauses=made.pauses),
            snapshot=fact.snapshot,
        ),
        demand=definition.per_trial.demand,
        searcher=searcher if isinstance(searcher, Ahead) else GuardedSearcher(searcher, space, searching),
        scheduler=GuardedScheduler(made.scheduler, space, trials, scheduling, pauses=made.pauses),
        trials=trials,
        created=now,
        sign=definition.objective.sign,
        objectives=Objectives.of(definition),
        running_since=now,
        first=len(fact.first),
    )


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
