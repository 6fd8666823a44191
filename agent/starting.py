"""The verb ``start``: an agent that outlives the connection it was started over. One at a time on a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from clustertune.agent.enrolment import Enrolment, read_enrolment
from clustertune.agent.given import read_all
from clustertune.agent.own_log import MOST_BYTES, start_anew
from clustertune.agent.record import FILE, LOCK, end, read_record
from clustertune.agent.removal import remove
from clustertune.agent.root import Hindered, Root
from clustertune.model.errors import Mistake
from clustertune.model.processes import start_mark


def answer(root: Root, given: BinaryIO) -> dict[str, object]:
    """Takes the enrolment. Raises Hindered, OSError."""
    told = read_all(given)
    try:
        enrolment = read_enrolment(told.decode(errors="replace"))
    except Mistake as error:
        raise Hindered(str(error)) from None
    with root.locked(LOCK):
        record = read_record(root)
        if record is not None and record.lives:
            if record.epoch == enrolment.epoch:
                return {"pid": record.pid, "started": False}
            end(record)
        pid = _start(root, enrolment, told)
        _remove_other_versions(root)
    return {"pid": pid, "started": True}


def _start(root: Root, enrolment: Enrolment, told: bytes) -> int:
    """The agent is told who it is once its record is on disk: who dies in between leaves one that ends by itself."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    log = os.open(root.log, flags, 0o600)
    try:
        start_anew(log, MOST_BYTES // 2)
        # Neither what is installed nor what the environment says of Python is to reach the agent itself.
        agent = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", sys.path[0], "--folder", str(root.agent), "--reach",
             str(root.reach)],
            stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=root.path, start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(log)
    try:
        mark = start_mark(agent.pid) or ""
        root.write(FILE, {"pid": agent.pid, "mark": mark, "epoch": enrolment.epoch})
    except BaseException:
        agent.kill()
        agent.wait()
        raise
    if agent.stdin is not None:
        with suppress(BrokenPipeError), agent.stdin as pipe:  # one that died at once has said why in its log
            pipe.write(told)
    return agent.pid


def _remove_other_versions(root: Root) -> None:
    """Of the agent file, and what they were unpacked to: none of them runs any more."""
    own = Path(sys.path[0]).name
    for path in root.path.iterdir():
        if path.name.startswith(("agent-", ".agent-")) and not own.startswith(path.name.removesuffix(".pyz")):
            remove(path)
