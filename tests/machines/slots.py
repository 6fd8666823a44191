"""A number that a test session has to itself on this host, by a locked file; what dead sessions left is removed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
from pathlib import Path
from typing import IO

import psutil

SLOTS = Path("/run/clustertune-test-racks")
"""A locked file for each session. A lock ends with its process, so what an unlocked one names belongs to nobody."""

MOST = 250


def own_slot() -> tuple[int, IO[str]]:
    """A number that no other session has, for as long as the file is open; dead sessions' things are removed."""
    SLOTS.mkdir(exist_ok=True)
    found = None
    for number in range(MOST):
        path = SLOTS / str(number)
        if found is not None and not path.exists():
            continue
        held = _locked(path)
        if held is None:
            continue
        sweep(number, held.read())
        held.seek(0)
        held.truncate()
        if found is None:
            found = number, held
        else:
            held.close()
    assert found is not None, f"{MOST} test sessions with machines at once; remove {SLOTS} if there are none"
    return found


def sweep(number: int, folder: str) -> None:
    """Ends the machines whose folders are in ``folder``, and removes it and the session's bridge."""
    if folder:
        ended = [each for each in psutil.process_iter() if _is_a_machine_of(each, folder)]
        for process in ended:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ended, timeout=20)
        shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["ip", "link", "del", bridge(number)], capture_output=True, check=False)


def bridge(number: int) -> str:
    return f"ctr{number}"


def _locked(path: Path) -> IO[str] | None:
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.seek(0)
    return file


def _is_a_machine_of(process: psutil.Process, folder: str) -> bool:
    """Ending this process ends the machine: unshare was told to kill its child."""
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        return words[:1] == ["unshare"] and any(word.startswith(folder + "/") for word in words)
    return False
