"""The core in virtual time: what machines, delays and interruptions make of an experiment, and that it repeats."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.simulation import SimulationStuck, simulate
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import ExperimentState, TrialState
from clustertune.search.contracts import Decision, NoConfig
from clustertune.search.registry import Registry
from tests.coordinator.simulation.stand_ins import SLOW, Falling, definition, watch

ONE = Conditions()
STORMY = Conditions(
    machines=(Machine(slots=3, start_s=2.0), Machine(slots=2, speed=0.5, start_s=1.0)),
    trial_start_s=0.5, stop_s=0.25, save_s=0.5, store_s=0.75, interruptions_per_hour=400.0, return_s=4.0, seed=3,
)  # fmt: skip

DIGEST = """
import hashlib
from clustertune.coordinator.core.facts import write
from clustertune.coordinator.simulation.tasks.curves import Curves
from tests.coordinator.simulation.stand_ins import definition, watch
from tests.coordinator.simulation.test_simulation import STORMY, UNIT_SPACE
wanted = definition(scheduler={"type": "asha-promotion"}, trials=40)
watched = watch(wanted, Curves(space=UNIT_SPACE, max_resource=9, metric="loss"), STORMY)
text = repr([(now, write(fact)) for now, fact in watched.facts]) + repr(watched.outcome)
print(hashlib.sha256(text.encode()).hexdigest())
"""

UNIT_SPACE = Space({"x": Float(0.0, 1.0)})


def test_two_processes_with_other_hash_seeds_come_to_the_same_facts() -> None:
    digests = {_digest(hash_seed) for hash_seed in ("1", "2")}
    assert len(digests) == 1


def _digest(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_what_happened_stays_as_it_was_told() -> None:
    told: list[tuple[f.Fact, str]] = []
    wanted = definition(scheduler={"type": "asha-promotion"}, trials=40)
    task = Curves(space=UNIT_SPACE, max_resource=9, metric="loss")
    simulate(wanted, task, STORMY, on_fact=lambda _, fact: told.append((fact, repr(fact))))
    assert len(told) > 400
    assert [repr(fact) for fact, _ in told] == [text for _, text in told]


def test_a_trial_takes_its_levels_and_the_slots_share_them() -> None:
    watched = watch(definition(trials=4), Falling(), Conditions(machines=(Machine(slots=2),)))
    assert watched.outcome.state is ExperimentState.COMPLETED
    assert watched.ends() == [(9.0, 0), (9.0, 1), (18.0, 2), (18.0, 3)]
    assert watched.outcome.time_s == 18.0
    assert watched.outcome.compute_s == 36.0
    assert watched.outcome.results == 36


def test_starts_of_machines_and_trials_and_stops_take_virtual_time() -> None:
    slow = Conditions(machines=(Machine(start_s=100.0),), trial_start_s=10.0)
    assert watch(definition(trials=2), Falling(), slow).ends() == [(119.0, 0), (138.0, 1)]
    stopping = watch(definition(trials=9, scheduler={"type": "asha"}), Falling(), Conditions(stop_s=1000.0))
    stops = len(stopping.of(f.StopOrdered))
    assert stops > 0
    assert stopping.outcome.time_s == stopping.outcome.results + 1000.0 * stops


def test_the_quicker_machine_ends_its_trials_first() -> None:
    machines = (Machine(speed=1.0), Machine(speed=4.0))
    watched = watch(definition(trials=5), Falling(), Conditions(machines=machines))
    assert watched.ends() == [(2.25, 1), (4.5, 2), (6.75, 3), (9.0, 0), (9.0, 4)]


def test_the_path_tells_each_improvement_with_what_it_took() -> None:
    outcome = watch(definition(trials=3), Falling()).outcome
    values = [incumbent.value for incumbent in outcome.path]
    assert values == sorted(values, reverse=True)
    assert outcome.value == values[-1]
    assert outcome.best_at(compute_s=0.5) is None
    assert outcome.best_at(compute_s=1.0) == values[0]
    assert outcome.best_at(compute_s=1e9) == outcome.value


def test_what_is_maximized_is_told_as_it_is() -> None:
    outcome = watch(definition(objective={"metric": "loss", "goal": "maximize"}), Falling()).outcome
    values = [incumbent.value for incumbent in outcome.path]
    assert values == sorted(values)


@pytest.mark.parametrize("scheduler", ["fifo", "asha", "asha-promotion"])
def test_with_interruptions_no_trial_is_lost_and_each_ends_once(scheduler: str) -> None:
    wanted = definition(trials=30, scheduler={"type": scheduler}, checkpoints={"every": 2.0, "supported": True})
    watched = watch(wanted, Falling(), STORMY)
    assert watched.outcome.interruptions > 3
    lost = [fact for _, fact in watched.of(f.AttemptEnded) if fact.state is TrialState.PENDING]
    assert lost
    ended = [fact.trial for _, fact in watched.of(f.AttemptEnded) if fact.state.ended]
    moved = [fact.trial for _, fact in watched.of(f.TrialMoved) if fact.state.ended]
    assert Counter([*ended, *moved]) == Counter(range(30))
    assert watched.outcome.trials == 30


def test_a_replacement_begins_after_its_delay() -> None:
    watched = watch(definition(trials=20), Falling(), STORMY)
    gone = {(x.instance, x.epoch): now for now, x in watched.of(f.InstanceGone)}
    ready = {(x.instance, x.epoch): now for now, x in watched.of(f.InstanceReady)}
    waits = [ready[name, epoch + 1] - now for (name, epoch), now in gone.items() if (name, epoch + 1) in ready]
    assert waits
    assert {round(wait, 6) for wait in waits} <= {6.0, 5.0}


def test_paused_trials_go_on_from_their_checkpoints() -> None:
    watched = watch(definition(trials=12, scheduler={"type": "asha-promotion"}), Falling(), Conditions(save_s=5.0))
    resumed = [fact for _, fact in watched.of(f.AttemptPlaced) if fact.checkpoint is not None]
    assert resumed
    assert watched.outcome.states["completed"] >= 1
    # Nothing is trained twice: the levels reported are those that were reached.
    assert watched.outcome.results == watched.outcome.compute_s - 5.0 * len(watched.of(f.CheckpointSaved))


def test_programs_that_crash_have_failed_and_are_tried_again_as_often_as_allowed() -> None:
    watched = watch(definition(trials=12, retries=1), Falling(crashes_at=3))
    states = watched.outcome.states
    assert states["failed"] + states["completed"] == 12
    ends = [fact for _, fact in watched.of(f.AttemptEnded) if fact.ending.error]
    assert len(ends) == 2 * states["failed"]
    assert {fact.ending.error for fact in ends} == {"shapes differ"}


def test_a_limit_of_time_is_one_of_virtual_time() -> None:
    watched = watch(definition(trials=1000, stop={"time": 33.5}), Falling())
    assert watched.outcome.reason == "the time limit is reached"
    assert watched.outcome.time_s == 33.5


def test_one_that_cannot_go_on_is_told_of() -> None:
    with pytest.raises(SimulationStuck, match="digits cannot go on"):
        watch(definition(searcher={"type": "mute"}), Falling(), registry=MUTE)


def test_machines_that_never_last_as_long_as_a_trial_are_told_of() -> None:
    with pytest.raises(SimulationStuck, match="no trial ended: trials take longer than machines last"):
        watch(definition(), Falling(level_s=100.0), Conditions(interruptions_per_hour=3600.0))


class Mute:
    """A searcher that always waits."""

    @staticmethod
    def suggest(trial: int) -> NoConfig:
        return NoConfig.WAIT


class _Mute(Registry):
    def make_searcher(self, name: str, options: object, **about: object) -> Mute:  # type: ignore[override]
        return Mute()

    def searcher_design(self, name: str, options: object, *, space: Space) -> None:  # type: ignore[override]
        return None


MUTE = _Mute({}, {"fifo": "clustertune.search.schedulers.fifo:Fifo"})


def test_a_slow_searcher_answers_after_its_time_and_its_proposals_are_used() -> None:
    wanted = definition(trials=12, searcher={"type": "slow"})
    quick = watch(wanted, Falling(), Conditions(suggest_s=0.05), SLOW)
    sources = [fact.source for _, fact in quick.of(f.TrialCreated)]
    assert sources[:2] == ["design", "design"]
    assert "" in sources[2:]
    late = watch(wanted, Falling(), Conditions(suggest_s=1e6), SLOW)
    assert [fact.source for _, fact in late.of(f.TrialCreated)][2:] == ["fill-in"] * 10
    assert quick.outcome.value is not None
    assert late.outcome.value is not None
    assert quick.outcome.value < late.outcome.value


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), trials=st.integers(1, 40))
def test_asha_with_one_slot_decides_as_asha_does_alone(seed: int, trials: int) -> None:
    space = UNIT_SPACE
    task = Curves(space=space, number=seed % 7, max_resource=27, metric="loss")
    choice = {"scheduler": {"type": "asha"}, "resource": {"name": "epoch", "max": 27}, "seed": seed, "trials": trials}
    watched = watch(definition(**choice), task)
    found = [(x.trial, x.resource, x.decision) for _, x in watched.of(f.RungReached)]
    assert found == _worked_out(task, seed, trials)


def _worked_out(task: Curves, seed: int, trials: int) -> list[tuple[int, int, str]]:
    """One trial after the other, each asked of Asha at its rungs until it is stopped."""
    registry = Registry.default()
    asha = registry.make_scheduler("asha", {}, space=task.space, min_resource=1, max_resource=27, seed=seed)
    searcher = registry.make_searcher("random", {}, space=task.space, seed=seed)
    decisions = []
    for trial in range(trials):
        config = searcher.suggest(trial)
        assert not isinstance(config, NoConfig)
        for resource, _, metrics in task.curve(config, seed):
            if resource != asha.target(trial):
                continue
            decision = asha.on_report(trial, resource, metrics["loss"])
            assert isinstance(decision, Decision)
            decisions.append((trial, resource, decision.value))
            if decision is Decision.STOP:
                break
        asha.on_end(trial, TrialState.STOPPED)
    return decisions
