"""What a report is worth where there are several objectives, or constraints on metrics."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clustertune.coordinator.core.standings import Standings
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.definition.sections import Aim, MetricConstraint, Objective
from clustertune.model.front import Measured

_AT_THE_END = 0
"""Where values are compared whose level is no rung: below every level."""


@dataclass(slots=True)
class Objectives:
    """Reads reports, and says how each stands among those at its level. The standings are rebuilt by replay."""

    names: Sequence[str]
    signs: Sequence[float]
    constraints: Sequence[MetricConstraint]
    take_last: bool
    _levels: defaultdict[int, Standings] = field(default_factory=lambda: defaultdict(Standings))

    @classmethod
    def of(cls, definition: ExperimentDefinition) -> Objectives | None:
        """None where there is one objective and no metric constraint: a report is worth its loss then."""
        if not definition.objectives and not definition.metric_constraints:
            return None
        aims: Sequence[Aim | Objective] = definition.objectives or [definition.objective]
        return cls(
            names=[aim.metric for aim in aims],
            signs=[aim.sign for aim in aims],
            constraints=definition.metric_constraints,
            take_last=definition.objective.take == "last",
        )

    @property
    def several(self) -> bool:
        """Whether there is a front, and not one best."""
        return len(self.names) > 1

    @property
    def wanted(self) -> Sequence[str]:
        """The metrics that every report must hold."""
        return list(dict.fromkeys([*self.names, *(constraint.metric for constraint in self.constraints)]))

    def measure(self, metrics: Mapping[str, float]) -> Measured | None:
        """None where a metric is missing; not finite where one of them is not."""
        try:
            losses = tuple(sign * metrics[name] for name, sign in zip(self.names, self.signs, strict=True))
            violation = math.fsum(excess(constraint, metrics[constraint.metric]) for constraint in self.constraints)
        except KeyError:
            return None
        return Measured(losses=losses, violation=violation)

    def values(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """What is shown of a report: the metrics that count."""
        return {name: metrics[name] for name in self.wanted}

    def broken(self, values: Mapping[str, float]) -> list[str]:
        """A few words on each constraint that is broken."""
        return [
            f"{constraint.metric} {values[constraint.metric]:.6g} is not {constraint.bounds}"
            for constraint in self.constraints
            if excess(constraint, values[constraint.metric]) > 0.0
        ]

    # Standings

    def standing(self, trial: int, level: int, measured: Measured) -> float:
        """Of a report that the scheduler asked for."""
        return self._levels[level].standing(trial, measured)

    def reached(self, trial: int, level: int, measured: Measured, standing: float) -> None:
        self._levels[level].record(trial, measured, standing)

    def standing_at_end(self, trial: int, level: int, measured: Measured) -> float:
        """Of the value that a trial ends with: what it was given at that level, or its place among other ends."""
        given = self._levels[level].of(trial) if level in self._levels else None
        return self._levels[_AT_THE_END].standing(trial, measured) if given is None else given

    def ended(self, trial: int, level: int, measured: Measured, standing: float) -> None:
        if level not in self._levels or self._levels[level].of(trial) is None:
            self._levels[_AT_THE_END].record(trial, measured, standing)


def excess(constraint: MetricConstraint, value: float) -> float:
    """By how much the bound is passed, in units of the bound itself; of one that is 0, in the metric's own.

    So metrics of any size count alike, and what a report is worth does not depend on what others reported.
    """
    if math.isnan(value):
        return math.nan
    over = 0.0
    if constraint.at_most is not None:
        over = max(over, (value - constraint.at_most) / (abs(constraint.at_most) or 1.0))
    if constraint.at_least is not None:
        over = max(over, (constraint.at_least - value) / (abs(constraint.at_least) or 1.0))
    return over
