"""The folders that attempts live in: emptied ones are used again, for a disk takes ten times as long over new ones."""

from __future__ import annotations

import itertools
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from clustertune.agent.removal import remove

CHECKPOINTS = "checkpoints"
TEMPORARY = "tmp"
_FILES = frozenset({"config.json", "metrics.jsonl"})
_MOST_SPARE = 64


class AttemptFolders:
    """Each with a folder for checkpoints and one for temporary files, mode 0700."""

    def __init__(self, root: Path, throw_away: Callable[[Path], None]) -> None:
        """``root`` is for the emptied ones; what an earlier agent left there goes. Raises OSError."""
        self._root, self._throw_away = root, throw_away
        self._spare: deque[Path] = deque()
        self._numbers = itertools.count()
        self.close()
        root.mkdir(mode=0o700)

    def make(self, path: Path) -> None:
        """Raises OSError; then it may be called again."""
        if self._spare and not path.exists():
            self._spare[0].rename(path)
            self._spare.popleft()
            return
        for folder in (path, path / CHECKPOINTS, path / TEMPORARY):
            folder.mkdir(mode=0o700, exist_ok=True)

    def remove(self, path: Path) -> None:
        try:
            if len(self._spare) < _MOST_SPARE and _is_emptied(path):
                spare = self._root / str(next(self._numbers))
                path.rename(spare)
                self._spare.append(spare)
                return
        except OSError:
            pass  # it is not as it was made, or not there
        self._throw_away(path)

    def close(self) -> None:
        remove(self._root)


def _is_emptied(path: Path) -> bool:
    """Takes out what every attempt has; whether nothing else is there, and all is as it was made. Raises OSError."""
    names = set(os.listdir(path))  # noqa: PTH208 - names only
    folders = (path, path / CHECKPOINTS, path / TEMPORARY)
    if names - _FILES != {CHECKPOINTS, TEMPORARY} or not all(map(_is_as_made, folders)):
        return False
    for name in names & _FILES:
        (path / name).unlink()
    return not any(map(os.listdir, folders[1:]))


def _is_as_made(folder: Path) -> bool:
    found = folder.lstat()
    return found.st_mode == stat.S_IFDIR | 0o700 and found.st_uid == os.geteuid()
