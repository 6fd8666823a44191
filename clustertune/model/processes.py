"""Which process a number means: numbers are given again, starting moments are not."""

from __future__ import annotations

import subprocess
from pathlib import Path

_PROC = Path("/proc/self/stat")


def start_mark(pid: int) -> str | None:
    """A text that tells this process from any other that ever had its number; None when it is not running.

    A zombie, dead but not yet waited for, is not running.
    """
    return _linux_mark(pid) if _PROC.exists() else _ps_mark(pid)


def _ps_mark(pid: int) -> str | None:
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return None if not shown or shown.startswith("Z") else shown.split(None, 1)[1]


def _linux_mark(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The program's name stands in parentheses and may hold anything; state is the first field after it.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields[19]
