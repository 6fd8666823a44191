"""Replays what population-based training learned: one trial, whose configuration changes as it trains.

Jaderberg et al. 2017 (https://arxiv.org/abs/1711.09846) show that the schedule by which the best member's configuration
changed is a result of its own; it can be trained again without a population. At each change the trial saves and ends,
and a clone of it goes on with the next configuration.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState
from clustertune.search.contracts import Clone, Decision, Next, StartNew, Wait
from clustertune.search.schedulers.ladder import maximum_problem


@dataclass(frozen=True, slots=True)
class PopulationBasedReplayOptions:
    """What to replay."""

    schedule: str = field(
        metadata={
            "doc": "The path of a `schedule.json`, as an experiment with `population-based` leaves it among its "
            "results. Its text is what the experiment keeps.",
            "file": True,
            "examples": ["schedule.json"],
        },
    )


class PopulationBasedReplay:
    """Trains one trial through the schedule that a population found; the trial must take checkpoints."""

    Options = PopulationBasedReplayOptions

    def __init__(
        self, *, min_resource: int, max_resource: int | None, seed: int, options: PopulationBasedReplayOptions
    ) -> None:
        del min_resource, seed
        if max_resource is None:
            raise ValueError("population-based-replay needs max_resource")
        self._max = max_resource
        self._schedule = _read(options.schedule)
        self._levels = [level for level, _ in self._schedule]
        self._reached: dict[int, int] = {}
        self._began = False

    @staticmethod
    def pauses(options: PopulationBasedReplayOptions) -> bool:
        del options
        return True

    @staticmethod
    def problems(
        options: PopulationBasedReplayOptions, *, space: Space | None, min_resource: int, max_resource: int | None
    ) -> list[tuple[str, str]]:
        """(option, message) for what stands in the way; an empty option means the scheduler as a whole."""
        del min_resource
        problems = maximum_problem("population-based-replay", max_resource)
        try:
            schedule = _read(options.schedule)
        except ValueError as error:
            return [*problems, ("schedule", f"{error}; name the schedule.json of an experiment")]
        misfits = (misfit for _, config in schedule if space is not None for misfit in space.check(config))
        misfit = next(misfits, "")
        return [*problems, *([("schedule", f"{misfit}; the space must hold the schedule")] if misfit else [])]

    def next(self) -> Next:
        """The one trial, with the first configuration; nothing after it."""
        return Wait() if self._began else StartNew(self._schedule[0][1])

    def on_create(self, trial: int, config: Config) -> None:
        """The trial, or what goes on in its place."""
        del config
        self._began = True
        self._reached[trial] = 0

    def on_clone(self, parent: int, child: int, resource: int) -> None:
        """It goes on where its parent is."""
        del parent
        self._reached[child] = resource

    def target(self, trial: int) -> int | None:
        """The next change, the maximum at last."""
        reached = self._reached.get(trial, self._max)
        changes = (level for level in self._levels if reached < level < self._max)
        return next(changes, self._max if reached < self._max else None)

    def on_report(self, trial: int, resource: int, loss: float) -> Decision | Clone:
        """A clone of the trial itself, where its configuration is to change."""
        del loss
        before, now = self._config_at(self._reached[trial]), self._config_at(resource)
        if resource >= self._max or now == before:
            self._reached[trial] = resource
            return Decision.CONTINUE
        del self._reached[trial]  # whatever it still reports is its clone's to repeat
        return Clone(trial, now)

    def on_end(self, trial: int, state: TrialState) -> None:
        """There is nothing left to decide for it."""
        del state
        self._reached.pop(trial, None)

    def _config_at(self, level: int) -> Config:
        return self._schedule[bisect_right(self._levels, level) - 1][1]


def _read(text: str) -> list[tuple[int, Config]]:
    """(level from which on, configuration), in order, the first at 0. Raises ValueError."""
    try:
        written = json.loads(text)
        parts = written["schedule"]
        schedule = [(int(part["resource_from"]), _config(part["config"])) for part in parts]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("found no schedule in it") from error
    levels = [level for level, _ in schedule]
    if not levels or levels[0] != 0 or levels != sorted(set(levels)):
        raise ValueError(f"the levels of a schedule begin at 0 and grow, found {levels[:8]}")
    return schedule


def _config(written: Any) -> Config:
    if not isinstance(written, Mapping) or not all(isinstance(value, int | float | str) for value in written.values()):
        raise TypeError("a configuration is a mapping of names to values")
    return dict(written)
