"""What a new experiment takes over from earlier ones, and keeps whatever becomes of them."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest

from clustertune.coordinator.core import commands as c
from clustertune.coordinator.core import events as e
from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.ahead import Ahead, tell
from clustertune.coordinator.core.warm_start import MOST_TRIALS
from clustertune.coordinator.replay import Replay
from clustertune.model.errors import Mistake
from clustertune.model.trial import EndReason
from clustertune.search.contracts import EarlierExperiment
from tests.coordinator.core.world import REGISTRY, World
from tests.coordinator.house import house

TWO = {"lr": {"type": "float", "low": 0.0, "high": 1.0}, "solver": {"type": "choice", "values": ["sgd", "adam"]}}


def earlier(world: World, name: str, losses: list[float | None], **changes: Any) -> None:
    """An experiment whose trials came to these losses, at level 1, 2, 3, … of a resource; None for one that failed."""
    initial = [{"lr": 0.37 * number % 1.0} for number in range(len(losses))]
    world.submit(name, trials=len(losses), initial=initial, **changes)
    world.join(slots=1)
    for number, loss in enumerate(losses):
        world.ran(number, name)
        if loss is None:
            world.end(number, EndReason.RAISED, f"boom {chr(97 + number) * 3}", name)
        else:
            world.report(number, number + 1, name, error=loss)
            world.end(number, name=name)


def created(world: World, name: str) -> f.ExperimentCreated:
    return next(x for _, x in world.journal if isinstance(x, f.ExperimentCreated) and x.experiment == name)


def said(world: World, name: str) -> str:
    (text,) = [line.text for line in world.experiment(name).events if line.text.startswith("warm start")]
    return text


@pytest.fixture
def world() -> World:
    world = World()
    earlier(world, "one", [0.5, None, 0.1, math.nan, 0.3])
    return world


def test_configurations_losses_and_shares_of_the_highest_level_come_over(world: World) -> None:
    world.submit("new", warm_start=["one"], trials=30)
    (taken,) = created(world, "new").earlier
    assert taken.name == "one"
    assert [(trial.loss, trial.share) for trial in taken.trials] == [
        (0.5, 0.2), (None, 0.0), (0.1, 0.6), (None, 0.8), (0.3, 1.0),
    ]  # fmt: skip
    assert [trial.config for trial in taken.trials] == [world.trial(n, "one").config for n in range(5)]


def test_the_same_metric_is_read_with_the_goal_of_now_and_another_with_its_own() -> None:
    world = World()
    earlier(world, "one", [0.5, 0.9], objective={"metric": "error", "goal": "maximize"})
    world.submit("new", warm_start=["one"], trials=10)
    assert [trial.loss for trial in created(world, "new").earlier[0].trials] == [0.5, 0.9]
    assert created(world, "new").first == (world.trial(0, "one").config,)
    assert "the goal there was to maximize error" in said(world, "new")
    world.submit("other", warm_start=["one"], objective={"metric": "loss"})
    assert [trial.loss for trial in created(world, "other").earlier[0].trials] == [-0.5, -0.9]


def test_of_several_objectives_there_the_one_that_is_wanted_here_counts() -> None:
    world = World()
    several = {"objective": None, "objectives": [{"metric": "size"}, {"metric": "accuracy", "goal": "maximize"}]}
    world.submit("one", trials=2, initial=[{"lr": 0.1}, {"lr": 0.8}], **several)
    world.join(slots=1)
    for number, (size, accuracy) in enumerate([(5.0, 0.7), (9.0, 0.9)]):
        world.ran(number, "one")
        world.report(number, 1, "one", size=size, accuracy=accuracy)
        world.end(number, name="one")
    world.submit("new", warm_start=["one"], trials=10, objective={"metric": "accuracy", "goal": "maximize"})
    assert [trial.loss for trial in created(world, "new").earlier[0].trials] == [-0.7, -0.9]
    assert created(world, "new").first == ({"lr": 0.8},)
    assert "stands for" not in said(world, "new")


@pytest.mark.parametrize("constrained", [True, False])
def test_who_broke_constraints_there_is_worth_nothing_where_there_are_such_here(constrained: bool) -> None:
    world = World()
    limits = {"metric_constraints": [{"metric": "size", "at_most": 6}]}
    world.submit("one", trials=2, initial=[{"lr": 0.1}, {"lr": 0.8}], **limits)
    world.join(slots=1)
    for number, (size, error) in enumerate([(5.0, 0.7), (9.0, 0.2)]):
        world.ran(number, "one")
        world.report(number, 1, "one", size=size, error=error)
        world.end(number, name="one")
    world.submit("new", warm_start=["one"], trials=10, **(limits if constrained else {}))
    losses = [trial.loss for trial in created(world, "new").earlier[0].trials]
    assert losses == [0.7, None if constrained else 0.2]


@pytest.mark.parametrize("searcher", ["random", "counting"])
def test_the_best_unlike_ones_are_tried_right_after_the_users_own(searcher: str, world: World) -> None:
    world.submit("new", warm_start=["one"], trials=40, initial=[{"lr": 0.95}], searcher={"type": searcher})
    world.join(slots=4, epoch=world.core.state.instances["local-0"].epoch)
    trials = world.experiment("new").trials
    best = [world.trial(n, "one").config for n in (2, 4)]
    assert [trial.config for trial in trials[:3]] == [{"lr": 0.95}, *best]
    assert [trial.source for trial in trials[1:4]] == ["earlier", "earlier", "" if searcher == "random" else "design"]
    assert trials[1].notices == ("among the best of an earlier experiment",)


@pytest.mark.parametrize(("trials", "most"), [(9, 0), (10, 1), (39, 1), (59, 2), (500, 5)])
def test_one_for_each_twenty_trials_and_no_more_than_five(trials: int, most: int) -> None:
    world = World()
    earlier(world, "one", [n / 10 for n in range(60)], searcher={"type": "random"})
    world.submit("new", warm_start=["one"], trials=trials)
    first = created(world, "new").first
    assert len(first) == most
    assert all(abs(float(a["lr"]) - float(b["lr"])) >= 0.1 for a in first for b in first if a is not b)


def test_what_the_user_begins_with_is_not_tried_twice(world: World) -> None:
    best = float(world.trial(2, "one").config["lr"])
    world.submit("new", warm_start=["one"], trials=40, initial=[{"lr": best + 0.01}])
    assert list(created(world, "new").first) == [world.trial(n, "one").config for n in (4, 0)]


def test_what_the_user_leaves_open_makes_it_no_other_configuration(world: World) -> None:
    best = float(world.trial(2, "one").config["lr"])
    space = {"lr": {"type": "float", "low": 0.0, "high": 1.0}, "c": {"type": "constant", "value": 3}}
    world.submit("new", warm_start=["one"], trials=20, space=space, initial=[{"lr": best}])
    assert [config["lr"] for config in created(world, "new").first] == [world.trial(4, "one").config["lr"]]


def test_several_experiments_take_turns(world: World) -> None:
    earlier(world, "other", [5.0, 4.0, 6.0])
    world.submit("new", warm_start=["one", "other"], trials=60)
    best = [world.trial(2, "one"), world.trial(1, "other"), world.trial(4, "one")]
    assert list(created(world, "new").first) == [trial.config for trial in best]


def test_of_many_trials_the_best_half_is_taken_and_chance_decides_about_the_rest() -> None:
    world = World()
    count = 2 * MOST_TRIALS
    earlier(world, "one", [float((7 * n) % count) for n in range(count)])
    world.submit("new", warm_start=["one"])
    losses = sorted(trial.loss for trial in created(world, "new").earlier[0].trials if trial.loss is not None)
    assert len(losses) == MOST_TRIALS
    assert losses[: MOST_TRIALS // 2] == [float(n) for n in range(MOST_TRIALS // 2)]
    assert losses[-1] > 0.9 * count


def test_a_space_that_grew_and_shrank_fills_in_and_says_what_was_lost(world: World) -> None:
    lrs = [float(world.trial(n, "one").config["lr"]) for n in (0, 2, 4)]
    middle = sorted(lrs)[1]
    narrow = {**TWO, "lr": {"type": "float", "low": 0.0, "high": middle}}
    world.submit("new", warm_start=["one"], space=narrow, trials=50, objective={"metric": "loss"})
    fact = created(world, "new")
    within = [n for n in (2, 4, 0) if float(world.trial(n, "one").config["lr"]) <= middle]
    assert [config["lr"] for config in fact.first] == [world.trial(n, "one").config["lr"] for n in within]
    assert all(config["solver"] in ("sgd", "adam") for config in fact.first)
    assert max(float(trial.config["lr"]) for trial in fact.earlier[0].trials) == middle
    assert "5 of 5 trials of one are at hand" in said(world, "new")
    assert (
        "had lr out of range, their error stands for loss; the best 2 unlike each other are tried again first"
        in said(world, "new")
    )


def test_a_space_with_nothing_in_common_takes_nothing_and_says_so(world: World) -> None:
    world.submit("new", warm_start=["one"], space={"depth": {"type": "int", "low": 1, "high": 4}}, trials=50)
    assert created(world, "new").earlier == (EarlierExperiment(name="one", trials=()),)
    assert said(world, "new") == (
        "warm start: 0 of 5 trials of one are at hand, 5 have no parameter of this space; none is tried again"
    )


def test_one_that_still_runs_gives_what_it_knows_by_now() -> None:
    world = World()
    world.submit("one", trials=3)
    world.join(slots=2)
    world.ran(0, "one")
    world.report(0, 1, "one", error=0.5)
    world.submit("new", warm_start=["one"], trials=10)
    assert [trial.loss for trial in created(world, "new").earlier[0].trials] == [0.5]
    assert len(created(world, "new").first) == 1


def test_a_slow_searcher_is_told_before_anything_else_as_json_or_not(world: World) -> None:
    world.submit("new", warm_start=["one"], trials=20, searcher={"type": "counting"})
    searcher = world.experiment("new").searcher
    assert isinstance(searcher, Ahead)
    assert searcher.told[0][0] == "earlier"
    heard: list[Any] = []

    class Listener:
        earlier, created = heard.extend, heard.append

        def observe(self, trial: int, resource: int, loss: float) -> None: ...
        def forget(self, trial: int) -> None: ...

    listener: Any = Listener()
    tell(listener, searcher.told[:1])
    assert tuple(heard) == created(world, "new").earlier


def test_one_that_does_not_care_is_not_troubled(world: World) -> None:
    world.submit("new", warm_start=["one"], trials=20, searcher={"type": "counting"})
    searcher = world.experiment("new").searcher
    assert isinstance(searcher, Ahead)
    options: Any = {"design": 2}
    made: Any = REGISTRY.make_searcher("counting", options, space=world.experiment("new").definition.space, seed=0)
    tell(made, searcher.told[:1])
    assert made.propose(1) == [{"lr": 0.0}]


@pytest.mark.parametrize("searcher", ["random", "counting"])
def test_after_a_restart_all_is_as_it_was_whatever_became_of_the_earlier_one(searcher: str, world: World) -> None:
    world.submit("new", warm_start=["one"], trials=40, searcher={"type": searcher})
    world.join(slots=1, epoch=world.core.state.instances["local-0"].epoch)
    world.ran(0, "new")
    alone = World(journal=[(now, x) for now, x in world.journal if getattr(x, "experiment", "new") == "new"])
    again = alone.restarted()
    before, after = world.experiment("new"), again.experiment("new")
    assert after.trials[0].config == before.trials[0].config
    assert getattr(after.searcher, "told", None) == getattr(before.searcher, "told", None)
    instance = again.core.state.instances["local-0"]
    again.join(slots=1, epoch=instance.epoch)
    again.end(0, name="new")
    world.end(0, name="new")
    assert [t.config for t in again.experiment("new").trials[:2]] == [t.config for t in world.experiment("new").trials]
    assert [t.source for t in again.experiment("new").trials] == ["earlier", "earlier"]


def test_replay_agrees(world: World) -> None:
    world.submit("new", warm_start=["one"], trials=30)
    world.join(slots=3, epoch=world.core.state.instances["local-0"].epoch)
    checked = list(Replay(REGISTRY).run(world.journal, "new"))
    assert [one.kind for one in checked] == ["start", "proposal"] * 3
    assert all(one.equal for one in checked)


def test_facts_of_a_version_that_knew_no_warm_start_are_read(world: World) -> None:
    kind, version, body = f.write(created(world, "one"))
    assert version == 4
    old = body.replace(',"earlier":[],"first":[],"packages":{},"snapshot":""', "")
    assert old != body
    assert f.read(kind, 1, old) == created(world, "one")


def test_a_name_that_is_not_known_is_told_of_with_the_nearest_before_anything_starts(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as at_home:
            await at_home.submit("digits")
            with pytest.raises(Mistake, match="no experiment called 'digit'; did you mean 'digits'"):
                await at_home.submit("new", warm_start=["digits", "digit"])
            assert list(at_home.coordinator.core.state.experiments) == ["digits"]
            assert await at_home.submit("new", warm_start=["digits"]) == "new"

    asyncio.run(check())


def test_suggestions_are_asked_for_with_the_past_in_front(world: World) -> None:
    world.submit("new", warm_start=["one"], trials=30, searcher={"type": "counting"})
    world.join(slots=2, epoch=world.core.state.instances["local-0"].epoch)
    world.send(e.Suggested(experiment="new", known=1, configs=()))
    world.ran(0, "new")
    world.ran(1, "new")
    world.report(0, 1, "new", error=0.5)
    world.end(0, name="new")
    asked = [command for command in world.of(c.Suggest) if command.count]
    assert [told[0] for told in asked[-1].told[: asked[-1].known]] == [
        "earlier",
        "created",
        "created",
        "observe",
        "created",
    ]
