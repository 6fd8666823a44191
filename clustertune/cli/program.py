"""How clustertune was called, so that the commands it suggests work as typed."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def program() -> str:
    """``clustertune`` where that finds this very program, else the path that it was called by."""
    called = sys.argv[0]
    if Path(called).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m clustertune.cli"
    on_path = shutil.which(Path(called).name)
    if on_path is not None and Path(on_path).resolve() == Path(called).resolve():
        return Path(called).name
    return shlex.quote(called)
