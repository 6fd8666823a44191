"""Proposals: a configuration of the space stays as it is, what is equal to one becomes one, the rest is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from clustertune.coordinator.core.fitting import Unfit, fitting, plain, whole_number
from clustertune.model.parameters import Choice, Float, Int
from clustertune.model.space import Space

SPACE = Space(
    {"lr": Float(0.0, 1.0), "depth": Int(1, 8), "kind": Choice(("sgd", "adam", True)), "momentum": Float(0.0, 1.0)},
    {"momentum": {"kind": ("sgd",)}},
    ["lr * depth <= 4"],
)
ADAM = {"lr": 0.25, "depth": 3, "kind": "adam"}
SGD = {**ADAM, "kind": "sgd", "momentum": 0.5}


class Name(str):
    """Text with something to it."""

    __slots__ = ()


@pytest.mark.parametrize("config", [ADAM, SGD, {**ADAM, "kind": True}])
def test_a_configuration_is_handed_on_as_it_is(config: dict[str, Any]) -> None:
    assert fitting(config, SPACE) is config


@pytest.mark.parametrize(
    "changes",
    [
        {"lr": np.float32(0.25)},
        {"lr": np.float64(0.25), "depth": np.int64(3)},
        {"depth": 3.0},
        {"kind": np.str_("sgd")},
        {"kind": Name("sgd")},
        {"momentum": np.array(0.5)},
    ],
)
def test_what_is_equal_to_a_plain_value_becomes_one(changes: dict[str, Any]) -> None:
    found = fitting({**SGD, **changes}, SPACE)
    assert found == SGD
    assert [type(value) for value in found.values()] == [float, int, str, float]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({**ADAM, "lr": 5.0}, "lr: must lie from 0 to 1, found 5.0"),
        ({**ADAM, "lr": float("nan")}, "lr: must be a number from 0 to 1, found nan"),
        ({**ADAM, "lr": "much"}, "lr: must be a number"),
        ({**ADAM, "lr": Decimal("0.1")}, "of type Decimal is no number, text, true or false"),
        ({**ADAM, "lr": np.longdouble("0.1")}, "of type longdouble is no number"),
        ({**ADAM, "lr": [0.1]}, "lr: [0.1] of type list is no number, text, true or false"),
        ({**ADAM, "depth": 2.5}, "depth: must be an integer"),
        ({"lr": 0.25, "kind": "adam"}, "depth: is missing"),
        ({**ADAM, "kind": "sgd"}, "momentum: is missing"),
        ({**ADAM, "momentum": 0.5}, "momentum: is only there when kind is sgd"),
        ({**ADAM, "width": 3}, "width: no such parameter"),
        ({**ADAM, "lr": 1.0, "depth": 8}, "breaks the constraint 'lr * depth <= 4'"),
        (None, "a configuration is wanted"),
        ([("lr", 0.25)], "a configuration is wanted"),
    ],
)
def test_what_is_no_configuration_is_refused_with_the_reason(config: Any, why: str) -> None:
    with pytest.raises(Unfit) as refused:
        fitting(config, SPACE)
    assert why in str(refused.value)


@pytest.mark.parametrize("number", [3, np.int32(3), np.uint8(3)])
def test_whole_numbers_are_plain_integers(number: Any) -> None:
    assert (whole_number(number), type(whole_number(number))) == (3, int)


@pytest.mark.parametrize("number", [True, 3.0, "3", None, np.array([3, 4])])
def test_nothing_else_is_a_whole_number(number: Any) -> None:
    with pytest.raises(Unfit):
        whole_number(number)


def test_truth_of_numpy_is_no_number() -> None:
    assert plain(np.bool_(True)) is True
