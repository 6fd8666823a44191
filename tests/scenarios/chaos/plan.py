"""What befalls a cluster when, as a pure function of a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

MACHINES = 6
SMALL = (0, 1)
"""The machines whose home is small enough to be filled; what it holds is gone when they are switched off."""

LASTS_S = 12.0
"""Of the time during which faults begin."""


class What(StrEnum):
    """The faults. Those of a link are done to whole websocket frames, by a proxy in front of the coordinator."""

    TRIAL = "a trial is killed"
    AGENT = "the agent is killed"
    COORDINATOR = "the coordinator is killed"
    POWER = "the machine goes off silently, and comes back"
    CRASH = "the machine goes off, its peers hear it, and it comes back"
    CUT = "the link is cut, and heals"
    FREEZE = "the machine hangs, and goes on"
    FULL = "the home is full, until it is freed"
    CLOCK = "the wall clock is stepped, by size hours"
    DELAY = "messages are late by size seconds each"
    TEAR = "the link tears in the middle of a message"
    STRAGGLE = "messages of a dead connection arrive after the next has begun"
    REPEAT = "the link tears, and old messages come again over the next connection"
    DROP = "sshd's connections are killed"


_TIMES = {
    What.TRIAL: 3, What.AGENT: 2, What.COORDINATOR: 2, What.POWER: 1, What.CRASH: 1, What.CUT: 2, What.FREEZE: 1,
    What.FULL: 1, What.CLOCK: 2, What.DELAY: 1, What.TEAR: 2, What.STRAGGLE: 2, What.REPEAT: 2, What.DROP: 1,
}  # fmt: skip
_LONG_S = 14.0
"""Longer than keepalives need to see it and the coordinator to give an agent up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """``at_s`` is counted from the first report; ``for_s`` is how long it lasts, where it lasts."""

    at_s: float
    what: What
    machine: int
    for_s: float
    size: float

    def __str__(self) -> str:
        what = f"{self.what.name:<12} machine {self.machine}, for {self.for_s:.2f} s, size {self.size:+.2f}"
        return f"{self.at_s:6.2f} s  {what}"


def plan(seed: int) -> tuple[Fault, ...]:
    """Every kind at least once, in the order in which they begin."""
    chance = random.Random(f"chaos {seed}")
    kinds = [what for what, times in _TIMES.items() for _ in range(chance.randint(1, times))]
    return tuple(sorted((_fault(chance, what) for what in kinds), key=lambda fault: fault.at_s))


def _fault(chance: random.Random, what: What) -> Fault:
    machine = chance.choice(SMALL) if what is What.FULL else chance.randrange(MACHINES)
    long = what in (What.CUT, What.FREEZE) and chance.random() < 0.25
    size = chance.choice((-1, 1)) * chance.uniform(0.01, 3) if what is What.CLOCK else chance.uniform(0.02, 0.4)
    return Fault(
        at_s=chance.uniform(0, LASTS_S),
        what=what,
        machine=machine,
        for_s=_LONG_S if long else chance.uniform(0.2, 4),
        size=size,
    )


def written(seed: int) -> str:
    """The plan, and how to have it again."""
    lines = "\n".join(f"  {fault}" for fault in plan(seed))
    return f"seed {seed} (again: python benchmarks/chaos.py --seed {seed}):\n{lines}"
