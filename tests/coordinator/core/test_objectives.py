"""Several objectives and metric constraints in the core: front, compromise, and what a restart knows of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.ahead import Ahead, tell
from clustertune.coordinator.core.objectives import Objectives, excess
from clustertune.coordinator.core.snapshots import best_trial, front, row, snapshot
from clustertune.coordinator.replay import Replay
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.task import Step
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.definition.sections import MetricConstraint
from clustertune.model.errors import Mistake
from clustertune.model.front import Measured
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.model.trial import Config, EndReason, ExperimentState, TrialState
from clustertune.search.registry import Registry
from tests.coordinator.core.world import World
from tests.coordinator.simulation.stand_ins import definition, watch

TWO: dict[str, Any] = {"objective": None, "objectives": [{"metric": "error"}, {"metric": "speed", "goal": "maximize"}]}
SMALL: dict[str, Any] = {"metric_constraints": [{"metric": "memory", "at_most": 8}]}


def world(**changes: Any) -> World:
    world = World()
    world.submit(**{"trials": 20, **changes})
    world.join(slots=8)
    for trial in range(min(8, len(world.experiment().trials))):
        world.ran(trial)
    return world


def said(world: World) -> list[str]:
    return [str(line.event().text) for line in world.experiment().events if line.kind == "best"]


def test_the_front_holds_who_is_best_in_something_and_the_compromise_is_the_best() -> None:
    here = world(**TWO)
    for trial, (error, speed) in enumerate([(0.1, 1.0), (0.5, 9.0), (0.2, 7.0), (0.6, 8.0), (0.1, 1.0)]):
        here.report(trial, 1, error=error, speed=speed)
    experiment = here.experiment()
    assert experiment.front == (0, 1, 2)
    assert experiment.best == 2
    points = front(experiment)
    assert [(point.trial, dict(point.values)) for point in points] == [
        (0, {"error": 0.1, "speed": 1.0}), (2, {"error": 0.2, "speed": 7.0}), (1, {"error": 0.5, "speed": 9.0}),
    ]  # fmt: skip
    here.end(2)
    assert said(here) == ["trial 2 is on the front of 3 trials: error 0.2, speed 7 at step 1"]


def test_a_trial_stands_for_its_last_finite_report_and_may_leave_the_front() -> None:
    here = world(**TWO)
    here.report(0, 1, error=0.1, speed=5.0)
    here.report(1, 1, error=0.2, speed=4.0)
    assert here.experiment().front == (0,)
    here.report(0, 2, error=0.3, speed=5.0)
    assert here.experiment().front == (0, 1)
    here.report(1, 2, error=math.nan, speed=9.0)
    assert here.trial(1).values == {"error": 0.2, "speed": 4.0}
    assert "error is not a number at step 2" in here.trial(1).notices
    assert row(here.experiment(), here.trial(1), here.now).front


def test_a_report_without_one_of_the_metrics_counts_as_one_without_the_objective() -> None:
    here = world(**TWO, **SMALL)
    here.report(0, 1, error=0.1, speed=5.0)
    assert here.trial(0).notices == ("a report holds no 'memory', only error, speed",)
    here.end(0)
    assert here.trial(0).state is TrialState.FAILED
    assert here.trial(0).error == "ended without a report that holds 'error', 'speed' and 'memory' together"
    with pytest.raises(Mistake, match="has reported error, speed and memory together, all finite"):
        best_trial(here.core, here.experiment())


@pytest.mark.parametrize("take", ["best", "last"])
def test_who_breaks_a_constraint_is_not_the_best_while_another_keeps_them_all(take: str) -> None:
    here = world(objective={"metric": "error", "take": take}, **SMALL)
    here.report(0, 1, error=0.1, memory=12.0)
    assert here.experiment().best == 0
    assert said(here) == ["trial 0 is nearest to the metric constraints: memory 12 is not at most 8 at step 1"]
    here.report(1, 1, error=0.0, memory=16.0)
    assert here.experiment().best == 0
    here.report(2, 1, error=0.9, memory=8.0)
    assert (here.experiment().best, here.experiment().best_violation) == (2, 0.0)
    here.report(3, 1, error=0.5, memory=2.0)
    assert here.experiment().best == 3
    here.report(3, 2, error=0.1, memory=9.0)
    assert here.experiment().best == (3 if take == "best" else 2)


def test_a_target_is_reached_only_by_who_keeps_the_constraints() -> None:
    here = world(**SMALL, stop={"target": 0.2})
    here.report(0, 1, error=0.1, memory=12.0)
    assert here.experiment().state is ExperimentState.RUNNING
    here.report(1, 1, error=0.2, memory=1.0)
    assert here.experiment().reason == "the target 0.2 is reached"


def test_where_none_keeps_the_constraints_there_is_no_front_and_the_end_says_so() -> None:
    here = world(**TWO, **SMALL, trials=2)
    for trial, memory in enumerate((20.0, 10.0)):
        here.report(trial, 1, error=0.1, speed=1.0, memory=memory)
        here.end(trial)
    shown = snapshot(here.core, here.experiment(), cluster="", now=here.now, folder="")
    assert shown.best is not None
    assert (shown.front, shown.best.trial, shown.best.broken) == (0, 1, ("memory 10 is not at most 8",))
    assert shown.reason == "all trials ended; none of them keeps all metric constraints"


def test_trials_that_do_not_change_the_front_make_it_flat() -> None:
    here = world(**TWO, stop={"flat": 2})
    here.report(0, 1, error=0.1, speed=5.0)
    for trial, speed in ((1, 1.0), (2, 6.0), (3, 2.0)):
        here.report(trial, 1, error=0.2, speed=speed)
        here.end(trial)
    assert here.experiment().state is ExperimentState.RUNNING
    here.report(4, 1, error=0.9, speed=1.0)
    here.end(4)
    assert here.experiment().reason == "2 trials ended, none of them on the front"


def test_short_visits_to_the_front_neither_keep_an_experiment_alive_nor_are_told() -> None:
    """Time grows with the level, so that at its first report every trial is ahead in that."""
    here = world(**TWO, stop={"flat": 3})
    here.report(0, 1, error=0.1, speed=5.0)
    here.end(0)
    for trial in (1, 2, 3):
        assert here.experiment().state is ExperimentState.RUNNING
        here.report(trial, 1, error=0.9, speed=9.0)
        assert trial in here.experiment().front
        here.report(trial, 2, error=0.8, speed=4.0)
        assert here.experiment().front == (0,)
        here.end(trial)
    assert here.experiment().reason == "3 trials ended, none of them on the front"
    assert [line.split(" is ")[0] for line in said(here)] == ["trial 0"]


def test_a_trial_that_is_paused_on_the_front_has_changed_it() -> None:
    here = world(**TWO, stop={"flat": 2}, scheduler={"type": "asha-promotion"}, resource={"name": "step", "max": 9})
    here.report(0, 9, error=0.1, speed=5.0)
    here.end(0)
    here.report(1, 9, error=0.2, speed=1.0)
    here.end(1)
    here.report(2, 1, error=0.3, speed=9.0)
    here.end(2, EndReason.PAUSED)
    assert here.trial(2).parked
    here.report(3, 9, error=0.2, speed=2.0)
    here.end(3)
    assert (here.experiment().state, here.experiment().ended_since_best) == (ExperimentState.RUNNING, 1)


def test_checkpoints_of_every_trial_on_the_front_are_kept_and_go_when_it_leaves() -> None:
    here = world(**TWO)
    for trial, (error, speed) in enumerate([(0.1, 1.0), (0.5, 9.0), (0.6, 2.0)]):
        here.report(trial, 1, error=error, speed=speed)
        here.save(trial, 1)
        here.end(trial)
    assert [bool(here.trial(trial).kept) for trial in range(3)] == [True, True, False]
    here.report(3, 1, error=0.05, speed=2.0)
    assert [bool(here.trial(trial).kept) for trial in range(3)] == [False, True, False]


def test_bounds_are_passed_in_units_of_themselves() -> None:
    most, least = MetricConstraint(metric="m", at_most=8.0), MetricConstraint(metric="m", at_least=0.9, at_most=1.0)
    assert [excess(most, value) for value in (7.0, 8.0, 10.0)] == [0.0, 0.0, 0.25]
    assert excess(least, 0.45) == pytest.approx(0.5)
    assert excess(MetricConstraint(metric="m", at_most=0.0), 3.0) == 3.0
    assert math.isnan(excess(most, math.nan))


def test_one_objective_without_constraints_is_worth_its_loss_as_ever() -> None:
    assert Objectives.of(definition()) is None
    here = world(scheduler={"type": "asha"}, resource={"name": "epoch", "max": 9})
    here.report(0, 1, error=0.3)
    (reached,) = [fact for _, fact in here.journal if isinstance(fact, f.RungReached)]
    assert (reached.loss, reached.measured) == (0.3, None)


def test_a_restart_in_the_middle_changes_nothing() -> None:
    """The same reports, with and without a coordinator that was killed after each of them."""
    asha = {
        "scheduler": {"type": "asha", "reduction_factor": 2},
        "resource": {"name": "epoch", "max": 9},
        **TWO,
        **SMALL,
    }
    straight, broken = world(**asha), world(**asha)
    reports = [
        (t, level, 0.1 * ((t * 7 + level * 3) % 10), float((t * 5 + level) % 7))
        for level in (1, 2, 3)
        for t in range(8)
    ]
    for trial, level, error, speed in reports:
        for here in (straight, broken):
            current = here.trial(trial).current
            if current is not None and not current.stop:
                here.report(trial, level, error=error, speed=speed, memory=3.0 + speed)
        broken = broken.restarted()
        broken.join(slots=8)
        one, other = straight.experiment(), broken.experiment()
        assert (one.front, one.best, one.best_loss) == (other.front, other.best, other.best_loss)
        assert [t.measured for t in one.trials] == [t.measured for t in other.trials]
    assert _decisions(straight) == _decisions(broken)
    assert len(_decisions(straight)) > 10


def _decisions(world: World) -> list[tuple[int, int, float, str]]:
    return [(x.trial, x.resource, x.loss, x.decision) for _, x in world.journal if isinstance(x, f.RungReached)]


@dataclass(frozen=True)
class Ends:
    """Two ends that pull apart, nearer with every level; memory that small x keep low."""

    space: Space = field(default_factory=lambda: Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}))

    def curve(self, config: Config, seed: int) -> Iterator[Step]:
        x, y = float(config["x"]), float(config["y"])
        for level in range(1, 10):
            off = (y - 0.5) ** 2 + 1.0 / level
            yield level, 1.0, {"left": x**2 + off, "right": (1 - x) ** 2 + off, "memory": 10.0 * x}


BOTH = {
    "objective": None, "objectives": [{"metric": "left"}, {"metric": "right"}], "trials": 24,
    "space": {name: {"type": "float", "low": 0.0, "high": 1.0} for name in "xy"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("searcher", "scheduler"),
    [("random", "asha"), ("evolution", "asha-promotion"), ("random", "median-stopping"), ("random", "hyperband")],
)
def test_the_whole_core_comes_to_a_front_and_every_decision_can_be_replayed(searcher: str, scheduler: str) -> None:
    wanted = definition(**BOTH, **SMALL, searcher={"type": searcher}, scheduler={"type": scheduler})
    watched = watch(wanted, Ends(), Conditions(machines=(Machine(slots=4),)), Registry.default())
    assert watched.outcome.state is ExperimentState.COMPLETED
    last = watched.of(f.Improved)[-1][1]
    assert len(last.front) >= 3
    assert last.trial in last.front
    assert last.violation == 0.0
    facts = [(now, f.read(*f.write(fact))) for now, fact in watched.facts]
    checked = list(Replay(Registry.default()).run(facts, "digits"))
    assert [one for one in checked if not one.equal] == []
    assert len([one for one in checked if one.kind == "standing"]) >= 24


def test_facts_of_before_there_were_several_objectives_are_read_as_they_were_meant() -> None:
    improved = f.read("Improved", 1, '{"experiment":"digits","trial":3,"resource":1,"loss":0.5}')
    assert improved == f.Improved(experiment="digits", trial=3, resource=1, loss=0.5)
    old = dict(ExperimentDefinition.from_plain(definition().to_plain()).to_plain())
    for added in ("objectives", "metric_constraints"):
        del old[added]
    assert ExperimentDefinition.from_plain(old).objective.metric == "loss"


def test_a_trial_that_failed_is_not_on_the_front_for_want_of_a_value() -> None:
    here = world(**TWO)
    here.end(0, EndReason.RAISED, "boom")
    here.report(1, 1, error=0.5, speed=1.0)
    assert here.experiment().front == (1,)


@pytest.mark.parametrize("knows_all", [True, False])
def test_a_slow_searcher_is_told_all_losses_or_if_it_knows_one_alone_the_standing(knows_all: bool) -> None:
    heard: list[tuple[Any, ...]] = []
    methods: dict[str, Any] = {
        "created": None,
        "forget": None,
        "observe": staticmethod(lambda *told: heard.append(told)),
    }
    if knows_all:
        methods["observe_all"] = staticmethod(lambda *told: heard.append(told))
    ahead = Ahead(Registry.default().make_stand_in(space=Ends().space, seed=0), design=1, initial=0)
    ahead.observe_all(3, 9, 0.25, Measured(losses=(1.0, 2.0), violation=0.5))
    ahead.observe_all(3, 9, 0.25, Measured(losses=(1.0, 2.0), violation=0.5))  # its end says nothing new
    tell(type("Slow", (), methods)(), json.loads(json.dumps(ahead.told)))
    assert heard == [(3, 9, (1.0, 2.0), 0.5) if knows_all else (3, 9, 0.25)]
