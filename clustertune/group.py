"""How the processes of a group leave a checkpoint together: rank 0 decides when it begins, the others go by that.

What is wanted may change while they save, and each leaves at its own time: a rank that read the request for itself
could go on, and wait for ever for one that ended.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_FILE = ".group"
_POLL_S = 0.01
_PATIENCE_S = 60.0
"""How long the others wait for a rank 0 that does not come to save, or does not get done."""

_gave_up = False


def decide(folder: Path, level: int, wish: str) -> None:
    """Rank 0 begins to save. On a full disk the others find nothing, and go by the request."""
    _write(folder, f"{level} {wish or 'go-on'} saves")


def leave(folder: Path, level: int, wish: str) -> None:
    """Rank 0 has saved: who is to exit may do so, and takes nobody along that is not done."""
    _write(folder, f"{level} {wish or 'go-on'} left")


def is_to_exit(folder: Path, level: int) -> bool:
    """Another rank has done its part: whether this process is to end. Waits until rank 0 has decided, and saved."""
    global _gave_up  # noqa: PLW0603 - one process is one rank
    until_s = time.monotonic() + _PATIENCE_S
    while not _gave_up:
        at, wish, state = _read(folder)
        if at > level or (at == level and (wish != "exit" or state == "left")):
            return at == level and wish == "exit"
        if time.monotonic() > until_s:
            _gave_up = True
        time.sleep(_POLL_S)
    with suppress(OSError, KeyError):
        return Path(os.environ["CLUSTERTUNE_SAVE"]).read_text(encoding="utf-8").strip() == "exit"
    return False


def _write(folder: Path, text: str) -> None:
    fresh = folder / f"{_FILE}-new"
    with suppress(OSError):
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(folder / _FILE)


def _read(folder: Path) -> tuple[int, str, str]:
    try:
        level, wish, state = (folder / _FILE).read_text(encoding="utf-8").split()
        return int(level), wish, state
    except (OSError, ValueError):
        return 0, "", ""
