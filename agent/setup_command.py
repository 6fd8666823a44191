"""Runs one command of ``setup``: its output is heard as it comes, and nothing of it is left when it has ended."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from clustertune.agent.processes import kill_group

_READ_BYTES = 64 * 1024
_LOOK_S = 0.1
_LINGER_S = 1.0
"""What left its group may hold the output open: so long is waited for more of it."""

_MOST_LEFT_BYTES = 1024 * 1024
"""More than a pipe holds: what is read of the output once the command has ended."""

_WHEN_GUARDED = 'read -r _ || exit; exec </dev/null; exec /bin/sh -c "$1"'
"""Whoever is ended before the command is guarded leaves none: its standard input ends unread."""

_GUARD = 'read -r _; kill -s KILL -- "-$1"'


def run_command(command: str, workdir: Path, environment: Mapping[str, str], hear: Callable[[bytes], None]) -> int:
    """Its exit code, or the negative number of the signal that ended it. Raises OSError where it cannot be run."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", _WHEN_GUARDED, "sh", command],
        cwd=workdir, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        with _guarded(process.pid):
            _let_go_on(process)
            _listen(process, hear)
            return process.wait()
    finally:
        kill_group(process.pid)
        process.wait()
        for end in (process.stdin, process.stdout):
            if end is not None:
                with suppress(OSError):
                    end.close()


def _let_go_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with suppress(BrokenPipeError):  # it was killed meanwhile
        process.stdin.write(b"\n")
        process.stdin.close()


@contextmanager
def _guarded(group: int) -> Iterator[None]:
    """The group ends where this process is killed and cannot see to it: the guard's standard input ends with us."""
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "sh", str(group)],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        guard.kill()
        guard.wait()
        if guard.stdin is not None:
            guard.stdin.close()


def _listen(process: subprocess.Popen[bytes], hear: Callable[[bytes], None]) -> None:
    """Until the output ends; or until the command has ended, for others may hold it open."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    output, left_bytes = process.stdout.fileno(), _MOST_LEFT_BYTES
    while left_bytes > 0:
        ended = process.poll() is not None
        if ended:
            kill_group(process.pid)
        if select.select([output], [], [], _LINGER_S if ended else _LOOK_S)[0]:
            if not (data := os.read(output, _READ_BYTES)):
                return
            hear(data)
            left_bytes -= len(data) if ended else 0
        elif ended:
            return
