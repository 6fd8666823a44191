"""Importances of functions whose importances are known."""

from __future__ import annotations

import numpy as np

from clustertune.model.parameters import Float
from clustertune.model.space import Space
from clustertune.search.insight.evidence import Told, evidence
from clustertune.search.insight.importance import Table, learn
from tests.search.insight.told_trials import SPACE, decades, drawn, trials


def test_of_an_additive_function_each_part_has_its_share_and_the_irrelevant_has_none() -> None:
    """Variances of the parts: that of the decades is about 1, of 3 x decay it is 0.75."""
    learned = learn(SPACE, evidence(trials(lambda x: decades(x, 1e-4) + 3.0 * float(x["decay"]), 150)))
    assert learned.fit > 0.7
    clear = {name for name, effect in learned.effects.items() if effect.clear}
    assert clear == {"lr", "decay"}
    assert 1.0 < learned.effects["lr"].drop / learned.effects["decay"].drop < 3.0
    assert all(learned.effects[name].negligible for name in ("hidden", "momentum", "batch"))


def test_a_conditional_parameter_is_told_from_its_parent() -> None:
    """Only momentum matters, and only sgd has it: the other solvers are as good as sgd is on average."""
    learned = learn(SPACE, evidence(trials(lambda x: float(x.get("momentum", 0.5)), 200)))
    assert learned.effects["momentum"].clear
    others = {name: effect.drop for name, effect in learned.effects.items() if name != "momentum"}
    assert learned.effects["momentum"].drop > 0.5 * sum(max(0.0, drop) for drop in others.values())


def test_a_parent_that_matters_is_told_from_its_child() -> None:
    learned = learn(SPACE, evidence(trials(lambda x: float(x["solver"] == "sgd"), 60)))
    assert learned.effects["solver"].drop > 1.0
    assert not learned.effects["momentum"].clear


def test_mixing_up_a_parent_takes_its_children_along_where_they_come_or_go() -> None:
    sgd, other = {"solver": "sgd", "momentum": 0.9}, {"solver": "adam"}
    rest = {"lr": 0.1, "decay": 0.5, "hidden": 8, "batch": 16}
    table = Table(SPACE, [sgd | rest, other | rest, {"solver": "sgd", "momentum": 0.1} | rest])
    mixed = table.swapped("solver", np.array([0, 1, 2]), np.array([1, 0, 0]))
    expected = Table(SPACE, [other | rest, sgd | rest, {"solver": "sgd", "momentum": 0.1} | rest])
    assert np.array_equal(mixed, expected.rows)


def test_failed_trials_count_as_bad_as_the_worst() -> None:
    """Nothing but failing depends on anything: large networks run out of memory."""
    known = evidence(trials(lambda x: float("inf") if int(x["hidden"]) > 100 else 0.0, 120))
    assert len(known.worthless) > 20
    learned = learn(SPACE, known)
    assert max(learned.effects, key=lambda name: learned.effects[name].drop) == "hidden"


def test_the_same_trials_say_the_same_again() -> None:
    small = Space({"decay": Float(0.0, 1.0)})
    known = evidence(
        [Told(config=config, level=1, loss=float(config["decay"]), curve={}) for config in drawn(12, space=small)]
    )
    assert learn(small, known).effects == learn(small, known).effects


def test_every_column_of_the_encoding_belongs_to_one_parameter() -> None:
    table = Table(SPACE, drawn(3))
    columns = [column for columns in table.columns.values() for column in columns]
    assert columns == list(range(table.rows.shape[1]))
    assert len(table.columns["solver"]) == 3
