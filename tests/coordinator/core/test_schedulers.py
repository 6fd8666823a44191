"""Every scheduler with the real core: an experiment ends, and each trial once, whatever happens on the way."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.lineage import schedule
from clustertune.model.trial import Config, EndReason, ExperimentState, TrialState
from tests.coordinator.core.driving import drive
from tests.coordinator.core.test_replay import OPTIONS, chosen
from tests.coordinator.core.world import World


def loss(config: Config, level: int) -> float:
    """The best configuration is lr = 0; more training helps all of them."""
    return float(config["lr"]) + 1 / level


def submitted(scheduler: dict[str, Any], trials: int = 8, top: int = 9, slots: int = 2, **changes: Any) -> World:
    world = World()
    levels = {"name": "epoch", "min": 1, "max": top}
    world.submit(trials=trials, scheduler=scheduler, resource=levels, seed=1, retries=0, **changes)
    world.join(slots=slots)
    return world


def ends(world: World) -> Counter[int]:
    ended = (fact for _, fact in world.journal if isinstance(fact, f.AttemptEnded | f.TrialMoved) and fact.state.ended)
    return Counter(fact.trial for fact in ended)


def reached(world: World) -> Counter[int]:
    """How many trials got how far."""
    return Counter(trial.resource or 0 for trial in world.experiment().trials)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_with_failures_a_lost_machine_and_a_restart_every_trial_ends_once(name: str, seed: int) -> None:
    world = submitted(chosen(name), slots=3)
    fails = {(seed % 8, 1 + seed % 4), ((seed + 3) % 8, 2)}
    world = drive(world, loss, slots=3, seed=seed, fails=fails, lost_at=10 + 7 * seed, restart_at=20 + 5 * seed)
    experiment = world.experiment()
    assert experiment.state is (ExperimentState.FAILED if experiment.best is None else ExperimentState.COMPLETED)
    assert experiment.best is not None or name == "population-based-replay"  # its one trial may fail
    assert all(trial.state.ended for trial in experiment.trials)
    assert ends(world) == Counter(range(len(experiment.trials)))


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("trials", range(1, 18))
def test_however_many_trials_there_are_to_be_all_end(name: str, trials: int) -> None:
    world = drive(submitted(chosen(name), trials=trials, slots=4), loss, slots=4, seed=trials)
    assert ends(world) == Counter(range(len(world.experiment().trials)))


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"asha-promotion", "swapping"}))
def test_one_trial_at_least_comes_to_the_top(name: str) -> None:
    assert reached(drive(submitted(chosen(name)), loss))[9] >= 1


def test_a_round_of_successive_halving_is_a_third_at_each_rung() -> None:
    # n = 9: nine reach level 1, three level 3, one level 9.
    world = drive(submitted({"type": "successive-halving"}, trials=9), loss)
    assert reached(world) == {1: 6, 3: 2, 9: 1}
    best_three = sorted(range(9), key=lambda trial: float(world.trial(trial).config["lr"]))[:3]
    assert {trial.number for trial in world.experiment().trials if (trial.resource or 0) >= 3} == set(best_three)


def test_a_round_that_gets_no_more_trials_is_decided_among_those_that_are_there() -> None:
    # Of nine places six are filled: floor(6 / 3) = 2 go on, and floor(6 / 9), at least one, to the top.
    world = drive(submitted({"type": "successive-halving"}, trials=6), loss)
    assert reached(world) == {1: 4, 3: 1, 9: 1}


def test_so_is_one_whose_searcher_has_nothing_more_to_propose() -> None:
    space = {"lr": {"type": "choice", "values": [0.1, 0.2, 0.3, 0.4]}}
    world = drive(submitted({"type": "successive-halving"}, trials=90, space=space), loss)
    assert world.experiment().exhausted
    assert reached(world) == {1: 3, 9: 1}


def test_the_second_round_begins_where_slots_are_free_before_the_first_is_over() -> None:
    world = submitted({"type": "successive-halving", "round_size": 3}, trials=6, slots=4)
    assert sorted(world.experiment().active) == [0, 1, 2, 3]
    world = drive(world, loss, slots=4)
    assert reached(world) == {1: 4, 9: 2}


def test_those_who_cannot_be_among_the_best_are_not_paused() -> None:
    world = submitted({"type": "successive-halving", "round_size": 3}, trials=3, slots=3)
    for trial, error in enumerate((0.1, 0.2)):
        world.ran(trial)
        world.report(trial, 1, error=error)
    assert world.stops() == [("digits:0:1", "paused"), ("digits:1:1", "stopped")]


def test_hyperband_runs_its_brackets_as_the_papers_table_has_them() -> None:
    # R = 9, eta = 3: 9, 3, 1 trials at 1, 3, 9; ceil(3 * 3 / 2) = 5, 1 at 3, 9; 3 at 9.
    world = drive(submitted({"type": "hyperband"}, trials=17), loss)
    assert [trial.resource for trial in world.experiment().trials][14:] == [9, 9, 9]
    assert reached(world) == {1: 6, 3: 2 + 4, 9: 1 + 1 + 3}


def test_a_population_keeps_its_size_and_all_its_members_arrive() -> None:
    world = submitted({"type": "population-based", "population": 6, "interval": 1}, trials=6, slots=6)
    sizes = set()
    experiment = world.experiment()
    original = world.send

    def watched(event: Any, after_s: float = 0.001) -> list[c.Command]:
        told = original(event, after_s)
        leaving = sum(trial.cut and not trial.state.ended for trial in experiment.trials)
        arrived = experiment.counts[TrialState.COMPLETED]
        alive = sum(not trial.state.ended for trial in experiment.trials)
        sizes.add(alive - leaving + arrived)
        return told

    world.send = watched  # type: ignore[method-assign]
    drive(world, loss, slots=6)
    assert sizes == {6}
    assert experiment.clones > 0
    assert experiment.counts[TrialState.COMPLETED] == 6
    assert len(experiment.trials) - experiment.clones == 6


def test_members_that_fail_are_replaced_while_there_are_trials_and_what_is_left_over_is_not_waited_for() -> None:
    world = submitted({"type": "population-based", "population": 4, "interval": 2}, trials=64, slots=4)
    world = drive(world, loss, slots=4, fails={(0, 1), (1, 3)})
    experiment = world.experiment()
    assert len(experiment.trials) - experiment.clones == 6
    assert (experiment.counts[TrialState.FAILED], experiment.counts[TrialState.COMPLETED]) == (2, 4)
    assert experiment.reason == "all trials ended"


@pytest.mark.parametrize("slots", [1, 3, 6])
@pytest.mark.parametrize("seed", range(4))
def test_a_population_arrives_also_where_training_makes_everybody_worse(slots: int, seed: int) -> None:
    options = {"type": "population-based", "population": 6, "interval": 1, "quantile": 0.5}
    world = submitted(options, trials=6, slots=slots)
    world = drive(world, lambda config, level: float(config["lr"]) + level, slots=slots, seed=seed, restart_at=30)
    assert world.experiment().counts[TrialState.COMPLETED] == 6


def test_with_fewer_slots_than_members_nobody_runs_far_ahead() -> None:
    world = submitted({"type": "population-based", "population": 4, "interval": 1}, trials=4, slots=1)
    furthest = 0
    for _ in range(40):
        [number] = world.experiment().active
        if world.trial(number).current.stop:  # type: ignore[union-attr]
            world.save(number, world.trial(number).resource or 0, f"{number}-{world.trial(number).resource}")
            world.end(number, EndReason.PAUSED if world.trial(number).parked else EndReason.STOPPED)
            continue
        world.report(number, (world.trial(number).resource or 0) + 1, error=0.5 + number / 100)
        alive = [trial.resource or 0 for trial in world.experiment().trials if not trial.cut and trial.parent is None]
        furthest = max(furthest, max(alive) - min(alive))
        if max(alive) >= 8:
            break
    assert furthest <= 2


def test_a_schedule_that_was_learned_is_replayed_by_one_trial_that_clones_itself() -> None:
    learned = [
        {"resource_from": 0, "config": {"lr": 0.5}},
        {"resource_from": 3, "config": {"lr": 0.25}},
        {"resource_from": 4, "config": {"lr": 0.125}},
    ]
    text = json.dumps({"schedule": learned})
    world = submitted({"type": "population-based-replay", "schedule": text}, trials=64)
    world = drive(world, loss, restart_at=9)
    assert [trial.config for trial in world.experiment().trials] == [part["config"] for part in learned]
    assert [trial.state for trial in world.experiment().trials] == [
        TrialState.STOPPED, TrialState.STOPPED, TrialState.COMPLETED,
    ]  # fmt: skip
    levels = [(row.trial, row.resource) for row in world.reports]
    assert levels == [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (2, 6), (2, 7), (2, 8), (2, 9)]
    assert [(part.resource_from, part.config) for part in schedule(world.experiment())] == [
        (part["resource_from"], part["config"]) for part in learned
    ]


def test_the_schedule_of_a_population_leads_from_the_beginning_to_the_best_value() -> None:
    world = submitted({"type": "population-based", "population": 6, "interval": 1}, trials=6, slots=6)
    world = drive(world, loss, slots=6)
    experiment, learned = world.experiment(), schedule(world.experiment())
    assert learned[0].resource_from == 0
    assert (learned[-1].trial, learned[-1].resource_to) == (experiment.best, experiment.best_resource)
    assert [part.resource_from for part in learned[1:]] == [part.resource_to for part in learned[:-1]]
    assert all(experiment.trials[part.trial].config == part.config for part in learned)
    assert schedule(drive(submitted({"type": "asha"}), loss).experiment()) == ()
