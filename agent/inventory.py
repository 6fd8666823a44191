"""What this machine has, as far as the processes that the agent starts may use it."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from clustertune.model.instance import Gpu, Inventory

_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits")
_NVIDIA_SMI_TIMEOUT_S = 2.0
_MIB = 1024 * 1024


def take_inventory(slots: int | None = None) -> Inventory:
    """CPUs, memory and GPUs, within this process's affinity, cgroups and CUDA_VISIBLE_DEVICES."""
    root = Path("/")
    return Inventory(
        cpus=_cpus(root),
        memory_bytes=_memory_bytes(root),
        gpus=visible_gpus(parse_nvidia_smi(_run_nvidia_smi()), os.environ),
        slots=slots,
        hostname=socket.gethostname(),
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
    )


def _cpus(root: Path) -> float:
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(allowed), *cpu_quotas(root)])


def _memory_bytes(root: Path) -> int:
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([installed, *memory_limits(root)])


def cpu_quotas(root: Path) -> Iterator[float]:
    """CPUs that each enclosing cgroup allows, version 2 then version 1; unlimited ones are left out."""
    for folder in _cgroup_folders(root, ""):
        words = _words(folder / "cpu.max")
        if len(words) == 2 and words[0] != "max":
            yield int(words[0]) / int(words[1])
    for folder in _cgroup_folders(root, "cpu"):
        quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
        if quota and period and int(quota[0]) > 0:
            yield int(quota[0]) / int(period[0])


def memory_limits(root: Path) -> Iterator[int]:
    """Bytes that each enclosing cgroup allows; version 1 says "unlimited" as a number beyond all memory."""
    for controller, name in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        for folder in _cgroup_folders(root, controller):
            words = _words(folder / name)
            if words and words[0] != "max":
                yield int(words[0])


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """This process's cgroup in one hierarchy ("" is version 2) and all around it, down to the mount."""
    mounts = [root / "sys/fs/cgroup" / controller, *([] if controller else [root / "sys/fs/cgroup/unified"])]
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            inside = Path(path.lstrip("/"))
            for mount in mounts:
                # Within a container the path may be that of the host, which is not there; the mount itself is.
                yield from (mount / part for part in (inside, *inside.parents))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _run_nvidia_smi() -> str:
    try:
        found = subprocess.run(
            _NVIDIA_SMI,
            capture_output=True,
            text=True,
            timeout=_NVIDIA_SMI_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout if found.returncode == 0 else ""


def parse_nvidia_smi(text: str) -> tuple[Gpu, ...]:
    """GPUs from nvidia-smi's lines ``index, name, MiB``; lines of another form are left out."""
    gpus = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) >= 3 and parts[0].isdigit() and parts[-1].isdigit():
            gpus.append(Gpu(int(parts[0]), ", ".join(parts[1:-1]), int(parts[-1]) * _MIB))
    return tuple(gpus)


def visible_gpus(gpus: tuple[Gpu, ...], environment: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves, where it names indices."""
    allowed = environment.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return gpus
    names = [name.strip() for name in allowed.split(",") if name.strip()]
    if not all(name.isdigit() for name in names):
        return gpus
    return tuple(gpu for gpu in gpus if str(gpu.index) in names)
