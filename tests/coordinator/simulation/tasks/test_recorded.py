"""An earlier experiment as a task: what was recorded is replayed, and nothing is invented."""

from __future__ import annotations

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.simulation.conditions import Conditions
from clustertune.coordinator.simulation.task import Crashed, Infeasible
from clustertune.coordinator.simulation.tasks.recorded import read_recorded
from clustertune.model.errors import Mistake
from clustertune.model.parameters import Choice, Float, Int
from clustertune.model.space import Space
from tests.coordinator.simulation.stand_ins import definition, watch

SPACE = Space(
    {
        "kind": Choice(("sgd", "adam")),
        "lr": Float(0.0, 1.0),
        "momentum": Float(0.0, 1.0),
        "deep": Choice((True, False)),
    },
    {"momentum": {"kind": ("sgd",)}},
)
TRIALS = """trial,state,attempts,resource,value,elapsed_s,kind,lr,momentum,deep
0,completed,1,4,0.25,8.0,sgd,0.5,0.9,True
1,stopped,2,2,0.75,3.0,adam,0.125,,False
2,failed,1,1,,1.0,adam,0.75,,True
3,completed,1,4,0.5,8.0,adam,7.5,,True
"""
REPORTS = """trial,attempt,resource,loss,metric.trial
0,1,1,1.0,5
0,1,2,0.5,5
0,1,4,0.25,5
1,1,1,0.875,
1,2,1,0.111,
1,2,2,0.75,
2,1,1,0.9,7
"""


def test_recorded_configurations_report_what_was_recorded_exactly() -> None:
    task = read_recorded(TRIALS, REPORTS, space=SPACE, metric="loss")
    first = list(task.curve({"kind": "sgd", "lr": 0.5, "momentum": 0.9, "deep": True}, seed=9))
    assert first == [(1, 2.0, {"loss": 1.0, "trial": 5.0}), (2, 2.0, {"loss": 0.5, "trial": 5.0}),
                     (4, 4.0, {"loss": 0.25, "trial": 5.0})]  # fmt: skip


def test_the_first_report_of_a_level_counts_and_a_stopped_trial_stays_where_it_was() -> None:
    task = read_recorded(TRIALS, REPORTS, space=SPACE, metric="loss")
    found = list(task.curve({"kind": "adam", "lr": 0.125, "deep": False}, seed=0))
    assert [(level, metrics["loss"]) for level, _, metrics in found] == [(1, 0.875), (2, 0.75), (3, 0.75), (4, 0.75)]
    assert {step_s for _, step_s, _ in found} == {1.5}


def test_one_that_failed_fails_again() -> None:
    task = read_recorded(TRIALS, REPORTS, space=SPACE, metric="loss")
    curve = task.curve({"kind": "adam", "lr": 0.75, "deep": True}, seed=0)
    assert next(curve)[2]["loss"] == 0.9
    with pytest.raises(Crashed, match="the recorded trial failed here"):
        next(curve)


def small(states: str, begins_at: str = "") -> tuple[str, str]:
    """Trials of one report each, the value of trial n is n, its x n / 10; ``states`` are their first letters."""
    words = {"c": "completed", "f": "failed", "i": "infeasible"}
    column = "cloned_from,begins_at," if begins_at else ""
    trials = f"trial,state,attempts,resource,value,elapsed_s,{column}x\n"
    reports = "trial,attempt,resource,loss\n"
    for n, state in enumerate(states):
        level = begins_at[n : n + 1]
        lineage = f"{'' if level == '0' else 0},{level}," if level else ""
        trials += f"{n},{words[state]},1,9,{n},3.0,{lineage}{n / 10}\n"
        reports += f"{n},1,{9 if level else 1},{n}\n" if state != "f" else ""
    return trials, reports


def test_one_that_was_infeasible_is_so_again_and_nothing_that_failed_ends_the_whole() -> None:
    task = read_recorded(*small("ffffic"), space=definition().space, metric="loss")
    curve = task.curve({"x": 0.4}, seed=0)
    assert next(curve)[2]["loss"] == 4
    with pytest.raises(Infeasible):
        next(curve)
    initial = [dict(trial.config) for trial in task.trials]
    watched = watch(definition(initial=initial, trials=6, resource={"name": "epoch", "max": 1}), task)
    ends = [fact.state.value for _, fact in watched.of(f.AttemptEnded) if fact.state.ended]
    assert sorted(ends) == ["completed", *["failed"] * 4, "infeasible"]
    assert watched.outcome.value == 5


def test_clones_that_went_on_from_anothers_checkpoint_are_left_out_and_counted() -> None:
    task = read_recorded(*small("cccc", begins_at="0708"), space=definition().space, metric="loss")
    assert [trial.config for trial in task.trials] == [{"x": 0.0}, {"x": 0.2}]
    assert (task.clones, task.left_out) == (2, 0)
    with pytest.raises(Mistake, match="trained from the beginning"):
        read_recorded(*small("cc", begins_at="77"), space=definition().space, metric="loss")


def test_another_configuration_reports_what_the_nearest_did() -> None:
    task = read_recorded(TRIALS, REPORTS, space=SPACE, metric="loss")
    assert task.nearest({"kind": "sgd", "lr": 0.1, "momentum": 0.8, "deep": True}).config["kind"] == "sgd"
    assert task.nearest({"kind": "adam", "lr": 0.2, "deep": False}).config["lr"] == 0.125
    assert task.nearest({"kind": "adam", "lr": 0.6, "deep": True}).config["lr"] == 0.75


def test_what_lies_outside_of_the_space_is_left_out_and_counted() -> None:
    task = read_recorded(TRIALS, REPORTS, space=SPACE, metric="loss")
    assert task.left_out == 1
    assert len(task.trials) == 3


def test_recorded_trials_can_be_simulated_and_come_to_their_recorded_values() -> None:
    trials = "trial,state,attempts,resource,value,elapsed_s,x\n" + "".join(
        f"{n},completed,1,3,{n},3.0,{n / 4}\n" for n in range(4)
    )
    reports = "trial,attempt,resource,loss\n" + "".join(
        f"{n},1,{level},{n + 1 / level}\n" for n in range(4) for level in (1, 2, 3)
    )
    space = definition().space
    task = read_recorded(trials, reports, space=space, metric="loss")
    initial = [dict(trial.config) for trial in task.trials]
    watched = watch(definition(initial=initial, trials=4, resource={"name": "epoch", "max": 3}), task, Conditions())
    ends = {fact.trial: fact.loss for _, fact in watched.of(f.AttemptEnded)}
    assert ends == {n: n + 1 / 3 for n in range(4)}
    assert watched.outcome.time_s == pytest.approx(12.0)


def test_columns_of_several_metrics_that_counted_are_no_parameters() -> None:
    trials = TRIALS.replace("elapsed_s,", "elapsed_s,loss,metric.trial,").replace(",8.0,sgd", ",8.0,0.25,5,sgd")
    trials = trials.replace(",adam", ",0.5,5,adam")
    task = read_recorded(trials, REPORTS, space=SPACE, metric="loss")
    assert [trial.config["kind"] for trial in task.trials] == ["sgd", "adam", "adam"]


def test_another_space_or_metric_is_refused_with_what_is_different() -> None:
    other = Space({"lr": Float(0.0, 1.0), "width": Int(1, 8)})
    with pytest.raises(
        Mistake, match=r"without width and with kind, momentum, deep, which the experiment does not have"
    ):
        read_recorded(TRIALS, REPORTS, space=other, metric="loss")
    with pytest.raises(Mistake, match="did not report 'error'; they reported loss, trial"):
        read_recorded(TRIALS, REPORTS, space=SPACE, metric="error")
    with pytest.raises(Mistake, match="none of the 0 recorded trials can be used"):
        read_recorded(TRIALS.splitlines()[0], REPORTS, space=Space({}), metric="loss")
