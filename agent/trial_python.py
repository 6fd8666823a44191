"""Finds or makes the interpreter that trials run in: the one that was named, this one, or an environment over it."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clustertune.agent.removal import remove
from clustertune.agent.root import Hindered, Root, write_whole
from clustertune.agent.untrusted import read_text

_ENVIRONMENT = "env"
_STAMP = "clustertune.json"
_OLDEST = (3, 10)
_ANSWER_S = 60.0
_ASK = "import json, sys; print(json.dumps([list(sys.version_info[:2]), sys.version]))"
_MOST_SHOWN_CHARS = 400

Say = Callable[[bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPython:
    """``identity`` changes where the interpreter does. ``environment`` is the folder of one that is ours."""

    path: str
    identity: str
    environment: Path | None = None


def find_python(root: Root, named: str, workdir: Path, *, installs: bool, say: Say) -> TrialPython:
    """``installs``: there are commands, which shall change nothing of the machine's own. Raises Hindered, OSError."""
    if named != "auto":
        return _named(named, workdir)
    own = TrialPython(path=sys.executable, identity=f"{sys.executable} {sys.version}")
    return _environment(root, own, say) if installs else own


def _named(named: str, workdir: Path) -> TrialPython:
    expanded = Path(named).expanduser()
    path = shutil.which(str(workdir / expanded if "/" in named else expanded))
    if path is None:
        raise Hindered(f"there is no Python interpreter {named} on this machine; `python` must name one that exists")
    try:
        done = subprocess.run(
            [path, "-c", _ASK], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
        )
        version, text = json.loads(done.stdout)
        is_old = tuple(version) < _OLDEST
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
        raise Hindered(f"the interpreter {named} does not run as Python on this machine; name another one") from error
    if is_old:
        found, needed = ".".join(map(str, version)), ".".join(map(str, _OLDEST))
        raise Hindered(f"trials need Python {needed} or newer, {named} is {found}; name another one with `python`")
    return TrialPython(path=path, identity=f"{path} {text}")


def _environment(root: Root, base: TrialPython, say: Say) -> TrialPython:
    """Over ``base``, with all that is installed there; made once, and anew where ``base`` has changed."""
    folder = root.path / _ENVIRONMENT
    python = folder / "bin" / "python"
    stamp = {"base": base.identity}
    if not python.exists() or _stamp(folder) != stamp:
        say(f"making an environment over {base.path}\n".encode(errors="replace"))
        remove(folder)
        _make(base, folder)
        write_whole(folder / _STAMP, json.dumps(stamp).encode())
    made = (folder / _STAMP).stat().st_mtime_ns
    return TrialPython(path=str(python), identity=f"{folder} {base.identity} {made}", environment=folder)


def _make(base: TrialPython, folder: Path) -> None:
    """Raises Hindered."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [base.path, "-m", "venv", "--system-site-packages", str(folder)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean, check=False,
    )  # fmt: skip
    if done.returncode:
        remove(folder)
        told = " ".join(done.stdout.decode(errors="replace").split())[-_MOST_SHOWN_CHARS:]
        raise Hindered(
            f"{base.path} cannot make an environment for what `setup` installs; on Debian and Ubuntu install "
            f"python3-venv, or name the interpreter of an environment of yours with `python` (it said: {told})"
        )
    if sys.prefix != sys.base_prefix:
        _add_own_packages(folder)


def _add_own_packages(folder: Path) -> None:
    """Where the machine's Python is that of an environment itself, only what that one stands on would be seen."""
    for packages in folder.glob("lib/python*/site-packages"):
        (packages / "clustertune-machine.pth").write_text("".join(f"{path}\n" for path in site.getsitepackages()))


def _stamp(folder: Path) -> object:
    with suppress(OSError, ValueError, RecursionError):
        return json.loads(read_text(folder / _STAMP))
    return None
