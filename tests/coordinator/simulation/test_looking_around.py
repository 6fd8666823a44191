"""The core looks for free slots only where an event may have changed something: nothing is missed by that."""

from __future__ import annotations

import pytest

from clustertune.coordinator.core import core
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.tasks.curves import Curves
from tests.coordinator.simulation.stand_ins import definition, watch

UNEQUAL = Conditions(
    machines=(Machine(slots=1), Machine(slots=2, speed=0.3)), trial_start_s=0.5, save_s=0.7, stop_s=0.3, store_s=2.0
)
STORMY = Conditions(
    machines=(Machine(slots=3, start_s=2.0), Machine(slots=2, speed=0.5, start_s=1.0)),
    trial_start_s=0.5, stop_s=0.25, save_s=0.5, store_s=0.75, interruptions_per_hour=400.0, return_s=4.0, seed=3,
)  # fmt: skip


@pytest.mark.parametrize("scheduler", ["asha", "asha-promotion", "hyperband", "async-hyperband", "population-based"])
@pytest.mark.parametrize("conditions", [UNEQUAL, STORMY], ids=["unequal", "stormy"])
def test_looking_at_every_event_comes_to_the_same_facts(
    scheduler: str, conditions: Conditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (2, 5, 8):
        wanted = definition(
            scheduler={"type": scheduler}, trials=25, seed=seed, resource={"name": "epoch", "max": 27},
            parallel=2 if seed == 2 else None,
        )  # fmt: skip
        task = Curves(space=wanted.space, number=seed, max_resource=27)
        seldom = watch(wanted, task, conditions)
        with monkeypatch.context() as every_event:
            every_event.setattr(core, "_OF_ONE_TRIAL", frozenset())
            always = watch(wanted, task, conditions)
        assert repr(seldom.facts) == repr(always.facts)
