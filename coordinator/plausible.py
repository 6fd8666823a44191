"""Bounds what agents say: a machine that cannot be is refused, and texts beyond measure are cut."""

from __future__ import annotations

from dataclasses import replace

from clustertune.model.instance import Inventory
from clustertune.model.trial import Ending

MOST_CPUS = MOST_SLOTS = 10_000
MOST_GPUS = 1_000
MOST_BYTES = 2**60
_LINE, _TAIL, _TRACEBACK, _NOTICES = 4_096, 16_384, 65_536, 20
"""In characters, but for the notices; agents themselves send far less."""


def implausible(inventory: Inventory) -> str:
    """What of it no machine has; empty where there is nothing. Placing trials takes time that grows with it."""
    slots, gpus = inventory.slots, inventory.gpus
    if not 0 <= inventory.cpus <= MOST_CPUS:  # nor what is not a number
        return f"{inventory.cpus:g} CPUs"
    if slots is not None and not 0 <= slots <= MOST_SLOTS:
        return "slots beyond measure"
    if len(gpus) > MOST_GPUS or len({gpu.index for gpu in gpus}) < len(gpus):
        return f"{len(gpus)} GPUs, or two of one index"
    if not all(0 <= size <= MOST_BYTES for size in (inventory.memory_bytes, *(gpu.memory_bytes for gpu in gpus))):
        return "memory beyond measure"
    return ""


def bounded(ending: Ending) -> Ending:
    """It is shown, kept in memory and written down for as long as its experiment is."""
    return replace(
        ending,
        error=ending.error[:_LINE],
        traceback=ending.traceback[-_TRACEBACK:],
        log_tail=ending.log_tail[-_TAIL:],
        notices=lines(ending.notices),
    )


def line(text: str) -> str:
    return text[:_LINE]


def lines(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(line, texts[:_NOTICES]))
