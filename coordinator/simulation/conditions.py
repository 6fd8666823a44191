"""Under what conditions an experiment is simulated: machines, delays, interruptions. All times are virtual."""

from __future__ import annotations

import math
from dataclasses import dataclass

SPEEDS = (1e-6, 1e6)
"""Of a machine, the slowest and the fastest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """``speed`` divides the time of everything that trials do there; ``start_s`` lies between launch and hello."""

    slots: int = 1
    speed: float = 1.0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        slowest, fastest = SPEEDS
        if self.slots < 1 or not slowest <= self.speed <= fastest or not 0 <= self.start_s < math.inf:
            speeds = f"a speed from {slowest:g} to {fastest:g}"
            raise ValueError(f"a machine has slots, {speeds} and a start of 0 s or more, found {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Each trial holds one slot, whatever its definition asks for.

    ``trial_start_s``: from the decision to the program's first line; ``stop_s``: from a stop to the slot's being free;
    ``save_s``: taking a checkpoint before a pause; ``store_s``: until it can be had elsewhere; ``suggest_s``: what a
    slow searcher takes to answer. Machines are taken back ``interruptions_per_hour`` each, on average, at moments that
    ``seed`` draws, and the next one in their place is asked for at once and begins to start after ``return_s``.
    """

    machines: tuple[Machine, ...] = (Machine(),)
    trial_start_s: float = 0.0
    stop_s: float = 0.0
    save_s: float = 0.0
    store_s: float = 0.0
    suggest_s: float = 0.2
    interruptions_per_hour: float = 0.0
    return_s: float = 0.0
    seed: int = 0

    @property
    def slots(self) -> int:
        return sum(machine.slots for machine in self.machines)
