"""Which folder goes to machines elsewhere, and what the submission says of it then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clustertune.cli.cluster_choice import ClusterChoice, choose_cluster
from clustertune.cli.shipping import Shipment, send_snapshot, sent_along, take_snapshot, what_to_send
from clustertune.cli.submission import prepare
from clustertune.client.home import ClusterFolder
from clustertune.definition import ClusterDefinition
from clustertune.model.errors import DefinitionMistake, Mistake
from tests.client.test_walk import make

if TYPE_CHECKING:
    from tests.conftest import TestHome

EXPERIMENT = """
run: {call: "train:train"}
space: {x: {type: float, low: 0, high: 1}}
objective: {metric: loss, goal: minimize}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {".gitignore": "runs/\n", "lib/common.py": "", "exp/train.py": "def train(config): ...", "runs/1": "x"}
    return make(tmp_path / "project", {**files, "exp/one.yaml": EXPERIMENT})


def elsewhere(workdir: Path | str) -> ClusterChoice:
    """A cluster of machines elsewhere, whose coordinator is one of this machine."""
    plain = {"name": "local", "provider": "elsewhere", "workdir": str(workdir)}
    return ClusterChoice(ClusterDefinition.from_plain(plain), plain=plain)


def test_the_clusters_workdir_goes_where_the_experiments_lies_in_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert what_to_send(str(project), project / "exp") == Shipment(folder=project, within="exp", of_cluster=True)
    assert what_to_send(str(project), project) == Shipment(folder=project, within="", of_cluster=True)
    assert capsys.readouterr().err == ""


def test_else_the_experiments_alone_goes_and_that_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert what_to_send(str(project / "lib"), project / "exp") == Shipment(folder=project / "exp")
    told = capsys.readouterr().err
    assert f"the experiment's workdir {project / 'exp'} is outside the cluster's, {project / 'lib'}" in told


def test_a_cluster_that_was_written_down_without_a_workdir_has_none(project: Path) -> None:
    assert what_to_send(".", project / "exp") == Shipment(folder=project / "exp")


def test_a_workdir_behind_a_link_is_the_same_folder(project: Path) -> None:
    (project.parent / "link").symlink_to(project)
    assert what_to_send(str(project.parent / "link"), project / "exp").within == "exp"


def test_a_folder_of_trials_that_is_ignored_is_a_mistake_that_says_how_to_send_it(
    project: Path, home: TestHome
) -> None:
    with pytest.raises(Mistake, match=r"nothing of .*/runs, .* would go to the machines: .* such as !/runs/"):
        take_snapshot(Shipment(folder=project, within="runs", of_cluster=True), home.cluster)
    make(project, {".clustertuneignore": "!/runs/\n"})
    snapshot = take_snapshot(Shipment(folder=project, within="runs", of_cluster=True), home.cluster)
    assert "runs/1" in {file.path for file in snapshot.manifest.files}


def test_the_submission_names_the_program_that_the_coordinator_has_then(project: Path, home: TestHome) -> None:
    chosen = elsewhere(project)
    submission = sent_along(prepare(project / "exp" / "one.yaml", [], chosen), chosen, home.cluster)
    assert (submission.workdir, len(submission.snapshot)) == ("exp", 64)
    kept = home.cluster.path / "workdirs"
    assert (kept / "snapshots" / "manifests" / submission.snapshot).is_file()
    assert (kept / "current").read_text() == submission.snapshot
    with home.connect() as coordinator:
        name = coordinator.submit(submission)
        assert coordinator.experiment(name).name == "one"
        coordinator.stop(name)


def test_an_experiments_folder_alone_is_not_made_the_clusters(project: Path, home: TestHome) -> None:
    chosen = elsewhere(project / "lib")
    submission = sent_along(prepare(project / "exp" / "one.yaml", [], chosen), chosen, home.cluster)
    assert submission.workdir == ""
    assert not (home.cluster.path / "workdirs" / "current").exists()


def test_interpreters_and_programs_are_those_of_the_machines_elsewhere(project: Path, home: TestHome) -> None:
    plain = elsewhere(project).plain | {"python": "/only/there/python"}
    chosen = ClusterChoice(ClusterDefinition.from_plain(plain), plain=plain)
    experiment = project / "exp" / "one.yaml"
    assert prepare(experiment, [], chosen).submission.python == "/only/there/python"
    assert prepare(experiment, ["python=auto"], chosen).submission.python == ""
    assert prepare(experiment, ["python=auto"], elsewhere(project)).submission.definition["python"] is None
    prepare(experiment, ['run={"command": "only-there --x {x}"}'], chosen)
    with pytest.raises(DefinitionMistake, match=r"train2\.py"):
        prepare(experiment, ['run={"command": "python train2.py"}'], chosen)
    with pytest.raises(DefinitionMistake, match="/only/there/python"):
        prepare(experiment, ["python=/only/there/python"], choose_cluster(None))
    assert prepare(experiment, [], choose_cluster(None)).submission.python == sys.executable


RESTLESS = """
import sys
path = sys.argv[1]
number = 0
while True:
    number += 1
    with open(path, "r+b") as file:
        file.write(str(number).encode())
    if number == 1:
        print("begun", flush=True)
"""


def test_a_program_that_is_rewritten_all_the_time_cannot_be_sent_and_the_file_is_named(
    project: Path, home: TestHome, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "state.db").write_bytes(b"x" * 20_000_000)
    writer = subprocess.Popen([sys.executable, "-c", RESTLESS, str(project / "state.db")], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    shipment, folder = Shipment(folder=project), home.cluster
    try:
        with pytest.raises(Mistake, match=r"cannot be sent while it changes: state\.db .* add it to \.gitignore"):
            send_snapshot(shipment, take_snapshot(shipment, folder), folder, home.connect)
    finally:
        writer.kill()
        writer.communicate()
    assert "'state.db' changed while it was read" in capsys.readouterr().err


def test_what_changed_after_it_was_read_is_taken_again(project: Path, home: TestHome) -> None:
    shipment, folder = Shipment(folder=project), home.cluster
    snapshot = take_snapshot(shipment, folder)
    make(project, {"exp/train.py": "def train(config): return 1"})
    sent = send_snapshot(shipment, snapshot, folder, home.connect)
    assert sent.digest == take_snapshot(shipment, folder).digest != snapshot.digest


def test_a_folder_that_holds_all_that_the_user_has_is_never_sent(project: Path, home: TestHome) -> None:
    for folder in (Path.home(), Path.home().parent, Path("/")):
        with pytest.raises(Mistake, match="your keys and all else"):
            take_snapshot(Shipment(folder=folder), home.cluster)


def test_our_own_state_never_goes_along(project: Path) -> None:
    make(project, {"state/clusters/local/token": "secret", "state/clusters/local/x.py": ""})
    (project / "lib" / "link").symlink_to("../state")
    snapshot = take_snapshot(Shipment(folder=project), ClusterFolder(project / "state", "local"))
    assert "secret" not in snapshot.encoded.decode()
    assert not [file.path for file in snapshot.manifest.files if "token" in file.path or "x.py" in file.path]


def test_each_folder_has_a_memory_of_its_own(project: Path) -> None:
    folder = ClusterFolder(project / "home", "local")
    assert folder.read_files(project) != folder.read_files(project / "lib")
    assert folder.read_files(project).parent == folder.path / "read-files"
