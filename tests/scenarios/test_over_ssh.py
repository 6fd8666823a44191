"""The whole of it on machines over SSH: real sshd, real namespaces, the program typed as a user would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.machines.fixture import Machines
from tests.scenarios.lab import Lab, there

if TYPE_CHECKING:
    from tests.conftest import TestHome


@pytest.fixture
def lab(home: TestHome, tmp_path: Path, ssh_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Lab(home, tmp_path, ssh_machines.key, ssh_machines(2))


@pytest.fixture
def small(home: TestHome, tmp_path: Path, ssh_machines: Machines, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """One machine alone."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return Lab(home, tmp_path, ssh_machines.key, ssh_machines(1))


def test_an_experiment_runs_on_all_machines_and_nothing_is_left_there(lab: Lab) -> None:
    (lab.folder / ".gitignore").write_text("secret.txt\n")
    (lab.folder / "secret.txt").write_text("not to be sent")
    lab.program(step_s=0.05)
    lab.tune(trials=12)
    snapshot = lab.end_of()
    assert snapshot.counts["completed"] == 12
    hosts = {text.split()[1] for text in lab.logs()}
    assert hosts == {there(machine, "uname -n").strip() for machine in lab.machines}
    for machine in lab.machines:
        assert "secret.txt" not in there(machine, "find . -name '*.txt'")
    lab.down()
    assert lab.home.processes("clustertune") == []


def test_up_brings_machines_up_and_down_ends_them(lab: Lab) -> None:
    told = lab.type("up", "cluster.yaml", "--json")
    rows = json.loads(told.stdout)
    assert [(row["instance"], row["state"]) for row in rows] == [("gpu0", "ready"), ("gpu1", "ready")]
    told = lab.type("up", "cluster.yaml")
    assert "ready" in told.stdout
    told = lab.type("down", "lab")
    assert told.stdout == "cluster lab is down: gpu0, gpu1 ended\n"
    assert not any(machine.processes() for machine in lab.machines)


def test_a_machine_that_fails_is_told_with_its_remedy_and_the_other_works(
    home: TestHome, tmp_path: Path, ssh_machines: Machines
) -> None:
    machines = [*ssh_machines(1), *ssh_machines(1, python="old")]
    lab = Lab(home, tmp_path, ssh_machines.key, machines)
    told = lab.type("up", "cluster.yaml", code=3)
    assert "gpu1: there is no Python 3.10 or newer there" in told.stderr
    assert "3.8.18" in told.stderr
    lab.tune()
    assert lab.end_of().counts["completed"] == 8
    lab.type("down", "lab")


def test_code_that_changes_is_sent_anew_and_runs_beside_the_old(small: Lab) -> None:
    small.program(word="old", epochs=400, step_s=0.05)
    small.tune("old", trials=1)
    small.until(lambda: small.reports("old") > 0, "the first report")
    small.program(word="new")
    small.tune("new", trials=2)
    small.end_of("new")
    assert all("says new" in text for text in small.logs("new"))
    with small.client() as client:
        client.stop("old")
    small.until(lambda: small.logs("old"), "the log of the old one")
    assert "says old" in small.logs("old")[0]
    small.down()


def test_setup_runs_once_and_again_when_what_it_depends_on_changes(small: Lab) -> None:
    (small.folder / "requirements.txt").write_text("one\n")
    small.cluster(setup=["echo setting up with $(cat requirements.txt) >> $HOME/setups; test ! -f broken"])
    small.tune("first", trials=2)
    small.end_of("first")
    small.tune("second", trials=2)
    small.end_of("second")
    machine = small.machines[0]
    assert there(machine, "cat setups").splitlines() == ["setting up with one"]
    (small.folder / "requirements.txt").write_text("two\n")
    small.tune("third", trials=2)
    small.end_of("third")
    assert there(machine, "cat setups").splitlines() == ["setting up with one", "setting up with two"]
    small.down()


def test_setup_that_fails_is_shown_and_tried_again_once_it_is_mended(small: Lab) -> None:
    (small.folder / "broken").touch()
    small.cluster(setup=["echo looking; ls; test ! -f broken"])
    small.tune()
    small.until(lambda: small.rows()["gpu0"].problem, "the failure of setup")
    problem = small.rows()["gpu0"].problem
    assert "setup failed: echo looking; ls; test ! -f broken: exit code 1" in problem
    assert "looking" in problem
    assert "train.py" in problem
    with small.client() as client:
        client.stop("curve")
    (small.folder / "broken").unlink()
    small.tune("mended", trials=2)
    assert small.end_of("mended").counts["completed"] == 2
    small.down()


def test_secrets_reach_the_trials_and_nothing_else(small: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (small.folder / "train.py").write_text(
        "import os, clustertune\n\n\ndef train(config):\n"
        "    clustertune.report(1, loss=float(os.environ['NUMBER']))\n    print(os.environ['PLACE'])\n"
    )
    small.cluster(secrets=["NUMBER"], env={"PLACE": "/data"}, setup=['test -n "$NUMBER"'])
    monkeypatch.setenv("NUMBER", "0.123456789")
    small.tune(trials=2)
    snapshot = small.end_of()
    assert snapshot.best is not None
    assert snapshot.best.value == 0.123456789
    assert small.logs()[0] == "/data\n"
    machine = small.machines[0]
    held = there(machine, "grep -rl 0.123456789 . || true").split()
    assert all("outbox" in path or "reports" in path for path in held), held
    small.down()


def test_another_host_key_at_the_address_is_refused_and_says_what_it_may_mean(small: Lab) -> None:
    machine = small.machines[0]
    machine.kill()
    machine.start(new_host_key=True)
    told = small.type("up", "cluster.yaml", code=3).stderr
    assert "host key" in told
    assert str(small.known_hosts) in told
    small.know()
    small.type("up", "cluster.yaml")
    small.down()


def test_trials_go_on_while_the_coordinator_is_dead_and_no_report_is_lost(lab: Lab) -> None:
    lab.program(epochs=60, step_s=0.05)
    lab.tune(trials=4)
    lab.until(lambda: lab.reports() > 20, "some reports")
    lab.kill_coordinator()
    snapshot = lab.end_of()
    assert snapshot.counts["completed"] == 4
    assert lab.reports() == 4 * 60
    assert [fact["attempt"] for fact in lab.facts("AttemptPlaced")] == [1] * 4
    lab.down()


def test_a_link_that_is_cut_heals_by_itself_with_every_report_once(lab: Lab) -> None:
    lab.program(epochs=60, step_s=0.05)
    lab.tune(trials=4)
    lab.until(lambda: lab.reports() > 20, "some reports")
    lab.machines[0].cut()
    lab.until(lambda: lab.rows()["gpu0"].state == "unreachable", "the loss to be noticed")
    lab.machines[0].heal()
    lab.end_of()
    assert lab.reports() == 4 * 60
    assert [fact["attempt"] for fact in lab.facts("AttemptPlaced")] == [1] * 4
    lab.down()


def test_the_trials_of_a_machine_that_is_switched_off_run_again_and_it_may_return(lab: Lab) -> None:
    lab.program(epochs=40, step_s=0.05)
    lab.tune(trials=10)
    lab.until(lambda: lab.reports() > 20, "some reports")
    lab.machines[0].kill(silently=False)
    lab.machines[0].start()
    snapshot = lab.end_of()
    assert snapshot.counts["completed"] == 10
    observed = lab.query("SELECT trial, resource, COUNT(*) FROM reports WHERE observed GROUP BY trial, resource")
    assert len(observed) == 10 * 40
    assert {count for _, _, count in observed} == {1}
    assert max(fact["epoch"] for fact in lab.facts("InstanceReady") if fact["instance"] == "gpu0") > 1
    lab.down()
