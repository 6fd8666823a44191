"""What is sure of a constraint between bounds is so for every configuration there."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustertune.model.constraint_text import LONGEST
from clustertune.model.constraints import Constraint
from clustertune.model.ranges import Range, range_between, range_of
from clustertune.model.space import Choice, Constant, Float, Int, Ordinal, Parameter
from tests.model.test_constraints import FULL, PARAMETERS, conditions

sides = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (min(pair), max(pair)))
places = st.lists(st.floats(0, 1, exclude_max=True), min_size=5, max_size=5)
VARIED = ("hidden", "depth", "lr", "momentum", "nesterov")


@settings(max_examples=400, deadline=None)
@given(conditions, st.lists(sides, min_size=5, max_size=5), places, st.sets(st.sampled_from(VARIED), max_size=1))
def test_what_is_sure_is_so_for_every_configuration_between_the_bounds(
    text: str, box: list[tuple[float, float]], places: list[float], gone: set[str]
) -> None:
    if len(text) > LONGEST - 6:
        text = "lr < 1"
    ranges: dict[str, Range] = {"model.heads": range_of(8)}
    config = {**FULL, "model.heads": 8}
    for name, (start, end), place in zip(VARIED, box, places, strict=True):
        found = range_between(PARAMETERS[name], start, end)
        if name in gone:
            del config[name]
        elif found is not None:
            ranges[name] = found
            config[name] = PARAMETERS[name].at(min(start + place * (end - start), math.nextafter(1.0, 0.0)))
    sure = Constraint(text, PARAMETERS).outcome(ranges)
    broken = text if sure is False else f"not ({text})"
    if sure is not None:
        assert Constraint(broken, PARAMETERS).holds(config) is False, text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b <= 0.3", False), ("a + b < 1", True), ("a + b < 0.6", None), ("0 < a < b", None), ("1 < a < b", False),
        ("a * b - b < 0", True), ("b / a > 0.3", True), ("1 / (a - 0.3) > 0", None), ("b ** 2 > 0.2", False),
        ("(a - 0.3) ** 2 < 0", False), ("log(a) < -0.9", True), ("sqrt(b) < 0.4", False), ("exp(a) <= 1", False),
        ("max(a, b) <= 0.39", None), ("min(a, b) > 0.4", False), ("abs(-a) > 0.1", True), ("b % 0.1 > 0.1", False),
        ("kind == 'y'", False), ("kind != 'y'", True), ("kind in ('x', 'z')", True), ("a in (0.5, 1)", False),
        ("a not in (0.5, 1)", True), ("gone > 1", None), ("gone > 1 and a > 1", False), ("gone > 1 or a < 1", True),
        ("not (a > 1 and gone > 1)", True), ("flag", None), ("flag + a < 2", True), ("(gone > 1) + a >= 0", None),
        ("round(a) > 0", False), ("ceil(a) == 1", True), ("a // 1 == 0", True), ("log(b, 2) > -1", False),
    ],
)  # fmt: skip
def test_what_is_sure_is_found(text: str, expected: bool | None) -> None:
    parameters: dict[str, Parameter] = {
        "a": Float(0.0, 1.0), "b": Float(0.0, 1.0), "kind": Choice(("x", "y")), "flag": Choice((True, False)),
        "gone": Int(0, 9),
    }  # fmt: skip
    if text == "kind in ('x', 'z')":
        parameters["kind"] = Choice(("x", "y", "z"))
    ranges: dict[str, Range] = {"a": (0.2, 0.4), "b": (0.2, 0.4), "kind": "x", "flag": (0, 1)}
    assert Constraint(text, parameters).outcome(ranges) is expected


@pytest.mark.parametrize(
    "parameter",
    [
        Float(-3.0, 7.0), Float(1e-6, 1.0, log=True), Float(0.0, 1.0, step=0.1), Int(-5, 5), Int(1, 4096, log=True),
        Int(0, 60, step=5), Choice((3, 1, True)), Ordinal((16, 32, 64)), Constant(2),
    ],
)  # fmt: skip
@given(side=sides, place=st.floats(0, 1, exclude_max=True))
def test_values_lie_between_the_bounds(parameter: Parameter, side: tuple[float, float], place: float) -> None:
    start, end = side
    value = parameter.at(min(start + place * (end - start), math.nextafter(1.0, 0.0)))
    found = range_between(parameter, start, end)
    assert isinstance(found, tuple)
    assert found[0] <= float(value) <= found[1]


def test_texts_have_a_range_where_there_is_one_alone() -> None:
    kinds = Choice(("x", "y", 1, 2))
    assert [range_between(kinds, *side) for side in ((0, 0.25), (0.3, 0.5), (0, 1), (0.5, 1))] == [
        "x",
        "y",
        None,
        (1, 2),
    ]
