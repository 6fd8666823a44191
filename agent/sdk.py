"""A copy of what trials import, in a folder of its own, so that no other package leaks into their interpreter."""

from __future__ import annotations

from pathlib import Path
from pkgutil import get_data

from clustertune.agent.removal import remove

_FILES = {
    "clustertune": ("__init__", "channel", "group", "saving", "training"),
    "clustertune.agent": ("__init__", "processes", "ranks", "spawner", "trial_process", "untrusted", "warm"),
    "clustertune.model": ("__init__", "core_dumps", "processes", "version"),
}
"""The trial's side of this package, and what starts it."""


def copy_sdk(target: Path) -> None:
    """Fills ``target``, a folder for PYTHONPATH; from wherever the code lies, a zip file included. Raises OSError."""
    remove(target)
    for package, modules in _FILES.items():
        folder = target / package.replace(".", "/")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for module in modules:
            (folder / f"{module}.py").write_bytes(get_data(package, f"{module}.py") or b"")
