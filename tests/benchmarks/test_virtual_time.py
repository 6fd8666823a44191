"""The loop that peers are driven by: every slot gets its time, and no more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.search.virtual_time import Clocked, Course, drive
from clustertune.coordinator.simulation.task import Step
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import Config


@dataclass(frozen=True)
class Levels:
    """Four levels; each takes as many seconds as the configuration says, and reports its ``losses`` in turn."""

    losses: Sequence[float] = (4.0, 3.0, 2.0, 1.0)
    space: Space = field(default_factory=lambda: Space({"step": Float(0.0, 10.0)}))
    metric: str = "loss"
    max_resource: int = 4

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        del seed
        for level, loss in enumerate(self.losses, 1):
            yield level, float(config["step"]), {"loss": loss}


@dataclass
class Noting:
    """Gives out ``steps`` in turn, ends trials at ``stops_at``, and writes down all that it is told."""

    steps: Sequence[float]
    stops_at: int = 99
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def begin(self, number: int) -> Config | None:
        self.told.append(("begin", number))
        return {"step": self.steps[number]} if number < len(self.steps) else None

    def report(self, number: int, level: int, loss: float) -> bool:
        self.told.append(("report", number, level, loss))
        return level < self.stops_at

    def end(self, number: int) -> None:
        self.told.append(("end", number))

    def count(self, what: str) -> int:
        return sum(told[0] == what for told in self.told)


def driven(tuner: Noting, *, slots: int, limit_s: float, task: Levels | None = None) -> Course:
    return drive(tuner, task or Levels(), slots=slots, limit_s=limit_s, seed=0)


@pytest.mark.parametrize("slots", [1, 3])
def test_every_slot_is_busy_from_the_beginning_to_the_limit(slots: int) -> None:
    tuner = Noting([1.0] * 100)
    course = driven(tuner, slots=slots, limit_s=10.0)
    assert course.reports == tuner.count("report") == slots * 10
    assert course.trials == slots * 3  # the third of each slot was cut short
    assert tuner.count("end") == slots * 2


def test_a_report_that_is_due_at_the_limit_counts_though_its_steps_do_not_add_up_exactly() -> None:
    assert driven(Noting([0.1] * 100), slots=1, limit_s=0.3).reports == 3


def test_a_slow_trial_takes_its_own_slot_only() -> None:
    tuner = Noting([5.0, *[1.0] * 100])
    driven(tuner, slots=2, limit_s=10.0)
    by_trial = [told[1] for told in tuner.told if told[0] == "report"]
    assert by_trial.count(0) == 2
    assert len(by_trial) - by_trial.count(0) == 10


def test_a_trial_that_is_stopped_makes_room_at_once_and_is_not_said_to_have_ended() -> None:
    tuner = Noting([1.0] * 100, stops_at=2)
    course = driven(tuner, slots=1, limit_s=6.0)
    assert [told[:3] for told in tuner.told if told[0] != "begin"] == [
        ("report", 0, 1), ("report", 0, 2), ("report", 1, 1), ("report", 1, 2), ("report", 2, 1), ("report", 2, 2),
    ]  # fmt: skip
    assert course.trials == 4


def test_reports_come_in_the_order_of_time_whatever_slot_they_are_of() -> None:
    tuner = Noting([2.0, 3.0])
    driven(tuner, slots=2, limit_s=6.0)
    assert [told[1:3] for told in tuner.told if told[0] == "report"] == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3)]


def test_a_tuner_with_nothing_left_leaves_its_slots_idle() -> None:
    course = driven(Noting([1.0]), slots=3, limit_s=100.0)
    assert (course.trials, course.reports) == (1, 4)
    assert course.idle_s == pytest.approx(2 * 100 + 96)


def test_the_path_has_improvements_only_and_nothing_that_is_not_finite() -> None:
    course = driven(Noting([1.0]), slots=1, limit_s=9.0, task=Levels(losses=(math.nan, 3.0, math.inf, 3.0, -1.0)))
    assert course.path == [(2.0, 3.0), (5.0, -1.0)]
    assert course.reports == 5


def test_a_clocked_task_reports_the_same_and_counts_only_the_time_inside_it() -> None:
    times = iter(range(100))
    clocked = Clocked(Levels(), lambda: float(next(times)))
    reports: list[Mapping[str, float]] = [metrics for _, _, metrics in clocked.curve({"step": 1.0}, 0)]
    assert [metrics["loss"] for metrics in reports] == [4.0, 3.0, 2.0, 1.0]
    assert clocked.spent_s == 5.0  # one tick for each of four levels, and one to find that there is no fifth
