"""The front, the compromise and broken constraints, as they are shown."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text

from clustertune.model.snapshot import ExperimentSummary, FrontPoint, Goal, Incumbent, TrialRow
from clustertune.model.trial import ExperimentState, TrialState
from clustertune.view.ending import outcome
from clustertune.view.plain_lines import progress_line
from clustertune.view.screen import incumbent, screen
from clustertune.view.tables import best_first, experiments, trials
from clustertune.view.winning import front_table
from tests.client.coordinator_api import experiment
from tests.view.screens import lines

GOALS = (Goal("error", "minimize"), Goal("speed", "maximize"))
BEST = Incumbent(7, 0.25, 9, {"lr": 0.01}, values={"error": 0.25, "speed": 30.0})
SEVERAL = experiment(objectives=GOALS, wanted=("error", "speed"), metric="error", front=5, best=BEST)
NONE_KEEPS = replace(SEVERAL, front=0, best=replace(BEST, broken=("memory 9 is not at most 8",)))


def row(trial: int, error: float, speed: float, *, violation: float = 0.0, front: bool = False) -> TrialRow:
    return TrialRow(
        trial, TrialState.COMPLETED, 1, 9, error, error, 1.0, {"lr": 0.1}, values={"error": error, "speed": speed},
        violation=violation, front=front,
    )  # fmt: skip


def texts(shown: list[Text]) -> list[str]:
    return [line.plain for line in shown]


def test_the_live_view_has_the_size_of_the_front_and_the_compromise() -> None:
    assert texts(incumbent(SEVERAL, 80, 4)) == [
        "front of 5 trials, compromise trial 7, epoch 9", "  error 0.25  speed 30", "  lr 0.01",
    ]  # fmt: skip


def test_running_trials_have_a_column_for_each_objective() -> None:
    shown = lines(screen(replace(SEVERAL, running=(row(3, 0.5, 20.0),), recent=()), width=80, height=20))
    header = next(line for line in shown if line.startswith("trial"))
    assert header.split() == ["trial", "state", "epoch", "error", "speed", "time"]
    assert any("0.5" in line and "20" in line for line in shown if line.lstrip().startswith("3 "))


def test_where_no_trial_keeps_the_constraints_every_view_says_so() -> None:
    said = "no trial keeps all metric constraints"
    assert texts(incumbent(NONE_KEEPS, 80, 4))[2] == f"{said}; this one: memory 9 is not at most 8"
    assert said in outcome(NONE_KEEPS).plain
    assert f"{said}, nearest to the constraints: error 0.25, speed 30 (trial 7)" in progress_line(NONE_KEEPS)


def test_plain_lines_and_the_ending_never_show_a_rank_as_a_value() -> None:
    assert "front of 5 trials, compromise error 0.25, speed 30 (trial 7)" in progress_line(SEVERAL)
    assert "front of 5 trials, compromise error 0.25, speed 30 (trial 7, epoch 9)" in outcome(SEVERAL).plain


def test_the_front_is_a_table_with_the_compromise_marked() -> None:
    points = [
        FrontPoint(2, {"error": 0.1, "speed": 3.0}, 9, {"lr": 0.5}, True),
        FrontPoint(7, BEST.values, 9, BEST.config),
    ]
    header, first, second = lines(front_table(points, GOALS, 7, "epoch"))
    assert header.split() == ["trial", "error", "↓", "speed", "↑", "epoch", "lr"]
    assert first.split() == ["2", "failed", "0.1", "3", "9", "0.5"]
    assert second.split() == ["*", "7", "0.25", "30", "9", "0.01"]


def test_a_list_of_experiments_has_the_size_of_a_front_and_marks_who_breaks_constraints() -> None:
    one = ExperimentSummary("a", ExperimentState.RUNNING, 0.0, 1.0, 3, 9, "error", "minimize", 0.5, "local")
    several = replace(one, name="b", objectives=GOALS, front=4)
    nobody = replace(one, name="c", keeps=False)
    shown = lines(experiments([one, several, nobody], 60.0), width=120)
    assert "0.5" in shown[1]
    assert "error (minimize), speed (maximize)" in shown[2]
    assert "front of 4" in shown[2]
    assert "0.5, breaks constraints" in shown[3]


def test_the_best_trials_have_a_column_for_each_metric_and_those_that_break_constraints_come_last() -> None:
    rows = best_first([row(0, 0.1, 1.0, violation=0.3), row(1, 0.5, 2.0), row(2, 0.4, 2.0)], "minimize")
    assert [one.trial for one in rows] == [2, 1, 0]
    assert lines(trials(rows, "epoch"))[0].split() == ["trial", "state", "epoch", "error", "speed", "time", "lr"]
