"""Any sampler of Optuna behind our contract (Akiba et al. 2019, arXiv 1907.10902): told what happened, asked for more.

A study in memory is made anew for each proposal, so that nothing but the seed and what was told decides it. Where the
sampler keeps its state in the study's past (CMA-ES, the genetic ones, quasi-random sequences, and those that we do not
know), every trial is asked for again with its parameters fixed, and told in the order in which it happened; the others
are handed finished trials. Trials that have said nothing yet run, for Optuna: it takes care not to come near them.

A trial's value is its loss at the highest level that it reached. For TPE, which ranks pruned trials by level before
value, one that was left behind at a level that others passed is a pruned one. What was worth nothing ranks last: for
TPE a trial pruned before it said anything, for others one with the worst loss there is, where they learn from a past
that they did not make, and else a failed one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import math
import pkgutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import shake_128
from itertools import islice
from typing import TYPE_CHECKING, Any

from clustertune.model.errors import Mistake, suggestion
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.search.searchers.bayesian import DESIGN, design_size
from clustertune.search.searchers.past import Known, Past
from clustertune.search.searchers.spread import StandIn, key

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, Trial

_ASKS = 256
"""So often a sampler is asked for something that is allowed, before chance proposes: half a second, for TPE."""

_MOST_ASKS = 512
"""In one answer: what was turned down makes all further questions slower."""

_ASKS_OF = {"gp": 16}
_ASKS_OF_UNKNOWN = 64
"""Fewer of those that may take long to answer."""

_OLD = 16
"""So often it may come back to what was tried: in a finite space it does so more and more."""

_CLASSES = {
    "tpe": "TPESampler", "gp": "GPSampler", "cmaes": "CmaEsSampler", "qmc": "QMCSampler", "nsgaii": "NSGAIISampler",
    "random": "RandomSampler",
}  # fmt: skip

_TOLD = ("tpe", "gp", "random")
"""These need no more of the past than trials with values."""

_NEEDS = {"cmaes": "cmaes", "gp": "torch"}
"""Packages beside Optuna itself."""


@dataclass(frozen=True, slots=True)
class OptunaOptions:
    """The sampler, and what it is made with."""

    sampler: str = field(
        default="tpe",
        metadata={
            "doc": "tpe (tree-structured Parzen estimator), gp (Gaussian process; needs torch), cmaes (CMA-ES; needs "
            "cmaes), nsgaii (genetic), qmc (quasi-random), random, or a sampler's class as module:Class.",
            "examples": ["cmaes"],
        },
    )
    sampler_options: dict[str, object] = field(
        default_factory=dict,
        metadata={
            "doc": "Arguments of the sampler's class, by name, as Optuna documents them.",
            "examples": [{"n_ei_candidates": 48}],
        },
    )
    initial_points: int | None = field(default=None, metadata=DESIGN)


class OptunaSampler:
    """Proposes what a sampler of Optuna does: TPE, Gaussian process, CMA-ES, NSGA-II, or any other."""

    Options = OptunaOptions

    def __init__(
        self, *, space: Space, seed: int, initial: Sequence[Mapping[str, Value]], options: OptunaOptions
    ) -> None:
        del initial
        for _, problem in _missing(options):
            raise Mistake(problem)
        from clustertune.search.searchers.optuna_space import OptunaSpace

        self._space, self._seed, self._options = space, seed, options
        with _quietly():
            self._terms = OptunaSpace(space)
            _sampler(options, space, seed, 0)  # what cannot be made is told at once
        self._chance, self._past = StandIn(space, seed), Past()
        self._story: list[tuple[str, int]] = []

    @staticmethod
    def design(options: OptunaOptions, *, space: Space) -> int:
        """By default two for each parameter, at least 5 and at most 20; 1 for samplers that do not learn."""
        learns = options.sampler not in ("qmc", "random")
        return options.initial_points or (design_size(space) if learns else 1)

    @staticmethod
    def problems(options: OptunaOptions, *, space: Space) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way."""
        if found := _missing(options):
            return found
        if options.sampler in _CLASSES and not options.sampler_options:
            return []  # it takes a second to import Optuna
        try:
            with _quietly():
                _sampler(options, space, 0, 0)
        except Mistake as mistake:
            return [("sampler" if options.sampler not in _CLASSES else "sampler_options", str(mistake))]
        return []

    def created(self, trial: int, config: Config) -> None:
        self._past.created(trial, config)
        self._story.append(("created", trial))

    def observe(self, trial: int, resource: int, loss: float) -> None:
        if self._past.trials[trial].pending:
            self._story.append(("told", trial))
        self._past.observe(trial, resource, loss)

    def forget(self, trial: int) -> None:
        if self._past.trials[trial].pending:
            self._story.append(("told", trial))
        self._past.forget(trial)

    def propose(self, count: int) -> list[Config]:
        """A function of the seed and of what was told."""
        found: list[Config] = []
        seen, first = set(self._past.seen), len(self._past.trials)
        with _quietly():
            study = self._told() if self._options.sampler in _TOLD else self._replayed()
            asks = iter(range(_MOST_ASKS))
            while len(found) < count:
                config = self._asked(study, seen, asks) or self._chance.config(first + len(found), seen)
                if not isinstance(config, dict):
                    break
                found.append(config)
                seen.add(key(config))
        return found

    def _asked(self, study: Study, seen: set[str], asks: Iterator[int]) -> Config | None:
        """What is turned down stays there as running, so that the sampler goes elsewhere."""
        sampler, old = self._options.sampler, 0
        most = _ASKS_OF.get(sampler, _ASKS) if sampler in _CLASSES else _ASKS_OF_UNKNOWN
        for _ in islice(asks, most):
            config = self._terms.suggest(study.ask())
            if not self._space.allows(config):
                continue
            if key(config) not in seen:
                return config
            old += 1
            if old == _OLD:
                return None
        return None

    def _told(self) -> Study:
        study = _study(_sampler(self._options, self._space, self._seed, self._past.told))
        passed = {level for known in self._past.trials.values() for level in sorted(known.losses)[:-1]}
        worst = max((loss for _, _, loss in self._past.finite()), default=None)
        study.add_trials([self._frozen(known, passed, worst) for known in self._past.trials.values()])
        return study

    def _frozen(self, known: Known, passed: set[int], worst: float | None) -> FrozenTrial:
        from optuna.trial import TrialState, create_trial

        params = self._terms.params(known.config)
        about: dict[str, Any] = {"params": params, "distributions": self._terms.distributions(params)}
        loss, by_level = _loss(known), self._options.sampler == "tpe"
        if known.pending:
            return create_trial(state=TrialState.RUNNING, **about)
        if loss is None and by_level:
            return create_trial(state=TrialState.PRUNED, **about)
        if loss is None and worst is None:
            return create_trial(state=TrialState.FAIL, **about)
        if by_level and loss is not None and known.level in passed:
            return create_trial(state=TrialState.PRUNED, intermediate_values={known.level: loss}, **about)
        return create_trial(value=worst if loss is None else loss, **about)

    def _replayed(self) -> Study:
        from optuna.trial import TrialState

        study = _study(_sampler(self._options, self._space, self._seed, self._past.told))
        asked: dict[int, Trial] = {}
        for event, number in self._story:
            known = self._past.trials[number]
            if event == "created":
                study.enqueue_trial(self._terms.params(known.config))
                asked[number] = trial = study.ask()
                # Samplers note what they need to know later when they are asked, and they are asked at this moment.
                _ = trial.relative_params
                self._terms.suggest(trial)
            elif (loss := _loss(known)) is not None:
                study.tell(asked[number], loss)
            else:
                study.tell(asked[number], state=TrialState.FAIL)
        return study


def _loss(known: Known) -> float | None:
    """None where it is worth nothing."""
    loss = known.losses.get(known.level, math.nan)
    return loss if math.isfinite(loss) and not known.failed else None


def _study(sampler: BaseSampler) -> Study:
    import optuna

    return optuna.create_study(study_name="clustertune", sampler=sampler, pruner=optuna.pruners.NopPruner())


def _missing(options: OptunaOptions) -> list[tuple[str, str]]:
    """What is not installed, or not known."""
    if importlib.util.find_spec("optuna") is None:
        return [("", "the optuna searcher needs Optuna; run: pip install 'clustertune[optuna]'")]
    package = _NEEDS.get(options.sampler)
    if package and importlib.util.find_spec(package) is None:
        return [("sampler", f"Optuna's {options.sampler} sampler needs {package}; run: pip install {package}")]
    if options.sampler not in _CLASSES and ":" not in options.sampler:
        near = suggestion(options.sampler, _CLASSES)
        return [("sampler", f"there is no sampler called {options.sampler!r}, nor is it module:Class{near}")]
    return []


def _sampler(options: OptunaOptions, space: Space, seed: int, told: int) -> BaseSampler:
    """For one proposal. Raises Mistake."""
    try:
        if options.sampler in _CLASSES:
            cls = getattr(importlib.import_module("optuna.samplers"), _CLASSES[options.sampler])
        else:
            cls = pkgutil.resolve_name(options.sampler)
    except (ImportError, AttributeError, ValueError) as error:
        raise Mistake(f"{options.sampler} cannot be imported: {error}") from error
    try:
        chosen = {**_defaults(options.sampler, space), **options.sampler_options}
        sampler: BaseSampler = cls(**{**chosen, **_seeds(cls, chosen.get("seed", seed), told)})
    except (TypeError, ValueError) as error:
        raise Mistake(f"{options.sampler} cannot be made with these options: {error}") from error
    return sampler


def _seeds(cls: Any, seed: object, told: int) -> dict[str, object]:
    """Another seed for each proposal: a sampler that begins anew would draw the same numbers again.

    What is told again uses up few of them, for parameters that are fixed are not drawn. Where the seed is the order of
    a sequence or of a grid, it stays, and what is drawn beside a sequence changes.
    """
    from optuna.samplers import GridSampler, QMCSampler, RandomSampler

    known = inspect.signature(cls).parameters
    if "seed" not in known:
        return {}
    new = int.from_bytes(shake_128(f"{seed}/optuna/{told}".encode()).digest(4), "big")
    if not (isinstance(cls, type) and issubclass(cls, (QMCSampler, GridSampler))):
        return {"seed": new}
    beside = {"independent_sampler": RandomSampler(seed=new)} if "independent_sampler" in known else {}
    return {"seed": seed % 2**32 if isinstance(seed, int) else seed, **beside}


def _defaults(name: str, space: Space) -> dict[str, object]:
    """Ours, where Optuna's are for another use: we draw the first configurations, and trials run in parallel."""
    known: dict[str, dict[str, object]] = {
        "tpe": {
            "n_startup_trials": 1,
            "constant_liar": True,
            "multivariate": True,
            "group": bool(space.conditions),
        },
        "gp": {"n_startup_trials": 1, "warn_independent_sampling": False},
        "cmaes": {"warn_independent_sampling": False},
        "nsgaii": {"population_size": 20},
        "qmc": {"scramble": True, "warn_independent_sampling": False},
    }
    return known.get(name, {})


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Optuna logs every trial, and warns of what it calls experimental."""
    from optuna import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
