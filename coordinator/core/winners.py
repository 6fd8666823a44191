"""Who is the best where there are several objectives, or constraints on metrics: the front, and the compromise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.checkpoints import Checkpoints
from clustertune.coordinator.core.desk import Desk
from clustertune.coordinator.core.objectives import Objectives
from clustertune.coordinator.core.state import Experiment, Trial
from clustertune.coordinator.core.story import named
from clustertune.coordinator.core.worth import Worth, best_of, rank, stands_for
from clustertune.model.front import Measured, compromise, front_with, least_violating


class Held(NamedTuple):
    """Who was ahead, and what one trial was worth."""

    winners: tuple[int, ...]
    front: tuple[int, ...]
    measured: Measured | None


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

    def held(self, experiment: Experiment, trial: Trial) -> Held:
        """To be asked before a trial ends infeasible, and handed to ``over`` after that."""
        return Held(experiment.winners, experiment.front, trial.measured)

    def over(self, experiment: Experiment, trial: Trial, before: Held | None) -> None:
        """An attempt of the trial is over. A visit to the front is worth a line only where it was not a short one."""
        if before is not None:
            if trial.number in before.winners:
                self._withdraw(experiment, trial, before)
        elif trial.number in experiment.front and (trial.state.ended or trial.parked):
            self._tell_on_front(experiment, trial)

    def _notice_not_a_number(
        self, experiment: Experiment, objectives: Objectives, trial: Trial, resource: int, metrics: Mapping[str, float]
    ) -> None:
        names = [name for name in objectives.wanted if math.isnan(metrics[name])]
        if names:
            level = f"{experiment.definition.resource.name} {resource}"
            self._desk.notice(experiment, trial, f"{names[0]} is not a number at {level}")

    def _several(self, experiment: Experiment, trial: Trial, before: Measured | None) -> None:
        best, found = _chosen(experiment, experiment.front, trial, before)
        if best is not None:
            self._crown(experiment, best, found, better=False)
            if not found and best is trial and before is None:
                self._tell_best(experiment, trial)

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
        before, fact = experiment.winners, _improved(experiment, best, found)
        if changed or (better and experiment.ended_since_best):
            self._desk.emit(fact)
        else:
            # It goes on changing, report by report: the table of curves knows, and no fact is needed.
            experiment.best_loss, experiment.best_resource = fact.loss, fact.resource
            experiment.best_violation = fact.violation
        if moved := sorted({*before} ^ {*experiment.winners}):
            self._checkpoints.tidy(experiment, moved)

    def _withdraw(self, experiment: Experiment, trial: Trial, before: Held) -> None:
        """What it reported counts for nothing: the next best takes its place, or those that it had beaten."""
        if experiment.several:
            best, found = _chosen(experiment, before.front, trial, before.measured)
        else:
            best, found = best_of(experiment.trials), ()
        if best is None:
            return
        self._desk.emit(_improved(experiment, best, found, instead_of=trial.number))
        self._checkpoints.tidy(experiment, sorted({*before.winners} ^ {*experiment.winners}))
        if not found:
            self._tell_best(experiment, best)

    def _tell_on_front(self, experiment: Experiment, trial: Trial) -> None:
        size = len(experiment.front)
        where = f"is on the front of {size} trials" if size > 1 else "is better than all others in everything"
        self._say(experiment, trial, f"trial {trial.number} {where}: {_shown(experiment, trial)}")

    def _tell_best(self, experiment: Experiment, trial: Trial) -> None:
        objectives, text = experiment.objectives, f"trial {trial.number} is the best: {_shown(experiment, trial)}"
        if objectives is not None and (broken := objectives.broken(trial.values or {})):
            text = f"trial {trial.number} is nearest to the metric constraints: {', '.join(broken)}"
        self._say(experiment, trial, text)

    def _say(self, experiment: Experiment, trial: Trial, text: str) -> None:
        level = f"{experiment.definition.resource.name} {trial.best_resource}"
        self._desk.say(experiment, "info", "best", f"{text} at {level}", trial.number)


def _chosen(
    experiment: Experiment, before: tuple[int, ...], trial: Trial, earlier: Measured | None
) -> tuple[Trial | None, tuple[int, ...]]:
    """The compromise and the front, now that ``trial`` is worth something else than ``earlier``, or nothing."""
    known = Worth(experiment.trials)
    found = front_with(before, known, trial.number, earlier)
    best = compromise(known, found) if found else least_violating(known)
    return None if best is None else experiment.trials[best], found


def _improved(experiment: Experiment, best: Trial, found: tuple[int, ...], instead_of: int | None = None) -> f.Improved:
    return f.Improved(
        experiment=experiment.name,
        trial=best.number,
        resource=best.best_resource or 0,
        loss=best.best_loss,
        violation=best.measured.violation if best.measured is not None else 0.0,
        front=found,
        instead_of=instead_of,
    )


def _shown(experiment: Experiment, trial: Trial) -> str:
    return named(trial.values or {experiment.definition.objective.metric: experiment.sign * trial.best_loss})
