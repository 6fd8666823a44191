"""The verb ``setup``: the interpreter for trials, and the user's commands; again only where something has changed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn

from clustertune.agent.given import read_object, text, texts, variables
from clustertune.agent.redaction import Redactor
from clustertune.agent.root import Hindered, Root
from clustertune.agent.setup_command import run_command
from clustertune.agent.setup_output import SetupOutput, show
from clustertune.agent.trial_python import TrialPython, find_python

_RECORD = "setup.json"
_MOST_GIVEN_BYTES = 16 * 1024 * 1024
_MOST_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    workdir: Path
    commands: tuple[str, ...]
    python: str
    env: Mapping[str, str]
    secrets: Mapping[str, str] = field(repr=False)
    fingerprint: str


def answer(root: Root, given: BinaryIO) -> dict[str, object]:
    """One at a time on a machine. Raises Hindered, OSError."""
    wish = _read(read_object(given, _MOST_GIVEN_BYTES))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    with root.locked("setup", lambda: show(b"waiting for another setup of this machine to end\n")):
        python = find_python(root, wish.python, wish.workdir, installs=bool(wish.commands), say=show)
        done = {"fingerprint": wish.fingerprint, "python": python.identity}
        if not wish.commands or root.read(_RECORD) == done:
            return {"python": python.path, "ran": False}
        root.remove(_RECORD)
        with closing(SetupOutput(root.path / "setup.log", Redactor(wish.secrets.values()))) as output:
            _run_all(wish, _environment(wish, python), output)
        root.write(_RECORD, done)
    return {"python": python.path, "ran": True}


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _read(plain: dict[str, Any]) -> _Wish:
    """Raises Hindered."""
    wish = _Wish(
        workdir=Path(text(plain, "workdir")),
        commands=tuple(texts(plain, "commands")),
        python=text(plain, "python", "auto") or "auto",
        env=variables(plain, "env"),
        secrets=variables(plain, "secrets"),
        fingerprint=text(plain, "fingerprint", ""),
    )
    if not wish.workdir.is_absolute() or not wish.workdir.is_dir():
        raise Hindered(f"the working directory {wish.workdir} is not on this machine; lay it out first")
    return wish


def _run_all(wish: _Wish, environment: Mapping[str, str], output: SetupOutput) -> None:
    """Raises Hindered at the first that fails."""
    for command in wish.commands:
        output.hear(f"$ {command}\n".encode(errors="replace"))
        why = _run(command, wish.workdir, environment, output)
        output.flush()
        if why:
            shown = output.redactor.text(" ".join(command.split()))
            if len(shown) > _MOST_SHOWN_CHARS:
                shown = shown[:_MOST_SHOWN_CHARS] + "…"
            raise Hindered(f"setup failed: {shown}: {why}", log_tail=output.tail)


def _run(command: str, workdir: Path, environment: Mapping[str, str], output: SetupOutput) -> str:
    """Why it failed, or nothing."""
    try:
        code = run_command(command, workdir, environment, output.hear)
    except OSError as error:
        return f"it cannot be run: {error.strerror}"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}" if code else ""


def _environment(wish: _Wish, python: TrialPython) -> dict[str, str]:
    """As trials will have it: what ``pip`` installs lands with the interpreter that they run in."""
    found = {**os.environ, "PYTHONUNBUFFERED": "1", **wish.env, **wish.secrets}
    found["PATH"] = f"{Path(python.path).parent}{os.pathsep}{found.get('PATH', os.defpath)}"
    if python.environment is not None:
        found["VIRTUAL_ENV"] = str(python.environment)
        found.pop("PYTHONHOME", None)
    return found
