"""Three trials and a scheduler that promotes the best of them: what tests of pausing begin with."""

from __future__ import annotations

from typing import Any

from clustertune.model.trial import EndReason
from tests.coordinator.core.world import World

RUNGS: dict[str, Any] = {
    "scheduler": {"type": "asha-promotion", "reduction_factor": 3},
    "resource": {"name": "epoch", "min": 1, "max": 9},
}


def promoted(world: World, **changes: Any) -> str:
    """Three trials reach the first rung, pause with checkpoints, and the best of them is resumed; its digest."""
    world.submit(trials=3, **RUNGS, **changes)
    world.join(slots=1)
    for trial, error in ((0, 0.9), (1, 0.1), (2, 0.5)):
        world.ran(trial)
        world.report(trial, 1, error=error)
        attempt = world.trial(trial).current.id  # type: ignore[union-attr]
        digest = world.save(trial, 1)
        world.end(trial, EndReason.PAUSED)
        world.stored(digest, attempt)
    return "1-1"
