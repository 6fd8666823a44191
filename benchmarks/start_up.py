"""What a statement costs beyond Python's own start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence


def beyond_python_ms(statement: str, times: int) -> float:
    """Median of whole processes, less the median of those that do nothing."""
    nothing, imported = medians_s([[sys.executable, "-c", code] for code in ("", statement)], times)
    return (imported - nothing) * 1e3


def medians_s(commands: Sequence[Sequence[str]], times: int) -> list[float]:
    """How long each command takes, in seconds; taken in turn, so that what else the machine does falls on all."""
    taken: list[list[float]] = [[] for _ in commands]
    for _ in range(times):
        for command, seconds in zip(commands, taken, strict=True):
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd="/")
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) for seconds in taken]
