"""What configurations of other spaces become: carried over by name, clipped or left out, filled in, allowed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustertune.model.space import Choice, Constant, Float, Int, Ordinal, Parameter, Space
from clustertune.search.translation import ANOTHER_KIND, NO_SUCH_VALUE, OUT_OF_RANGE, completed, translate

MIXED = Space(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "hidden": Int(8, 256, log=True),
        "solver": Choice(("sgd", "adam")),
        "momentum": Float(0.0, 0.9),
        "depth": Ordinal((1, 2, 4)),
        "epochs": Constant(10),
    },
    {"momentum": {"solver": ("sgd",)}},
    ["hidden * depth <= 256"],
)


@pytest.mark.parametrize(
    ("parameter", "value", "carried", "lost"),
    [
        (Float(0.0, 1.0), 0.3, 0.3, ""),
        (Float(0.0, 1.0), 1, 1.0, ""),
        (Float(0.0, 1.0), 1.5, 1.0, OUT_OF_RANGE),
        (Float(0.0, 1.0), -2, 0.0, OUT_OF_RANGE),
        (Float(0.0, 1.0), True, None, ANOTHER_KIND),
        (Float(0.0, 1.0), "0.5", None, ANOTHER_KIND),
        (Float(0.0, 1.0, step=0.25), 0.3, 0.25, ""),
        (Int(1, 9), 3.6, 4, ""),
        (Int(1, 9, step=4), 6.9, 5, ""),
        (Int(1, 9), 0.5, 1, OUT_OF_RANGE),
        (Int(1, 9, log=True), 100, 9, OUT_OF_RANGE),
        (Choice(("sgd", "adam")), "adam", "adam", ""),
        (Choice(("sgd", "adam")), "rmsprop", None, NO_SUCH_VALUE),
        (Choice((0, 1)), True, None, NO_SUCH_VALUE),
        (Choice((16, 32)), 16.0, 16, ""),
        (Ordinal((1, 2, 4)), 3, None, NO_SUCH_VALUE),
    ],
)
def test_values_carry_over_by_name_and_what_is_lost_is_said(
    parameter: Parameter, value: Any, carried: Any, lost: str
) -> None:
    found = translate({"x": value, "gone": 1}, Space({"x": parameter, "new": Float(0.0, 1.0)}))
    assert repr(found.config) == repr({} if carried is None else {"x": carried})
    assert found.lost == ({"x": lost} if lost else {})


def test_what_is_inactive_here_is_left_out_and_a_constant_is_what_it_is_here() -> None:
    found = translate({"solver": "adam", "momentum": 5.0, "epochs": 3, "lr": 0.1}, MIXED)
    assert found.config == {"lr": 0.1, "solver": "adam"}
    assert found.lost == {}


def test_a_child_whose_parent_has_no_value_yet_is_kept() -> None:
    assert translate({"momentum": 0.5}, MIXED).config == {"momentum": 0.5}


def test_what_is_missing_is_filled_in_and_the_same_each_time() -> None:
    given_ = {"lr": 0.1, "solver": "sgd"}
    found = [completed(given_, MIXED, seed=3, number=number) for number in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert found[0] is not None
    assert found[0]["lr"] == 0.1
    assert list(found[0]) == list(MIXED.names)


def test_what_no_values_for_the_rest_make_allowed_is_none() -> None:
    assert completed({"hidden": 256, "depth": 4}, MIXED, seed=0, number=0) is None


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6)
VALUES = NUMBERS | st.booleans() | st.sampled_from(["sgd", "adam", "rmsprop", ""])


@settings(max_examples=150, deadline=None)
@given(config=st.dictionaries(st.sampled_from([*MIXED.names, "other"]), VALUES))
def test_whatever_was_tried_elsewhere_is_a_configuration_here_or_none(config: dict[str, Any]) -> None:
    translated = translate(config, MIXED)
    assert set(translated.config) <= set(config) & set(MIXED.names)
    assert MIXED.check({"solver": "sgd", **translated.config}) == [] or not MIXED.allows(
        {"solver": "sgd", **translated.config}
    )
    if (found := completed(translated.config, MIXED, seed=1, number=0)) is not None:
        assert MIXED.check(found) == []
        active = {name for name in translated.config if name in found}
        assert {name: found[name] for name in active} == {name: translated.config[name] for name in active}
