"""What came of a simulated experiment: its best value over virtual time, and what that took."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from clustertune.coordinator.core.commands import Step
from clustertune.coordinator.core.state import Experiment
from clustertune.model.trial import Config, ExperimentState


@dataclass(frozen=True, slots=True, kw_only=True)
class Incumbent:
    """The best trial from this moment on. ``compute_s`` is how long slots had been held by then, all together."""

    time_s: float
    compute_s: float
    value: float
    trial: int
    resource: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``events`` were handled by the core, of which ``results`` were reports; ``path`` holds each improvement.

    ``states`` counts trials by their state; ``compute_s`` adds up how long each slot was held, delays included.
    """

    state: ExperimentState
    reason: str
    time_s: float
    compute_s: float
    events: int
    results: int
    interruptions: int
    states: Mapping[str, int]
    path: tuple[Incumbent, ...]
    best: Config | None

    @property
    def value(self) -> float | None:
        """The best value; None where no trial reported a finite one."""
        return self.path[-1].value if self.path else None

    @property
    def trials(self) -> int:
        return sum(self.states.values())

    def best_at(self, *, compute_s: float) -> float | None:
        """The best value after so much compute; None before the first."""
        found = bisect_right(self.path, compute_s, key=attrgetter("compute_s"))
        return self.path[found - 1].value if found else None


@dataclass(slots=True)
class Meter:
    """Reads off the core's state, after each event, what the outcome will tell."""

    experiment: Experiment | None = None
    events: int = 0
    results: int = 0
    interruptions: int = 0
    held: int = 0
    _since_s: float = 0.0
    _compute_s: float = 0.0
    _best: int | None = None
    _best_loss: float = math.inf
    _path: list[Incumbent] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.experiment is not None and self.experiment.state.ended

    def note(self, now: float, step: Step) -> None:
        """An event was handled at ``now``. Nothing holds a slot before ``experiment`` is set."""
        self.events += 1
        if now > self._since_s:
            self._compute_s += self.held * (now - self._since_s)
            self._since_s = now
        if (experiment := self.experiment) is not None:
            self.held = len(experiment.active)
            if step.reports:
                self.results += len(step.reports)
                if experiment.best_loss != self._best_loss or experiment.best != self._best:
                    self._improved(now, experiment)

    def _improved(self, now: float, experiment: Experiment) -> None:
        if experiment.best is None or experiment.best_violation > 0.0:
            return  # who breaks metric constraints is nobody's result
        self._best, self._best_loss = experiment.best, experiment.best_loss
        self._path.append(
            Incumbent(
                time_s=now,
                compute_s=self._compute_s,
                value=experiment.sign * experiment.best_loss,
                trial=experiment.best,
                resource=experiment.best_resource,
            )
        )

    def outcome(self, now: float) -> Outcome:
        """After the last event."""
        if (experiment := self.experiment) is None:
            raise ValueError("there is no experiment yet")
        return Outcome(
            state=experiment.state,
            reason=experiment.reason,
            time_s=now,
            compute_s=self._compute_s,
            events=self.events,
            results=self.results,
            interruptions=self.interruptions,
            states={state.value: count for state, count in sorted(experiment.counts.items()) if count},
            path=tuple(self._path),
            best=None if experiment.best is None else experiment.trials[experiment.best].config,
        )
