"""What counts as a trial's own memory, where it is sampled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clustertune.agent.enclosure import used_bytes
from clustertune.model.processes import LINUX

MIB = 2**20
PARENT = """
import mmap, os, sys
loaded = bytearray(os.urandom(1)) * (80 << 20)
own = []

def fork(run):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        run()
        os.write(write, b"x")
        sys.stdin.read()
        os._exit(0)
    os.read(read, 1)
    return pid

def trial():
    own.append(bytearray(b"x") * (40 << 20))

def with_workers():
    trial()
    for _ in range(3):
        fork(lambda: None)

def reader():
    with open(sys.argv[1], "rb") as file:
        own.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    sum(own[-1][::4096])

"""

pytestmark = pytest.mark.skipif(not LINUX, reason="reads /proc")


def used(tmp_path: Path, forks: str) -> int:
    """By the first of those that are forked, with all that it forked."""
    mapped = tmp_path / "data"
    with open(mapped, "wb") as file:
        file.write(b"x" * 60 * MIB)
        file.flush()
        os.fsync(file.fileno())  # until then it is dirty for whoever maps it
    program = PARENT + forks + "\nprint(first, flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-c", program, mapped], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        first = int(parent.stdout.readline())
        workers = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        found = used_bytes([first, *map(int, workers)], parent.pid)
        parent.stdin.close()
    return found


@pytest.mark.parametrize("beside", [0, 1, 5])
def test_what_the_parent_loaded_is_not_a_trials_however_many_run_beside(tmp_path: Path, beside: int) -> None:
    forks = f"first = fork(trial)\nfor _ in range({beside}): fork(trial)"
    assert 40 * MIB <= used(tmp_path, forks) < 50 * MIB


def test_what_a_trial_shares_with_its_own_workers_counts_once(tmp_path: Path) -> None:
    assert 35 * MIB <= used(tmp_path, "first = fork(with_workers)") < 55 * MIB


def test_a_mapped_file_that_is_only_read_does_not_count(tmp_path: Path) -> None:
    assert used(tmp_path, "first = fork(reader)") < 10 * MIB
