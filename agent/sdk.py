"""A copy of what trials import, in a folder of its own, so that no other package leaks into their interpreter."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from clustertune import agent, model
from clustertune.agent.removal import remove

_ALONE = ("__init__.py", "channel.py", "group.py", "saving.py", "training.py")


def copy_sdk(target: Path) -> None:
    """Fills ``target``, a folder for PYTHONPATH, with the trial's side of this package. Raises OSError."""
    remove(target)
    package = target / "clustertune"
    package.mkdir(parents=True, mode=0o700)
    for name in _ALONE:
        shutil.copyfile(_folder(_package_file()) / name, package / name)
    for module in (agent, model):
        assert module.__file__ is not None  # noqa: S101 - both have an __init__.py
        shutil.copytree(
            _folder(module.__file__),
            package / module.__name__.rpartition(".")[2],
            ignore=shutil.ignore_patterns("__pycache__"),
        )


def _package_file() -> str:
    # Not imported by name: the package's own module is the trial's side, which the agent does not use.
    found = sys.modules["clustertune"].__file__
    assert found is not None  # noqa: S101 - it has an __init__.py
    return found


def _folder(init: str) -> Path:
    return Path(init).resolve().parent
