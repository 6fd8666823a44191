"""Tasks by name: their options, and spaces that they do not fit."""

from __future__ import annotations

import pytest

from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.coordinator.simulation.tasks.hartmann import DIFFICULTIES, Hartmann
from clustertune.coordinator.simulation.tasks.named import named_task
from clustertune.model.errors import Mistake, NoSuchName
from tests.coordinator.simulation.stand_ins import definition

CUBE = {f"x{n}": {"type": "float", "low": 0.0, "high": 1.0} for n in range(3)}


def test_a_task_takes_metric_goal_and_levels_from_the_experiment() -> None:
    task = named_task("hartmann3:difficulty=bad", definition(space=CUBE, objective={"metric": "y", "goal": "maximize"}))
    assert isinstance(task, Hartmann)
    assert (task.metric, task.sign, task.max_resource, task.difficulty) == ("y", -1.0, 9, DIFFICULTIES["bad"])


def test_curves_fit_every_space_and_take_options() -> None:
    task = named_task("curves:number=3,late=0.25", definition(resource={"name": "epoch"}))
    assert isinstance(task, Curves)
    assert (task.number, task.late, task.max_resource) == (3, 0.25, 81)
    assert task.space == definition().space


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hartman3", "did you mean 'hartmann3'"),
        ("curves:lat=1", "no option of task curves called 'lat'; did you mean 'late'"),
        ("curves:number=x", "number takes an integer, found 'x'"),
        ("curves:late=2", "late is a share from 0 to 1, found 2.0"),
        ("curves:late=nan", "late is a share from 0 to 1, found nan"),
        ("curves:noise=nan", "noise is a number from 0 to 10, found nan"),
        ("curves:noise=-0.1", "noise is a number from 0 to 10, found -0.1"),
        ("curves:noise=1e9", "noise is a number from 0 to 10"),
        *(
            (f"{task}:step_seconds={seconds}", f"{task}: step_seconds is a number above 0, .*, found {seconds}")
            for task in ("curves", "hartmann3")
            for seconds in ("-1", "0", "nan", "inf")
        ),
        ("curves:step_seconds=1e308", "step_seconds is a number above 0, and at most 1e.09"),
        ("hartmann3:difficulty=worse", "no difficulty called 'worse'"),
    ],
)
def test_mistakes_are_told_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises((Mistake, NoSuchName), match=message):
        named_task(text, definition(space=CUBE))


def test_a_space_that_does_not_fit_is_told_of() -> None:
    with pytest.raises(Mistake, match="it has the parameters x0, x1, x2, and the experiment x"):
        named_task("hartmann3", definition())
    wide = {**CUBE, "x1": {"type": "float", "low": 0.0, "high": 2.0}}
    with pytest.raises(Mistake, match=r"x1 must be Float\(low=0.0, high=1.0"):
        named_task("hartmann3", definition(space=wide))
    part = {**CUBE, "x1": {"type": "float", "low": 0.25, "high": 0.5}}
    assert isinstance(named_task("hartmann3", definition(space=part)), Hartmann)
