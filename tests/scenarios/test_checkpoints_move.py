"""A trial that was paused on one machine goes on on another, as if nothing had happened."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.scenarios.held_programs import HELD_AT, PYTORCH, SCIKIT_LEARN, SHELL, C, Program
from tests.scenarios.machines import Machines, other, wait_for
from tests.scenarios.promises import check_placements, check_reports, check_what_is_left

if TYPE_CHECKING:
    from tests.scenarios.conftest import Kept

BLOCKER = """
import os, time
import clustertune

def train(config):
    while not os.path.exists("release-" + os.environ["CLUSTERTUNE_TRIAL"]):
        time.sleep(0.01)
    clustertune.report(1, error=1.0)
"""


class Blocker:
    """Another experiment, whose two trials hold a machine each until it is released."""

    def __init__(self, machines: Machines, folder: Path) -> None:
        self._machines, self._folder = machines, folder
        folder.mkdir()
        (folder / "blocker.py").write_text(BLOCKER)
        definition = {
            "name": "blocker",
            "run": {"call": "blocker:train"},
            "space": {"x": {"type": "float", "low": 0, "high": 1}},
            "objective": {"metric": "error"},
            "trials": 2,
        }
        self._name = machines.submit(folder, **definition)
        wait_for(lambda: len(machines.facts("AttemptStarted", experiment=self._name)) == 2, "the blockers' start")

    def release(self, instance: str) -> None:
        [trial] = [fact["trial"] for fact in self._machines.placed(self._name) if fact["instance"] == instance]
        (self._folder / f"release-{trial}").touch()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("program", "storage", "how"),
    [
        (PYTORCH, "s3", "taken"),
        (SCIKIT_LEARN, "own", "killed"),
        (SHELL, "google", "taken"),
        pytest.param(C, "folder", "killed", marks=pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")),
    ],
    indirect=["storage"],
    ids=["pytorch", "scikit-learn", "shell", "c"],
)
def test_a_trial_goes_on_on_the_other_machine_exactly_where_it_was(
    machines: Machines, program: Program, storage: Kept, how: str, tmp_path: Path
) -> None:
    folder = tmp_path / "program"
    folder.mkdir()
    definition = program.write(folder) | ({"storage": storage.url} if storage.url else {})
    (folder / "hold").touch()
    machines.start()
    moved = machines.submit(folder, **definition)
    wait_for(lambda: HELD_AT in machines.curve(moved), f"level {HELD_AT}", more=machines.log)
    with machines.client() as client:
        client.pause(moved)
        wait_for(lambda: machines.stored(moved), "its checkpoint in the storage", more=machines.log)
        first = machines.placed(moved)[0]["instance"]
        (folder / "hold").unlink()
        if how == "taken":
            blocker = Blocker(machines, tmp_path / "blocker")
            client.resume(moved)
            blocker.release(other(first))
        else:
            machines.kill_agent(first)
            wait_for(lambda: machines.facts("InstanceGone"), "the loss of the agent")
            client.resume(moved)
    machines.wait_for_end(moved)
    if how == "taken":
        blocker.release(first)

    second = machines.placed(moved)[1]
    assert second["instance"] == other(first)
    assert second["checkpoint"]["resource"] == HELD_AT
    assert machines.query(f"SELECT MIN(resource) FROM reports WHERE experiment = '{moved}' AND attempt = 2") == [
        (HELD_AT + 1,)
    ]
    whole = machines.submit(folder, **definition)
    machines.wait_for_end(whole)
    assert machines.curve(moved) == machines.curve(whole)
    assert list(machines.curve(moved)) == list(range(1, machines.snapshot(moved).max_resource + 1))
    check_reports(machines, moved)
    check_placements(machines, moved)
    check_what_is_left(machines, storage, moved)
