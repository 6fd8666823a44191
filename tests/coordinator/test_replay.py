"""Decisions computed again from the journal: equal where nothing was touched, and told of where something was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.replay import Checked, Replay
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.model.errors import Mistake
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.search.contracts import Next, ResumeTrial, StartNew
from clustertune.search.registry import Registry
from clustertune.search.schedulers.asha_promotion import AshaPromotion
from tests.coordinator.core.wayward import Wayward, install
from tests.coordinator.core.world import REGISTRY, World
from tests.coordinator.simulation.stand_ins import definition, watch

STORMY = Conditions(
    machines=(Machine(slots=3), Machine(slots=2, speed=0.5)), interruptions_per_hour=200.0, return_s=4.0, seed=3
)
CURVES = Curves(space=Space({"x": Float(0.0, 1.0)}), max_resource=9, late=0.2, diverging=0.2)

_RANDOM = "clustertune.search.searchers.random:RandomSearch"


def journal(scheduler: str, searcher: str, **changes: Any) -> list[tuple[float, f.Fact]]:
    """As they are read back."""
    wanted = definition(scheduler={"type": scheduler}, searcher={"type": searcher}, **{"trials": 25, **changes})
    facts = watch(wanted, CURVES, STORMY, Registry.default()).facts
    return [(now, f.read(*f.write(fact))) for now, fact in facts]


def replayed(facts: list[tuple[float, f.Fact]]) -> list[Checked]:
    return list(Replay(Registry.default()).run(facts, "digits"))


def kinds(checked: list[Checked]) -> set[str]:
    return {one.kind for one in checked}


@pytest.mark.parametrize(
    ("scheduler", "searcher"),
    [
        ("fifo", "random"),
        ("asha", "sobol"),
        ("asha", "evolution"),
        ("asha-promotion", "random"),
        ("hyperband", "random"),
        ("population-based", "random"),
        ("asha", "bayesian"),
        ("asha-promotion", "multi-fidelity"),
    ],
)
def test_every_decision_of_an_untouched_journal_comes_out_again(scheduler: str, searcher: str) -> None:
    facts = journal(scheduler, searcher)
    checked = replayed(facts)
    assert [one for one in checked if not one.equal] == []
    assert kinds(checked) >= {"start", "proposal", "rung"}
    assert len([one for one in checked if one.kind == "proposal"]) >= 25
    begun = [fact for _, fact in facts if isinstance(fact, f.TrialCreated) and fact.parent is None]
    assert len([one for one in checked if one.kind == "start"]) == len(begun)


class _Square:
    """Two losses of two parameters; of the first, low levels foretell high ones, or nothing does."""

    space = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})

    def __init__(self, *, noise: bool) -> None:
        self._noise = noise

    def curve(self, config: Mapping[str, Any], seed: int) -> Iterator[tuple[int, float, Mapping[str, float]]]:
        generator = Random(f"{seed}/{sorted(config.items())}")
        for level in range(1, 10):
            error = generator.random() if self._noise else (config["x"] - 0.3) ** 2 + 1 / level
            yield level, generator.uniform(0.5, 1.5), {"error": error, "size": (config["y"] - 0.7) ** 2 + error / 9}


SQUARE = {name: {"type": "float", "low": 0.0, "high": 1.0} for name in ("x", "y")}


def test_proposals_that_came_too_late_because_many_stood_in_are_proved_too() -> None:
    wanted = definition(
        scheduler={"type": "asha"}, searcher={"type": "multi-fidelity"}, space=SQUARE, trials=200,
        objective={"metric": "error"}, seed=1,
    )  # fmt: skip
    many = Conditions(machines=(Machine(slots=32),), suggest_s=1.0)
    facts = watch(wanted, _Square(noise=True), many, Registry.default()).facts
    created = [fact for _, fact in facts if isinstance(fact, f.TrialCreated)]
    assert {fact.source for fact in created} == {"design", "fill-in", ""}
    # Chance of its own does not propose what stands in meanwhile.
    assert sum(fact.source == "" for fact in created) > 100
    assert [one for one in replayed(facts) if not one.equal] == []


def test_proposals_for_several_objectives_are_proved_too() -> None:
    objectives = [{"metric": name, "goal": "minimize"} for name in ("error", "size")]
    wanted = definition(
        scheduler={"type": "asha"}, searcher={"type": "multi-fidelity"}, space=SQUARE, trials=60, objective=None,
        objectives=objectives,
    )  # fmt: skip
    facts = watch(wanted, _Square(noise=False), STORMY, Registry.default()).facts
    checked = replayed([(now, f.read(*f.write(fact))) for now, fact in facts])
    assert [one for one in checked if not one.equal] == []
    assert kinds(checked) >= {"proposal", "standing"}


def test_resumptions_and_dismissals_are_decisions_too() -> None:
    assert kinds(replayed(journal("asha-promotion", "random"))) >= {"resumption"}


def test_a_proposal_that_was_changed_is_told_of_and_what_follows_is_computed_from_it() -> None:
    facts = journal("asha", "random")
    at = next(n for n, (_, fact) in enumerate(facts) if isinstance(fact, f.TrialCreated) and fact.trial == 7)
    now, created = facts[at]
    assert isinstance(created, f.TrialCreated)
    facts[at] = now, replace(created, config={"x": 0.123})
    (other,) = [one for one in replayed(facts) if not one.equal]
    assert (other.trial, other.kind, other.recorded, other.computed) == (7, "proposal", {"x": 0.123}, created.config)


def test_a_models_proposal_that_was_changed_is_told_of() -> None:
    facts = journal("fifo", "bayesian")
    at = next(n for n, (_, x) in enumerate(facts) if isinstance(x, f.TrialCreated) and not x.source and x.trial > 10)
    now, created = facts[at]
    assert isinstance(created, f.TrialCreated)
    facts[at] = now, replace(created, config={"x": 0.123})
    others = [one for one in replayed(facts) if not one.equal]
    assert (others[0].trial, others[0].recorded) == (created.trial, {"x": 0.123})


def test_a_rung_decision_that_was_changed_is_told_of() -> None:
    facts = journal("asha", "random")
    at = next(n for n, (_, x) in enumerate(facts) if isinstance(x, f.RungReached) and x.decision == "stop")
    now, rung = facts[at]
    assert isinstance(rung, f.RungReached)
    facts[at] = now, replace(rung, decision="continue")
    others = [one for one in replayed(facts) if not one.equal]
    assert (others[0].kind, others[0].recorded, others[0].computed) == ("rung", "continue", "stop")


def test_other_experiments_of_the_journal_are_left_aside() -> None:
    facts = journal("fifo", "random")
    assert (
        replayed([(now, replace(fact, experiment="other")) for now, fact in facts if hasattr(fact, "experiment")]) == []
    )


class Never(AshaPromotion):
    """Begins ever new trials where the real one would resume one."""

    def next(self) -> Next:
        return StartNew()


def test_a_new_trial_where_another_would_be_resumed_is_told_of() -> None:
    other = Registry({"random": _RANDOM}, {"asha-promotion": "tests.coordinator.test_replay:Never"})
    wanted = definition(scheduler={"type": "asha-promotion"}, searcher={"type": "random"}, trials=25)
    facts = watch(wanted, CURVES, Conditions(machines=(Machine(slots=3),)), other).facts
    others = [one for one in replayed(facts) if not one.equal]
    assert others
    assert {(one.kind, one.recorded) for one in others} == {("start", StartNew())}
    assert all(isinstance(one.computed, ResumeTrial) for one in others)


@pytest.fixture
def failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two trials, the second of which never learned what its scheduler thinks of its report."""
    install(tmp_path / "site", monkeypatch)
    world = World()
    world.submit(trials=3, scheduler={"type": "wayward", "raises": "on_report", "after": 1})
    world.join(slots=2)
    world.report(0, 2, error=0.5)
    world.report(1, 2, error=0.5)
    return world


def test_what_came_before_a_failure_is_proved_and_nothing_is_asked_after_it(failed: World) -> None:
    checked = list(Replay(REGISTRY).run(failed.journal, "digits"))
    assert [one.kind for one in checked] == ["start", "proposal", "start", "proposal", "rung"]
    assert all(one.equal for one in checked)


def test_an_algorithm_that_fails_today_alone_is_told_of(failed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wayward, "changed", "target")
    checked = list(Replay(REGISTRY).run(failed.journal, "digits"))
    assert [one.kind for one in checked] == ["start", "proposal", "failure"]
    assert (checked[-1].recorded, checked[-1].equal) == (None, False)
    assert "raised ZeroDivisionError: in target in target (wayward.py, line" in checked[-1].computed


def test_without_its_algorithms_nothing_is_proved(failed: World) -> None:
    without = Registry({"random": _RANDOM}, {})
    facts = [(now, _of_the_scheduler_gone(fact)) for now, fact in failed.journal]
    with pytest.raises(Mistake, match="digits cannot be replayed: the scheduler gone is not installed any more"):
        list(Replay(without).run(facts, "digits"))


def _of_the_scheduler_gone(fact: f.Fact) -> f.Fact:
    if not isinstance(fact, f.ExperimentCreated):
        return fact
    return replace(fact, definition={**fact.definition, "scheduler": {"type": "gone"}})
