"""A learned schedule, trained again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustertune.definition import load_experiment
from clustertune.model.errors import DefinitionMistake
from clustertune.model.space import Float, Space
from clustertune.model.trial import TrialState
from clustertune.search.contracts import Clone, Decision, StartNew, Wait
from clustertune.search.registry import Registry
from clustertune.search.schedulers.population_based_replay import PopulationBasedReplay, PopulationBasedReplayOptions

SPACE = Space({"lr": Float(0.0, 1.0)})
LEARNED = [(0, 0.5), (6, 0.25), (8, 0.25), (9, 0.125)]


def text(*parts: tuple[int, float]) -> str:
    return json.dumps({"schedule": [{"resource_from": level, "config": {"lr": lr}} for level, lr in parts]})


def scheduler(*parts: tuple[int, float]) -> PopulationBasedReplay:
    options = PopulationBasedReplayOptions(schedule=text(*parts))
    return PopulationBasedReplay(min_resource=1, max_resource=20, seed=0, options=options)


def test_one_trial_goes_through_the_schedule() -> None:
    replay = scheduler(*LEARNED)
    assert replay.next() == replay.next() == StartNew({"lr": 0.5})
    replay.on_create(0, {"lr": 0.5})
    assert replay.next() == Wait()
    assert replay.target(0) == 6
    assert replay.on_report(0, 6, 0.9) == Clone(0, {"lr": 0.25})
    assert replay.target(0) is None
    replay.on_create(1, {"lr": 0.25})
    replay.on_clone(0, 1, 6)
    replay.on_end(0, TrialState.STOPPED)
    assert replay.target(1) == 8
    assert replay.on_report(1, 8, 0.8) is Decision.CONTINUE  # a member that was copied, and not changed
    assert replay.on_report(1, 9, 0.8) == Clone(1, {"lr": 0.125})
    replay.on_create(2, {"lr": 0.125})
    replay.on_clone(1, 2, 9)
    assert replay.target(2) == 20
    assert replay.on_report(2, 20, 0.7) is Decision.CONTINUE
    assert replay.target(2) is None


def test_a_program_that_reports_seldom_takes_the_configuration_of_where_it_is() -> None:
    replay = scheduler(*LEARNED)
    replay.on_create(0, {"lr": 0.5})
    assert replay.on_report(0, 10, 0.9) == Clone(0, {"lr": 0.125})


def test_a_maximum_below_a_change_is_simply_the_end() -> None:
    replay = scheduler((0, 0.5), (30, 0.1))
    replay.on_create(0, {"lr": 0.5})
    assert replay.target(0) == 20


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("no json", "found no schedule in it"),
        ("{}", "found no schedule in it"),
        ('{"schedule": [{"resource_from": 0}]}', "found no schedule in it"),
        ('{"schedule": [{"resource_from": 0, "config": {"lr": null}}]}', "found no schedule in it"),
        ('{"schedule": []}', "begin at 0 and grow"),
        (text((1, 0.5)), "begin at 0 and grow"),
        (text((0, 0.5), (5, 0.5), (3, 0.5)), "begin at 0 and grow"),
        (text((0, 5.0)), "lr: must lie from 0 to 1, found 5.0; the space must hold the schedule"),
    ],
)
def test_a_schedule_that_is_none_is_told(written: str, message: str) -> None:
    [(option, told)] = Registry.default().scheduler_problems(
        "population-based-replay", {"schedule": written}, space=SPACE, min_resource=1, max_resource=20
    )
    assert option == "schedule"
    assert message in told


def written(folder: Path, schedule: str) -> Any:
    file = folder / "experiment.yaml"
    file.write_text(
        "run: {call: 'train:train'}\nspace: {lr: {type: float, low: 0, high: 1}}\nobjective: {metric: loss}\n"
        f"resource: {{name: epoch, max: 20}}\nscheduler: {{type: population-based-replay, schedule: {schedule}}}\n"
    )
    return load_experiment(file, registry=Registry.default())


def test_the_file_stands_beside_the_definition_and_is_read_with_it(tmp_path: Path) -> None:
    (tmp_path / "learned").mkdir()
    (tmp_path / "learned" / "schedule.json").write_text(text(*LEARNED))
    definition = written(tmp_path, "learned/schedule.json")
    assert definition.scheduler.options["schedule"] == text(*LEARNED)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    (tmp_path / "large").write_bytes(b" " * (2**20 + 1))
    for name, told in (
        ("gone", "No such file"),
        ("binary", "is no text"),
        ("large", "larger than 1 MiB"),
        (".", "directory"),
    ):
        with pytest.raises(DefinitionMistake, match=told) as caught:
            written(tmp_path, name)
        assert [problem.path for problem in caught.value.problems] == ["scheduler.schedule"]
