"""Slots and slow searchers in virtual time: how long slots wait, and what fills in where they do not."""

from __future__ import annotations

from collections import Counter

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from tests.coordinator.simulation.stand_ins import SLOW, Falling, Watched, definition, watch


def searched(*, slots: int, level_s: float, suggest_s: float, scheduler: str = "fifo") -> tuple[Watched, float]:
    """All slots are wanted to the end, when time is up; the share of their time in which they held no trial."""
    time_s = 30 * 9 * level_s
    wanted = definition(searcher={"type": "slow"}, scheduler={"type": scheduler}, trials=None, stop={"time": time_s})
    conditions = Conditions(machines=(Machine(slots=slots),), suggest_s=suggest_s)
    watched = watch(wanted, Falling(level_s=level_s), conditions, SLOW)
    return watched, 1 - watched.outcome.compute_s / (slots * watched.outcome.time_s)


@pytest.mark.parametrize("scheduler", ["fifo", "asha"])
@pytest.mark.parametrize(("slots", "level_s"), [(1, 1.0), (8, 1.0), (8, 10.0), (32, 10.0)])
def test_where_a_suggestion_is_quicker_than_slots_free_up_they_wait_a_hundredth_of_their_time_at_most(
    slots: int, level_s: float, scheduler: str
) -> None:
    watched, idle = searched(slots=slots, level_s=level_s, suggest_s=0.3, scheduler=scheduler)
    assert idle < 0.01
    sources = Counter(fact.source for _, fact in watched.of(f.TrialCreated))
    assert sources[""] > 0.5 * sum(sources.values())


@pytest.mark.parametrize("scheduler", ["fifo", "asha"])
def test_where_it_is_slower_others_fill_in_and_no_slot_waits(scheduler: str) -> None:
    watched, idle = searched(slots=16, level_s=0.1, suggest_s=5.0, scheduler=scheduler)
    assert idle < 0.01
    sources = Counter(fact.source for _, fact in watched.of(f.TrialCreated))
    assert sources["fill-in"] > 0.5 * sum(sources.values())
    assert sources[""] > 0


def test_one_slot_waits_for_the_suggestion_that_knows_how_its_last_trial_ended() -> None:
    watched, _ = searched(slots=1, level_s=10.0, suggest_s=0.3)
    told = 0
    for _, fact in watched.facts:
        if isinstance(fact, f.TrialCreated):
            assert fact.source in ("design", "")
            assert fact.source == "design" or fact.observations == told
            told += 1
        elif isinstance(fact, f.RungReached):
            told += 1
