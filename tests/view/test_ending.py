"""The last words about an experiment."""

from __future__ import annotations

from clustertune.model.trial import ExperimentState
from clustertune.view.ending import ending
from tests.client.coordinator_api import experiment
from tests.view.screens import lines


def test_a_completed_experiment_tells_best_results_and_what_to_type_next() -> None:
    done = experiment(state=ExperimentState.COMPLETED, counts={"completed": 20, "stopped": 44}, running=())
    assert lines(ending(done, ".venv/bin/clustertune", best_wrote=True), 120) == [
        "digits completed after 12s: 64 trials (20 completed, 44 stopped), 143 reports",
        "best validation_error 0.02777 (trial 7, epoch 27)",
        "  learning_rate  0.01235",
        "  solver         sgd",
        "results /home/me/.clustertune/clusters/local/experiments/digits",
        "next    .venv/bin/clustertune results digits   # best trials",
        "        .venv/bin/clustertune best digits      # the best one: where it came from, what it left",
        "        .venv/bin/clustertune logs digits 7    # output of the best",
    ]


def test_a_paused_experiment_says_how_to_go_on() -> None:
    paused = experiment(state=ExperimentState.PAUSED, running=())
    assert any(
        "clustertune resume digits" in line for line in lines(ending(paused, "clustertune", best_wrote=False), 120)
    )


def test_a_failed_experiment_shows_reason_and_traceback() -> None:
    failed = experiment(
        state=ExperimentState.FAILED,
        reason="the first 3 trials failed in the same way",
        counts={"failed": 3},
        reports=0,
        failure="Traceback (most recent call last):\n  File x\nValueError: \x1b[31mno",
        best=None,
    )
    shown = lines(ending(failed, "clustertune", best_wrote=False), 120)
    assert "the first 3 trials failed in the same way" in shown
    assert "  ValueError: \\x1b[31mno" in shown
    assert "no trial reported validation_error" in shown
    assert any("clustertune logs digits" in line for line in shown)


def test_a_long_traceback_keeps_its_end() -> None:
    failed = experiment(state=ExperimentState.FAILED, failure="\n".join(f"line {n}" for n in range(100)))
    shown = lines(ending(failed, "clustertune", best_wrote=False), 120)
    assert "  … 70 lines left out" in shown
    assert "  line 99" in shown


def test_logs_are_offered_only_where_there_is_something_to_read() -> None:
    silent = experiment(state=ExperimentState.COMPLETED, counts={"completed": 20}, running=())
    assert "logs" not in ending(silent, "clustertune", best_wrote=False).plain
    failed = experiment(state=ExperimentState.COMPLETED, counts={"completed": 20, "failed": 1}, running=())
    shown = ending(failed, "clustertune", best_wrote=False).plain
    assert " clustertune logs digits      # output of a failed one" in shown


def test_values_that_are_not_finite_are_no_silence() -> None:
    odd = experiment(state=ExperimentState.PAUSED, best=None, running=())
    assert "no trial reported a finite validation_error yet" in ending(odd, "clustertune", best_wrote=False).plain


def test_the_same_is_not_said_twice() -> None:
    reason = "its only trial failed in the same way: exit code 3"
    failed = experiment(state=ExperimentState.FAILED, reason=reason, failure="exit code 3\n", best=None)
    assert ending(failed, "clustertune", best_wrote=False).plain.count("exit code 3") == 1
    reason = "no trial reported a finite validation_error"
    nothing = experiment(state=ExperimentState.COMPLETED, reason=reason, best=None)
    assert ending(nothing, "clustertune", best_wrote=False).plain.count(reason) == 1
