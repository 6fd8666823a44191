"""Machines: what one has, and what a trial asks of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One GPU. ``index`` is what CUDA_VISIBLE_DEVICES calls it."""

    index: int
    name: str
    memory_bytes: int


@dataclass(frozen=True)
class Inventory:
    """What an agent found on its machine, as the processes that it starts may use it.

    ``slots``, where given, is how many trials the user wants at once there, whatever their CPUs.
    """

    cpus: float
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    slots: int | None = None
    hostname: str = ""
    python: str = ""
    platform: str = ""


@dataclass(frozen=True)
class Demand:
    """What one trial occupies while it runs: its slot, as a vector.

    ``gpus`` may be a fraction of one GPU, or a whole number of them.
    """

    cpus: float = 1.0
    memory_bytes: int = 0
    gpus: float = 0.0
    gpu_memory_bytes: int = 0
