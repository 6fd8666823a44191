"""What is computed again, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.search.cells import Cache, Cell, cells, code_of
from benchmarks.search.ours import plain
from benchmarks.search.probe import digest
from benchmarks.search.strategies import RANDOM, STRATEGIES
from benchmarks.search.suite import CONDITIONAL, MIXED, TASKS, Posed
from benchmarks.search.trainings import TRAININGS
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.space import Space

PEER = STRATEGIES["Syne Tune ASHA"]
TUNERS = ("with_optuna", "with_syne_tune")


def cell(seed: int = 0, code: str = "a") -> Cell:
    return Cell(task="hartmann3-good", strategy=RANDOM, seed=seed, slots=4, trainings=16, code=code)


def test_a_cell_is_known_again_after_a_restart_and_not_with_other_code_or_another_seed(tmp_path: Path) -> None:
    Cache(tmp_path / "cells.jsonl").add(cell(), {"path": [], "trials": 3})
    again = Cache(tmp_path / "cells.jsonl")
    known = again.get(cell())
    assert known is not None
    assert known["trials"] == 3
    assert again.get(cell(seed=1)) is None
    assert again.get(cell(code="b")) is None


def test_a_line_that_was_cut_short_is_passed_over_and_hurts_no_other(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    Cache(path).add(cell(0), {"trials": 1})
    path.write_text(path.read_text() + '\n{"key": "half')
    Cache(path).add(cell(1), {"trials": 2})
    again = Cache(path)
    assert again.get(cell(0)) is not None
    assert again.get(cell(1)) is not None


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A checkout with hardly anything in it."""
    names = [f"benchmarks/search/{name}.py" for name in ("evaluate", "ours", "virtual_time", *TUNERS)]
    for name in ("search/asha.py", *names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    return tmp_path


def test_our_code_changes_our_cells_only_and_a_peers_adapter_its_own(sources: Path) -> None:
    before = {strategy.name: code_of(strategy, sources) for strategy in STRATEGIES.values()}
    (sources / "search/asha.py").write_text("after")
    (sources / "benchmarks/search/with_syne_tune.py").write_text("after")
    changed = {strategy.name for strategy in STRATEGIES.values() if code_of(strategy, sources) != before[strategy.name]}
    assert changed == {strategy.name for strategy in STRATEGIES.values() if strategy.tuner != "with_optuna"}


def test_another_version_of_a_peer_makes_other_cells(sources: Path) -> None:
    assert code_of(PEER, sources, ["syne-tune==0.16.0"]) != code_of(PEER, sources, ["syne-tune==0.17.0"])


def test_a_task_is_known_by_what_it_answers() -> None:
    plain, noisier = (Posed(task=Curves(space=MIXED, number=1, noise=noise), training_s=81.0) for noise in (0.02, 0.03))
    assert digest(plain) == digest(Posed(task=Curves(space=MIXED, number=1, noise=0.02), training_s=81.0))
    assert digest(plain) != digest(noisier)


def test_cells_come_seed_by_seed_with_every_strategy() -> None:
    codes = {RANDOM.name: "r", PEER.name: "p"}
    found = list(cells([RANDOM, PEER], {"a": "1", "b": "2"}, seeds=2, slots=1, trainings=1, codes=codes))
    assert [(x.seed, x.task, x.strategy.name) for x in found[:4]] == [
        (0, "a", RANDOM.name), (0, "a", PEER.name), (0, "b", RANDOM.name), (0, "b", PEER.name),
    ]  # fmt: skip
    assert len({x.key for x in found}) == 8


@pytest.mark.parametrize("space", [MIXED, CONDITIONAL, *(training.space for training in TRAININGS.values())])
def test_a_space_written_as_a_definition_reads_back_as_itself(space: Space) -> None:
    definition = ExperimentDefinition.from_plain(
        {"name": "x", "run": {"call": "no:thing"}, "objective": {"metric": "loss"}, "space": plain(space)}
    )
    assert definition.space == space


@pytest.mark.parametrize("name", TRAININGS)
def test_a_recorded_training_has_its_table_and_a_best(name: str) -> None:
    posed = TASKS[name]()
    assert posed.lowest is not None
    assert posed.training_s > 0
    first = posed.task.space.from_unit([0.5] * len(posed.task.space.dimensions))
    levels = [level for level, _, _ in posed.task.curve(first, 0)]
    assert levels == list(range(1, posed.task.max_resource + 1))
