"""Finding and starting a real coordinator."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from clustertune.client.nearby import connect, running
from clustertune.model.errors import CoordinatorUnreachable, JournalFull
from tests.conftest import TestHome

CONNECT = """
from clustertune.client import Home, connect
with connect(Home.from_environment().cluster("local")) as coordinator:
    print(coordinator.cluster().pid)
"""


def ended_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def record(home: TestHome, *, pid: int, port: int) -> None:
    home.cluster.path.mkdir(parents=True)
    plain = {"pid": pid, "port": port, "version": "0.1.0", "protocol": 1, "started": 0.0}
    (home.cluster.path / "coordinator.json").write_text(json.dumps(plain))


def test_it_is_started_where_none_answers_and_found_afterwards(home: TestHome) -> None:
    told: list[str] = []
    with connect(home.cluster, starting=lambda: told.append("starting")) as first:
        pid = first.cluster().pid
    with connect(home.cluster, starting=lambda: told.append("starting")) as second:
        assert second.cluster().pid == pid
    assert told == ["starting"]


def test_it_outlives_who_started_it(home: TestHome) -> None:
    shown = subprocess.run([sys.executable, "-c", CONNECT], env=home.environment(), capture_output=True, check=True)
    found = running(home.cluster)
    assert found is not None
    with found:
        assert found.cluster().pid == int(shown.stdout)


def test_several_that_start_it_at_once_find_the_same_one(home: TestHome) -> None:
    command = [sys.executable, "-c", CONNECT]
    racing = [subprocess.Popen(command, env=home.environment(), stdout=subprocess.PIPE) for _ in range(4)]
    pids = {int(process.communicate(timeout=60)[0]) for process in racing}
    assert len(pids) == 1


def test_it_is_started_anew_after_it_was_killed(home: TestHome) -> None:
    with connect(home.cluster) as first:
        pid = first.cluster().pid
    home.kill("clustertune.coordinator")
    with connect(home.cluster) as second:
        assert second.cluster().pid != pid


def test_the_record_of_a_process_that_ended_counts_as_none(home: TestHome) -> None:
    record(home, pid=ended_process(), port=1)
    assert running(home.cluster) is None


def test_a_live_process_at_whose_port_nobody_answers_counts_as_none(home: TestHome) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    record(home, pid=os.getppid(), port=port)
    assert running(home.cluster) is None


def test_a_live_process_that_says_nothing_is_named(home: TestHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clustertune.client.nearby.ANSWER_LIMIT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        record(home, pid=os.getppid(), port=mute.getsockname()[1])
        with pytest.raises(CoordinatorUnreachable, match=f"kill -9 {os.getppid()}"):
            running(home.cluster)


def test_a_first_start_that_fails_shows_the_end_of_the_log(home: TestHome) -> None:
    home.cluster.store_definition({"name": "local", "provider": "nowhere"})
    with pytest.raises(
        CoordinatorUnreachable, match=r"ended at once .*exit code 1(?s:.*)coordinator\.log(?s:.*)nowhere"
    ):
        connect(home.cluster)


def test_one_that_finds_its_disk_full_is_told_in_its_own_words(
    home: TestHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "2026-01-01 10:00:00,123 ERROR clustertune.coordinator: the disk of /x is full; free some space"
    program = tmp_path / "coordinator"
    program.write_text(f"#!/bin/sh\necho '{line}'\nexit 6\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(JournalFull, match=r"^the disk of /x is full; free some space$"):
        connect(home.cluster)
