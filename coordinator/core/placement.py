"""Which machine takes the next trial: slots are resource vectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from clustertune.model.instance import Demand, Inventory

_ROUNDING = 1e-9  # three thirds of a GPU are one GPU


@dataclass(slots=True)
class Room:
    """What an instance has, and what of it is taken."""

    inventory: Inventory
    trials: int = 0
    cpus: float = 0.0
    memory_bytes: int = 0
    gpus: dict[int, float] = field(default_factory=dict)
    gpu_memory_bytes: dict[int, int] = field(default_factory=dict)

    def place(self, demand: Demand) -> tuple[int, ...] | None:
        """The GPUs that the trial gets (none for a trial without), or None when it does not fit now."""
        has = self.inventory
        if has.slots is not None:
            if self.trials >= has.slots:
                return None
        elif self.cpus + demand.cpus > has.cpus + _ROUNDING:
            return None
        if self.memory_bytes + demand.memory_bytes > has.memory_bytes and demand.memory_bytes:
            return None
        return self._gpus_for(demand)

    def _gpus_for(self, demand: Demand) -> tuple[int, ...] | None:
        if not demand.gpus:
            return ()
        share, wanted = (demand.gpus, 1) if demand.gpus < 1 else (1.0, round(demand.gpus))
        fitting = [
            gpu.index
            for gpu in self.inventory.gpus
            if self.gpus.get(gpu.index, 0.0) + share <= 1 + _ROUNDING
            and self.gpu_memory_bytes.get(gpu.index, 0) + demand.gpu_memory_bytes <= gpu.memory_bytes
        ]
        # The fullest first: whole GPUs stay free for trials that need them whole.
        fitting.sort(key=lambda index: (-self.gpus.get(index, 0.0), index))
        return tuple(sorted(fitting[:wanted])) if len(fitting) >= wanted else None

    def take(self, demand: Demand, gpus: tuple[int, ...], sign: int = 1) -> None:
        """Occupies, or with ``sign`` -1 frees, what a placed trial holds."""
        self.trials += sign
        self.cpus += sign * demand.cpus
        self.memory_bytes += sign * demand.memory_bytes
        share = demand.gpus / len(gpus) if gpus else 0.0
        for index in gpus:
            self.gpus[index] = self.gpus.get(index, 0.0) + sign * share
            self.gpu_memory_bytes[index] = self.gpu_memory_bytes.get(index, 0) + sign * demand.gpu_memory_bytes

    def free(self, demand: Demand, gpus: tuple[int, ...]) -> None:
        self.take(demand, gpus, sign=-1)

    def slots_for(self, demand: Demand) -> int:
        """How many such trials the empty machine holds."""
        return _slots_for(self.inventory, demand)


@lru_cache(maxsize=1024)
def _slots_for(inventory: Inventory, demand: Demand) -> int:
    """Counted by placing them; remembered, for it is asked at every look at a searcher."""
    room, count = Room(inventory), 0
    while count < 10_000 and (gpus := room.place(demand)) is not None:
        room.take(demand, gpus)
        count += 1
    return count


def shortage(inventories: Iterable[Inventory], demand: Demand) -> str:
    """Why a trial fits on none of the empty machines, as one sentence; empty when it fits on one."""
    found = ""
    for has in inventories:
        if Room(has).place(demand) is not None:
            return ""
        found = _lack(has, demand)
    return found


def _lack(has: Inventory, demand: Demand) -> str:
    if has.slots is None and demand.cpus > has.cpus:
        return f"a trial asks for {demand.cpus:g} CPUs and the machine has {has.cpus:g}; lower per_trial.cpus"
    if demand.memory_bytes > has.memory_bytes:
        wants, got = demand.memory_bytes / 2**30, has.memory_bytes / 2**30
        return f"a trial asks for {wants:.1f} GiB of memory and the machine has {got:.1f}; lower per_trial.memory"
    if demand.gpus > len(has.gpus):
        return f"a trial asks for {demand.gpus:g} GPUs and the machine has {len(has.gpus)}; lower per_trial.gpus"
    if demand.gpu_memory_bytes:
        return "a trial asks for more GPU memory than any GPU of the machine has; lower per_trial.gpu_memory"
    return "the machine has no slots"
