"""Removes what programs left, whatever it is: nothing in it can make that fail for the rest, or reach outside."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

from clustertune.agent.untrusted import is_folder

_OWN_MODE = 0o700


def remove(path: Path) -> None:
    """A file, a link or a folder with all that is in it. Never raises; what cannot be removed stays.

    However deep it goes, paths stay short and the stack flat: what is two folders down is first moved one up.
    """
    if not is_folder(path):
        with suppress(OSError):
            path.unlink()
        return
    with suppress(OSError):
        path.chmod(_OWN_MODE)
    stuck, numbers = set[str](), itertools.count()
    with suppress(OSError):
        while names := set(os.listdir(path)) - stuck:  # noqa: PTH208 - names only, and often
            stuck.update(name for name in names if not _remove_entry(path, name, numbers))
        path.rmdir()


def _remove_entry(top: Path, name: str, numbers: itertools.count[int]) -> bool:
    """Whether it is gone."""
    entry = top / name
    try:
        if not is_folder(entry):
            entry.unlink()
            return True
        entry.chmod(_OWN_MODE)
        for inner in os.listdir(entry):  # noqa: PTH208 - names only, and often
            if is_folder(entry / inner):
                _move_up(entry / inner, top, numbers)
            else:
                (entry / inner).unlink()
        entry.rmdir()
    except OSError:
        return False
    return True


def _move_up(folder: Path, top: Path, numbers: itertools.count[int]) -> None:
    """Raises OSError."""
    folder.chmod(_OWN_MODE)  # a folder that may not be written to may not be moved by who is not root
    while os.path.lexists(fresh := top / f".up-{next(numbers)}"):
        pass
    folder.rename(fresh)
