"""Who is the best where there are several objectives, or constraints on metrics: the front, and the compromise."""

from __future__ import annotations

import math
from collections.abc import Mapping

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.checkpoints import Checkpoints
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.objectives import Objectives
from clustertune.coordinator.core.state import Experiment, Trial
from clustertune.coordinator.core.story import named
from clustertune.coordinator.core.worth import Worth, rank, stands_for
from clustertune.model.front import Measured, compromise, dominates, front_with, least_violating


class Winners:
    """Takes each report's measurements, and says who is the best now."""

    def __init__(self, desk: Desk, checkpoints: Checkpoints) -> None:
        self._desk = desk
        self._checkpoints = checkpoints

    def take(self, experiment: Experiment, trial: Trial, resource: int, metrics: Mapping[str, float]) -> None:
        """A report that holds every wanted metric."""
        objectives, before = experiment.objectives, trial.measured
        measured = objectives.measure(metrics) if objectives is not None else None
        if objectives is None or measured is None:
            return
        if not measured.finite:
            self._notice_not_a_number(experiment, objectives, trial, resource, metrics)
        if not stands_for(objectives, trial, resource, metrics, measured):
            return
        if objectives.several:
            self._several(experiment, trial, before)
        else:
            self._one(experiment, trial)

    def _notice_not_a_number(
        self, experiment: Experiment, objectives: Objectives, trial: Trial, resource: int, metrics: Mapping[str, float]
    ) -> None:
        names = [name for name in objectives.wanted if math.isnan(metrics[name])]
        if names:
            level = f"{experiment.definition.resource.name} {resource}"
            self._desk.notice(experiment, trial, f"{names[0]} is not a number at {level}")

    def _several(self, experiment: Experiment, trial: Trial, before: Measured | None) -> None:
        known = Worth(experiment.trials)
        found = front_with(experiment.front, known, trial.number, before)
        best = compromise(known, found) if found else least_violating(known)
        joined = trial.number in found and trial.number not in experiment.front
        better = trial.number in found and (joined or before is None or dominates(_losses(trial), before.losses))
        if best is not None:
            self._crown(experiment, experiment.trials[best], found, better=better)
            if joined or (not found and best == trial.number and before is None):
                self._tell_joined(experiment, trial)

    def _one(self, experiment: Experiment, trial: Trial) -> None:
        """As with one loss alone; whoever breaks constraints comes after those that keep them."""
        held = None if experiment.best is None else experiment.trials[experiment.best]
        if held is trial:
            so_far = (experiment.best_violation, experiment.best_loss)
            worse = rank(trial)[:2] > so_far
            best = min(experiment.trials, key=rank) if worse else trial
            self._crown(experiment, best, (), better=rank(trial)[:2] < so_far)
        elif held is None or rank(trial)[:2] < rank(held)[:2]:
            self._crown(experiment, trial, (), better=True)
            self._tell_best(experiment, trial)

    def _crown(self, experiment: Experiment, best: Trial, found: tuple[int, ...], *, better: bool) -> None:
        changed = best.number != experiment.best or found != experiment.front
        resource, violation = best.best_resource or 0, best.measured.violation if best.measured is not None else 0.0
        before = experiment.winners
        if changed or (better and experiment.ended_since_best):
            self._desk.emit(
                f.Improved(
                    experiment=experiment.name,
                    trial=best.number,
                    resource=resource,
                    loss=best.best_loss,
                    violation=violation,
                    front=found,
                )
            )
        else:
            # It goes on changing, report by report: the table of curves knows, and no fact is needed.
            experiment.best_loss, experiment.best_resource = best.best_loss, resource
            experiment.best_violation = violation
        if moved := sorted({*before} ^ {*experiment.winners}):
            self._checkpoints.tidy(experiment, moved)

    def _tell_joined(self, experiment: Experiment, trial: Trial) -> None:
        if not experiment.front:
            self._tell_best(experiment, trial)
            return
        size = len(experiment.front)
        where = f"joins the front, now of {size} trials" if size > 1 else "is better than all others in everything"
        self._say(experiment, trial, f"trial {trial.number} {where}: {_shown(trial)}")

    def _tell_best(self, experiment: Experiment, trial: Trial) -> None:
        objectives, text = experiment.objectives, f"trial {trial.number} is the best: {_shown(trial)}"
        if objectives is not None and (broken := objectives.broken(trial.values or {})):
            text = f"trial {trial.number} is nearest to the metric constraints: {', '.join(broken)}"
        self._say(experiment, trial, text)

    def _say(self, experiment: Experiment, trial: Trial, text: str) -> None:
        level = f"{experiment.definition.resource.name} {trial.best_resource}"
        self._desk.say(experiment, "info", "best", f"{text} at {level}", trial.number)


def _losses(trial: Trial) -> tuple[float, ...]:
    return () if trial.measured is None else trial.measured.losses


def _shown(trial: Trial) -> str:
    return named(trial.values or {})
