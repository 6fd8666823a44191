"""The agent's own log on disk: bounded while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from clustertune.agent.own_log import start_anew


def test_a_log_beyond_its_bound_starts_anew_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x" * 100)
    assert not start_anew(descriptor, 100)
    assert start_anew(descriptor, 99)
    os.write(descriptor, b"more")
    os.close(descriptor)
    assert path.read_bytes() == b"more"


def test_what_is_no_log_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * 100)
    with (tmp_path / "data").open("rb+") as file:
        assert not start_anew(file.fileno(), 1)
    read_end, write_end = os.pipe()
    assert not start_anew(write_end, 0)
    os.close(read_end)
    os.close(write_end)
    assert not start_anew(write_end, 0)
    assert (tmp_path / "data").stat().st_size == 100
