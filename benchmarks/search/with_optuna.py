"""Optuna on a task: samplers and pruners as they are by default, through its own ask and tell."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna

from benchmarks.search.suite import Measurable
from benchmarks.search.virtual_time import Course, drive
from clustertune.model.parameters import Choice, Constant, Float, Int, Parameter
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value


def search(task: Measurable, options: Mapping[str, Any], *, slots: int, limit_s: float, seed: int) -> Course:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    pruner = _pruner(options["pruner"], task.max_resource, options["reduction_factor"])
    # Its Hyperband deals out brackets by the study's name, which is drawn where none is given.
    study = optuna.create_study(study_name=f"seed-{seed}", sampler=_sampler(options["sampler"], seed), pruner=pruner)
    return drive(_Study(study, task.space), task, slots=slots, limit_s=limit_s, seed=seed)


class _Study:
    """An objective that returns its best report, prunes where it should, and raises where that is not finite."""

    def __init__(self, study: optuna.Study, space: Space) -> None:
        self._study, self._space = study, space
        self._trials: dict[int, optuna.Trial] = {}
        self._best: dict[int, float] = {}

    def begin(self, number: int) -> Config:
        self._trials[number] = trial = self._study.ask()
        self._best[number] = math.inf
        return suggested(trial, self._space)

    def report(self, number: int, level: int, loss: float) -> bool:
        trial = self._trials[number]
        trial.report(loss, level)
        if loss < self._best[number]:
            self._best[number] = loss
        if not trial.should_prune():
            return True
        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        self._forget(number)
        return False

    def end(self, number: int) -> None:
        best = self._best[number]
        if math.isfinite(best):
            self._study.tell(self._trials[number], best)
        else:
            self._study.tell(self._trials[number], state=optuna.trial.TrialState.FAIL)
        self._forget(number)

    def _forget(self, number: int) -> None:
        del self._trials[number], self._best[number]


def suggested(trial: optuna.Trial, space: Space) -> Config:
    """Asked for one after the other, a parameter only where it is active: a space that is defined by running."""
    found: Config = {}
    waiting = list(space.names)
    while waiting:
        ready = [name for name in waiting if not any(parent in waiting for parent in space.conditions.get(name, ()))]
        for name in ready:
            waiting.remove(name)
            if space.is_active(name, found):
                found[name] = _suggest(trial, name, space.parameters[name])
    return {name: found[name] for name in space.names if name in found}


def _suggest(trial: optuna.Trial, name: str, parameter: Parameter) -> Value:
    if isinstance(parameter, Float):
        found = trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        return parameter.read(min(max(found, parameter.low), parameter.high))
    if isinstance(parameter, Int):
        return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log, step=parameter.step or 1)
    if isinstance(parameter, Choice):
        chosen: Any = trial.suggest_categorical(name, parameter.values)
        return parameter.read(chosen)
    assert isinstance(parameter, Constant)
    return parameter.value


def _sampler(name: str, seed: int) -> Any:
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.GPSampler(seed=seed)


def _pruner(name: str, max_resource: int, reduction_factor: int) -> Any:
    if name == "successive-halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=reduction_factor)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(1, max_resource, reduction_factor)
    return optuna.pruners.NopPruner()
