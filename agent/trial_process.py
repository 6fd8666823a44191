"""The first moments of a trial's process, between the fork and the program."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import NoReturn

from clustertune.agent import processes
from clustertune.model.core_dumps import forbid_core_dumps

_OOM_SCORE = "500"
"""Where memory runs out, the kernel should take the trial, and not the agent or the coordinator beside it."""

CANNOT_EXEC = 127


def detach(output: int, parent: int, cgroups: Sequence[str] = ()) -> None:
    """Makes this forked child a trial: a session of its own, output into ``output``, no input, default signals.

    ``parent`` is the spawner's pid: where it ended before the kernel was told to take the child along, exit now.
    ``cgroups`` are the files by which its cgroups are entered.
    """
    for entrance in cgroups:
        with contextlib.suppress(OSError), open(entrance, "w") as file:
            file.write("0")
    os.setsid()
    processes.die_with_parent()
    if os.getppid() != parent:
        os._exit(CANNOT_EXEC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    signal.set_wakeup_fd(-1)
    forbid_core_dumps()
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OOM_SCORE)


def execute(argv: Sequence[str], program: str, workdir: str, environment: Mapping[str, str], errors: int) -> NoReturn:
    """Becomes ``program``. Where that cannot be, writes why to ``errors``, which a success closes, and exits."""
    # Python ignores these two; programs expect them as they are by default.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir(workdir)
    except OSError as error:
        _refuse(errors, f"the working directory {workdir} cannot be entered: {error.strerror}")
    try:
        os.execve(program, list(argv), dict(environment))  # noqa: S606 - without a shell on purpose
    except OSError as error:
        _refuse(errors, f"{program} cannot be run: {error.strerror or error}")
    except ValueError as error:
        _refuse(errors, f"{program} cannot be run: {error}")


def _refuse(errors: int, why: str) -> NoReturn:
    os.write(errors, why.encode(errors="replace"))
    os._exit(CANNOT_EXEC)
