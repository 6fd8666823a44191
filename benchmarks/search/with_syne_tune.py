"""Syne Tune on a task: its schedulers called as its own tuner calls them.

It has no conditions: all parameters are suggested, and those that are not active are left out of what is run. It has
no word for a loss that is not a number either: its ranks would depend on the order of arrival, and its densities fail;
such a report is handed over as a loss greater than any. Its BOHB takes no notice of logarithmic scales, though its
spaces have them.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import math
import random
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, finrange, lograndint, loguniform, ordinal, randint, uniform
from syne_tune.optimizer.baselines import ASHA, BOHB
from syne_tune.optimizer.scheduler import SchedulerDecision

from benchmarks.search.suite import Measurable
from benchmarks.search.virtual_time import Course, drive
from clustertune.model.parameters import Choice, Float, Int, Ordinal, Parameter
from clustertune.model.space import Space
from clustertune.model.trial import Config

_BASELINES = {"ASHA": ASHA, "BOHB": BOHB}
_WORST = 1e9
_BORN = datetime.datetime.fromtimestamp(0, datetime.UTC)


def search(task: Measurable, options: Mapping[str, Any], *, slots: int, limit_s: float, seed: int) -> Course:
    """Its searchers and brackets draw from the global generators, too: these are seeded as well."""
    logging.getLogger().setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    random.seed(seed)
    np.random.seed(seed)
    with contextlib.redirect_stdout(sys.stderr):
        scheduler = _BASELINES[options["baseline"]](
            {name: _domain(parameter) for name, parameter in task.space.parameters.items()},
            metric="loss",
            time_attr="level",
            max_t=task.max_resource,
            grace_period=1,
            reduction_factor=options["reduction_factor"],
            random_seed=seed,
        )
        return drive(_Scheduler(scheduler, task.space), task, slots=slots, limit_s=limit_s, seed=seed)


class _Scheduler:
    """Trials by their number; ``_last`` has what each reported last."""

    def __init__(self, scheduler: Any, space: Space) -> None:
        self._scheduler, self._space = scheduler, space
        self._trials: dict[int, Trial] = {}
        self._last: dict[int, Mapping[str, Any]] = {}

    def begin(self, number: int) -> Config | None:
        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        self._trials[number] = trial = Trial(trial_id=number, config=suggestion.config, creation_time=_BORN)
        self._scheduler.on_trial_add(trial)
        return active(self._space, suggestion.config)

    def report(self, number: int, level: int, loss: float) -> bool:
        result = {"loss": loss if math.isfinite(loss) else _WORST, "level": level}
        self._last[number] = result
        decision = self._scheduler.on_trial_result(self._trials[number], result)
        if decision == SchedulerDecision.PAUSE:
            raise NotImplementedError("the loop has no paused trials, and neither scheduler pauses any")
        if decision == SchedulerDecision.CONTINUE:
            return True
        self._scheduler.on_trial_remove(self._trials.pop(number))
        return False

    def end(self, number: int) -> None:
        self._scheduler.on_trial_complete(self._trials.pop(number), self._last.pop(number))


def active(space: Space, suggested: Mapping[str, Any]) -> Config:
    """Values of Python's own types, within bounds, without those of inactive parameters."""
    found = {name: _own(space.parameters[name], value) for name, value in suggested.items()}
    return space.fill(found, space.to_unit({}))


def _own(parameter: Parameter, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(parameter, Float):
        return parameter.at(parameter.unit(value)) if parameter.step else min(max(value, parameter.low), parameter.high)
    return value


def _domain(parameter: Parameter) -> Any:
    if isinstance(parameter, Float):
        if parameter.step is not None:
            return finrange(parameter.low, parameter.high, parameter.count or 1)
        return (loguniform if parameter.log else uniform)(parameter.low, parameter.high)
    if isinstance(parameter, Int):
        return (lograndint if parameter.log else randint)(parameter.low, parameter.high)
    if isinstance(parameter, Ordinal):
        return ordinal(list(parameter.values))
    if isinstance(parameter, Choice):
        return choice(list(parameter.values))
    return parameter.value
