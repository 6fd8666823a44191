"""No memory is written to a disk when a process crashes: tokens and secrets are in it, and models."""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """For this process and those that it starts; a program that wants one raises its own limit again."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
