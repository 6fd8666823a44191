"""Decisions computed again from the journal: equal where nothing was touched, and told of where something was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.replay import Checked, Replay
from clustertune.coordinator.simulation.conditions import Conditions, Machine
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.search.registry import Registry
from tests.coordinator.simulation.stand_ins import definition, watch

STORMY = Conditions(
    machines=(Machine(slots=3), Machine(slots=2, speed=0.5)), interruptions_per_hour=200.0, return_s=4.0, seed=3
)
CURVES = Curves(space=Space({"x": Float(0.0, 1.0)}), max_resource=9, late=0.2, diverging=0.2)


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
    checked = replayed(journal(scheduler, searcher))
    assert [one for one in checked if not one.equal] == []
    assert kinds(checked) >= {"proposal", "rung"}
    assert len([one for one in checked if one.kind == "proposal"]) >= 25


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
