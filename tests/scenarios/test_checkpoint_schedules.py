"""Schedulers that pause and clone, and a storage that is away for a while, with two machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.scenarios import carrying
from tests.scenarios.machines import Machines, wait_for
from tests.scenarios.promises import check_placements, check_reports, check_what_is_left

if TYPE_CHECKING:
    from tests.scenarios.conftest import Kept


@pytest.mark.timeout(90)
@pytest.mark.parametrize("storage", ["s3", "own"], indirect=True)
def test_promoted_trials_end_as_if_they_had_run_through_also_where_the_storage_is_away_for_a_while(
    machines: Machines, storage: Kept, tmp_path: Path
) -> None:
    machines.start()
    place = {"storage": storage.url} if storage.url else {}
    name = machines.submit(tmp_path, **carrying.definition("promoted", tmp_path, **place))
    if storage.proxy is not None:
        storage.proxy.always = 503
        wait_for(lambda: _says(machines, name, "cannot be stored yet"), "a notice", more=machines.log)
        reports = machines.snapshot(name).reports
        # A fast machine may have told all there is to tell, even ended, before the notice was read.
        wait_for(
            lambda: machines.is_over(name) or machines.snapshot(name).reports > reports,
            "trials that go on",
            more=machines.log,
        )
        storage.proxy.always = None
    machines.wait_for_end(name)
    assert sorted(machines.ended(name)) == list(range(12))
    check_reports(machines, name)
    check_placements(machines, name)
    carrying.check_curves(machines, name)
    carrying.check_best(machines, name)
    check_what_is_left(machines, storage, name)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("storage", ["google"], indirect=True)
def test_a_clone_begins_at_its_parents_level_with_its_own_config(
    machines: Machines, storage: Kept, tmp_path: Path
) -> None:
    machines.start()
    changes = {"scheduler": "swapping", "trials": 2, "initial": [{"x": 0.2}, {"x": 0.9}], "storage": storage.url}
    definition = carrying.definition("cloned", tmp_path, **changes, resource={"name": "epoch", "min": 1, "max": 150})
    definition["space"]["lr"] = {"type": "float", "low": 0.0, "high": 1.0}
    definition["initial"] = [{"x": 0.2, "lr": 0.1}, {"x": 0.9, "lr": 0.1}]
    program = tmp_path / "program.py"
    text = program.read_text()
    program.write_text(text.replace('"levels", 9', '"levels", 150'))
    name = machines.submit(tmp_path, **definition)
    machines.wait_for_end(name)
    clones = [fact for fact in machines.facts("TrialCreated", experiment=name) if fact["parent"] is not None]
    assert clones
    for clone in clones:
        placed = next(fact for fact in machines.placed(name) if fact["trial"] == clone["trial"])
        level = placed["checkpoint"]["resource"]
        assert clone["config"] == {"x": 0.55, "lr": 0.5}
        assert min(machines.curve(name, clone["trial"])) == level + 1
    check_what_is_left(machines, storage, name)


def _says(machines: Machines, name: str, text: str) -> bool:
    return any(text in event.text for event in machines.snapshot(name).events)
