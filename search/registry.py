"""Which searchers and schedulers there are, by name: ours, and those of installed packages."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from clustertune.model.codec import FieldError, from_plain
from clustertune.model.errors import Mistake
from clustertune.model.space import Space
from clustertune.model.trial import Value
from clustertune.search.blame import BrokenPlugin
from clustertune.search.choosing import Chosen, choose_scheduler, choose_searcher
from clustertune.search.contracts import Scheduler, Searcher
from clustertune.search.kind import Kind
from clustertune.search.searchers.spread import StandIn

__all__ = ["BrokenPlugin", "Registry"]

_SEARCHERS = {
    "random": "clustertune.search.searchers.random:RandomSearch",
    "grid": "clustertune.search.searchers.grid:GridSearch",
    "sobol": "clustertune.search.searchers.quasi_random:SobolSearch",
    "bayesian": "clustertune.search.searchers.bayesian:Bayesian",
    "multi-fidelity": "clustertune.search.searchers.multi_fidelity:MultiFidelity",
    "evolution": "clustertune.search.searchers.evolution:Evolution",
    "optuna": "clustertune.search.searchers.optuna_sampler:OptunaSampler",
}
_SCHEDULERS = {
    "fifo": "clustertune.search.schedulers.fifo:Fifo",
    "asha": "clustertune.search.schedulers.asha:Asha",
    "asha-promotion": "clustertune.search.schedulers.asha_promotion:AshaPromotion",
    "async-hyperband": "clustertune.search.schedulers.async_hyperband:AsyncHyperband",
    "successive-halving": "clustertune.search.schedulers.successive_halving:SuccessiveHalving",
    "hyperband": "clustertune.search.schedulers.hyperband:Hyperband",
    "median-stopping": "clustertune.search.schedulers.median_stopping:MedianStopping",
    "plateau": "clustertune.search.schedulers.plateau:Plateau",
    "population-based": "clustertune.search.schedulers.population_based:PopulationBased",
    "population-based-replay": "clustertune.search.schedulers.population_based_replay:PopulationBasedReplay",
}


class Registry:
    """Algorithms by name; none is imported before it is asked for.

    An algorithm is a class with ``Options`` (a frozen dataclass; the metadata of its fields holds ``doc`` and, as
    wanted, ``minimum``, ``maximum``, ``examples``, ``file``), a docstring whose first line says what it does, a
    constructor as ``make_searcher`` and ``make_scheduler`` call it, and, as wanted, a static ``problems``. Third
    parties name theirs in the entry-point groups ``clustertune.searchers`` and ``clustertune.schedulers``; our own
    names stay ours.
    """

    def __init__(self, searchers: Mapping[str, str], schedulers: Mapping[str, str]) -> None:
        self._searchers = Kind("searcher", "clustertune.searchers", searchers)
        self._schedulers = Kind("scheduler", "clustertune.schedulers", schedulers)

    @classmethod
    def default(cls) -> Registry:
        """Our own algorithms and those of installed packages."""
        return cls(_SEARCHERS, _SCHEDULERS)

    def searcher_names(self) -> Sequence[str]:
        """All names, ours first."""
        return self._searchers.names()

    def scheduler_names(self) -> Sequence[str]:
        """All names, ours first."""
        return self._schedulers.names()

    def searcher_options(self, name: str) -> type[Any]:
        """The dataclass of its options. Raises NoSuchName, BrokenPlugin."""
        return _options_class(self._searchers.load(name))

    def scheduler_options(self, name: str) -> type[Any]:
        """The dataclass of its options. Raises NoSuchName, BrokenPlugin."""
        return _options_class(self._schedulers.load(name))

    def searcher_summary(self, name: str) -> str:
        """One line for people. Raises NoSuchName, BrokenPlugin."""
        return _summary(self._searchers.load(name))

    def scheduler_summary(self, name: str) -> str:
        """One line for people. Raises NoSuchName, BrokenPlugin."""
        return _summary(self._schedulers.load(name))

    def searcher_package(self, name: str) -> str:
        """Name and version of the installed package that it comes from; empty for ours, and for one that is gone."""
        return self._searchers.package(name)

    def scheduler_package(self, name: str) -> str:
        """Name and version of the installed package that it comes from; empty for ours, and for one that is gone."""
        return self._schedulers.package(name)

    def searcher_problems(self, name: str, options: Mapping[str, object], *, space: Space) -> Sequence[tuple[str, str]]:
        """(option, message) for each thing that stands in the way of using it; the option is empty for the whole."""
        return _problems(self._searchers, name, options, space=space)

    def scheduler_problems(
        self,
        name: str,
        options: Mapping[str, object],
        *,
        space: Space | None = None,
        trials: int | None = None,
        min_resource: int,
        max_resource: int | None,
    ) -> Sequence[tuple[str, str]]:
        """(option, message) for each thing that stands in the way of using it; the option is empty for the whole.

        ``space`` and ``trials`` are for those that look at them; None where they are not known, or have no limit.
        """
        cls, limits = self._schedulers.load(name), {"min_resource": min_resource, "max_resource": max_resource}
        about = {"space": space, "trials": trials}
        also = {what: known for what, known in about.items() if _takes(what, getattr(cls, "problems", None))}
        return _problems(self._schedulers, name, options, **limits, **also)

    def scheduler_pauses(self, name: str, options: Mapping[str, object]) -> bool:
        """Whether trials may be paused, or cloned, under it. Raises NoSuchName, BrokenPlugin, Mistake."""
        cls = self._schedulers.load(name)
        if not hasattr(cls, "pauses"):
            return False
        read = _read_options(cls, name, options)
        return self._schedulers.asked(name, "pauses", lambda: bool(cls.pauses(read)))

    def choose_searcher(
        self, *, space: Space, trials: int | None, parallel: int | None, scheduler: str, earlier: bool
    ) -> Chosen:
        """What ``auto`` means beside a scheduler, for ``trials`` at most, ``parallel`` of them at once; None: no limit.

        ``earlier``: whether there are earlier experiments to begin with.
        """
        return choose_searcher(space=space, trials=trials, parallel=parallel, scheduler=scheduler, earlier=earlier)

    def choose_scheduler(self, *, min_resource: int, max_resource: int | None, trials: int | None) -> Chosen:
        """What ``auto`` means for trials that report up to ``max_resource``."""
        return choose_scheduler(min_resource=min_resource, max_resource=max_resource, trials=trials)

    def make_searcher(
        self,
        name: str,
        options: Mapping[str, object],
        *,
        space: Space,
        seed: int,
        initial: Sequence[Mapping[str, Value]] = (),
    ) -> Searcher:
        """A searcher at its beginning. Raises NoSuchName, BrokenPlugin, Mistake for options that do not fit."""
        cls = self._searchers.load(name)
        read = _read_options(cls, name, options)
        searcher: Searcher = self._searchers.asked(
            name, "its constructor", lambda: cls(space=space, seed=seed, initial=initial, options=read)
        )
        return searcher

    def searcher_design(self, name: str, options: Mapping[str, object], *, space: Space) -> int | None:
        """For a slow searcher how many trials come before its first proposal; None for one that answers at once."""
        cls = self._searchers.load(name)
        if not _is_slow(cls):
            return None
        read = _read_options(cls, name, options)
        return self._searchers.asked(name, "design", lambda: max(1, int(cls.design(read, space=space))))

    def make_stand_in(self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]] = ()) -> StandIn:
        """What to try while a slow searcher has nothing ready."""
        return StandIn(space, seed, initial)

    def make_scheduler(
        self,
        name: str,
        options: Mapping[str, object],
        *,
        space: Space,
        min_resource: int,
        max_resource: int | None,
        seed: int,
    ) -> Scheduler:
        """A scheduler at its beginning. Raises NoSuchName, BrokenPlugin, Mistake for options that do not fit.

        Few schedulers look at the space: only those whose constructor takes it are given it.
        """
        cls = self._schedulers.load(name)
        read = _read_options(cls, name, options)
        also = {"space": space} if _takes("space", cls) else {}
        scheduler: Scheduler = self._schedulers.asked(
            name,
            "its constructor",
            lambda: cls(min_resource=min_resource, max_resource=max_resource, seed=seed, options=read, **also),
        )
        return scheduler


def _is_slow(cls: Any) -> bool:
    return hasattr(cls, "propose")


def _takes(name: str, function: Any) -> bool:
    return function is not None and name in inspect.signature(function).parameters


def _options_class(cls: Any) -> type[Any]:
    options: type[Any] = cls.Options
    return options


def _summary(cls: Any) -> str:
    return str(cls.__doc__ or cls.__name__).strip().splitlines()[0]


def _problems(kind: Kind, name: str, options: Mapping[str, object], **about: object) -> Sequence[tuple[str, str]]:
    cls = kind.load(name)
    if not hasattr(cls, "problems"):
        return []
    read = _read_options(cls, name, options)
    found: Sequence[tuple[str, str]] = kind.asked(name, "problems", lambda: cls.problems(read, **about))
    return found


def _read_options(cls: Any, name: str, options: Mapping[str, object]) -> Any:
    try:
        return from_plain(cls.Options, dict(options))
    except FieldError as error:
        raise Mistake(f"options of {name}: {error}") from error
