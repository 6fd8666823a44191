"""Which searchers and schedulers there are, by name: ours, and those of installed packages."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from clustertune.model.codec import FieldError, from_plain
from clustertune.model.errors import Mistake, NoSuchName
from clustertune.model.space import Space
from clustertune.model.trial import Value
from clustertune.search.choosing import Chosen, choose_scheduler, choose_searcher
from clustertune.search.contracts import Scheduler, Searcher
from clustertune.search.searchers.spread import StandIn

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


class BrokenPlugin(Mistake):
    """An installed package offers an algorithm and cannot be used; says which package."""


class Registry:
    """Algorithms by name; none is imported before it is asked for.

    An algorithm is a class with ``Options`` (a frozen dataclass; the metadata of its fields holds ``doc`` and, as
    wanted, ``minimum``, ``maximum``, ``examples``, ``file``), a docstring whose first line says what it does, a
    constructor as ``make_searcher`` and ``make_scheduler`` call it, and, as wanted, a static ``problems``. Third
    parties name theirs in the entry-point groups ``clustertune.searchers`` and ``clustertune.schedulers``; our own
    names stay ours.
    """

    def __init__(self, searchers: Mapping[str, str], schedulers: Mapping[str, str]) -> None:
        self._searchers = _Kind("searcher", "clustertune.searchers", searchers)
        self._schedulers = _Kind("scheduler", "clustertune.schedulers", schedulers)

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

    def searcher_problems(self, name: str, options: Mapping[str, object], *, space: Space) -> Sequence[tuple[str, str]]:
        """(option, message) for each thing that stands in the way of using it; the option is empty for the whole."""
        return _problems(self._searchers.load(name), name, options, space=space)

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
        return _problems(cls, name, options, **limits, **also)

    def scheduler_pauses(self, name: str, options: Mapping[str, object]) -> bool:
        """Whether trials may be paused, or cloned, under it. Raises NoSuchName, BrokenPlugin, Mistake."""
        cls = self._schedulers.load(name)
        return bool(cls.pauses(_read_options(cls, name, options))) if hasattr(cls, "pauses") else False

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
        searcher: Searcher = cls(space=space, seed=seed, initial=initial, options=_read_options(cls, name, options))
        return searcher

    def searcher_design(self, name: str, options: Mapping[str, object], *, space: Space) -> int | None:
        """For a slow searcher how many trials come before its first proposal; None for one that answers at once."""
        cls = self._searchers.load(name)
        return max(1, int(cls.design(_read_options(cls, name, options), space=space))) if _is_slow(cls) else None

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
        scheduler: Scheduler = cls(
            min_resource=min_resource, max_resource=max_resource, seed=seed, options=read, **also
        )
        return scheduler


class _Kind:
    """The algorithms of one kind."""

    def __init__(self, kind: str, group: str, own: Mapping[str, str]) -> None:
        self._kind, self._group, self._own = kind, group, own

    def names(self) -> Sequence[str]:
        return list(dict.fromkeys((*self._own, *sorted(self._installed()))))

    def load(self, name: str) -> Any:
        if name in self._own:
            module, attribute = self._own[name].split(":")
            return getattr(importlib.import_module(module), attribute)
        # Reading what is installed costs tens of milliseconds: only for names that are not ours.
        installed = self._installed()
        if name not in installed:
            raise NoSuchName(self._kind, name, (*self.names(), "auto"))
        return self._load_installed(installed[name])

    def _load_installed(self, entry: EntryPoint) -> Any:
        source = f"package {entry.dist.name} {entry.dist.version}" if entry.dist else "an installed package"
        told = f"{self._kind} {entry.name!r} of {source} ({entry.value})"
        try:
            found = entry.load()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise BrokenPlugin(f"{told} cannot be imported: {reason}; repair or uninstall that package") from error
        if not isinstance(getattr(found, "Options", None), type):
            raise BrokenPlugin(f"{told} is no algorithm: it has no Options; tell the package's authors")
        return found

    def _installed(self) -> Mapping[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self._group)}


def _is_slow(cls: Any) -> bool:
    return hasattr(cls, "propose")


def _takes(name: str, function: Any) -> bool:
    return function is not None and name in inspect.signature(function).parameters


def _options_class(cls: Any) -> type[Any]:
    options: type[Any] = cls.Options
    return options


def _summary(cls: Any) -> str:
    return str(cls.__doc__ or cls.__name__).strip().splitlines()[0]


def _problems(cls: Any, name: str, options: Mapping[str, object], **about: object) -> Sequence[tuple[str, str]]:
    if not hasattr(cls, "problems"):
        return []
    found: Sequence[tuple[str, str]] = cls.problems(_read_options(cls, name, options), **about)
    return found


def _read_options(cls: Any, name: str, options: Mapping[str, object]) -> Any:
    try:
        return from_plain(cls.Options, dict(options))
    except FieldError as error:
        raise Mistake(f"options of {name}: {error}") from error
