"""Boxes that hold all that is allowed, drawn from as evenly as the whole cube."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from clustertune.model.space import Choice, Float, Int, Ordinal, Parameter, Space
from clustertune.model.trial import Config

UNIT = Float(0.0, 1.0)
SPACES = {
    "corner": Space({"x": UNIT, "y": UNIT}, {}, ["x + y <= 0.02"]),
    "whole numbers": Space({name: Int(1, 200) for name in "abc"}, {}, ["a + b + c <= 20"]),
    "equal": Space({"h": Int(8, 4096, log=True), "w": Int(8, 4096, log=True)}, {}, ["h == 2 * w"]),
    "choices": Space(
        {"kind": Choice(("p", "q")), "x": UNIT, "y": UNIT, "n": Ordinal((1, 2, 64))},
        {},
        ["kind == 'p' and x < 0.01 or kind == 'q' and x ** 2 * y > 0.98", "n > 2"],
    ),
    "many corners": Space(
        {f"p{index}": UNIT for index in range(12)},
        {},
        [f"p{index} + p{index + 6} <= 0.4" for index in range(6)],
    ),
    "conditional": Space(
        {"kind": Choice(("p", "q")), "m": UNIT, "x": UNIT},
        {"m": {"kind": ("p",)}},
        ["x < 0.01", "m < 0.5"],
    ),
}


def drawn(space: Space, count: int, given: Config | None = None) -> list[Config]:
    generator, paving, found = Random(0), space.paving(given), []
    for _ in range(count):
        point = paving.moved([generator.random() for _ in space.dimensions])
        if (config := space.allowed_at(point, given)) is not None:
            found.append(config)
    return found


@pytest.mark.parametrize("name", SPACES)
def test_what_is_drawn_from_the_boxes_is_mostly_allowed(name: str) -> None:
    assert SPACES[name].paving().share < 0.05
    assert len(drawn(SPACES[name], 2000)) > 100


@pytest.mark.parametrize("name", SPACES)
def test_what_is_allowed_lies_in_a_box(name: str) -> None:
    space, generator = SPACES[name], Random(1)
    paving, points = space.paving(), [space.to_unit(config) for config in drawn(space, 300)]
    points += [[generator.random() for _ in space.dimensions] for _ in range(3000)]
    for point in points:
        if space.allowed_at(point) is not None:
            for part in paving.parts:
                sides = [point[index] for index in part.places]
                assert any(
                    all(start <= place <= end for place, (start, end) in zip(sides, box, strict=True))
                    for box in part.boxes
                )


def test_what_is_allowed_is_met_evenly() -> None:
    # The triangle is cut into four of equal size: at each corner one, and one in the middle.
    found = [(float(c["x"]), float(c["y"])) for c in drawn(SPACES["corner"], 4100)][:4000]
    cells = Counter(
        "x" if x > 0.01 else "y" if y > 0.01 else "0" if x + y < 0.01 else "middle" for x, y in found
    )  # fmt: skip
    # The standard deviation of each is 27.
    assert all(abs(cells[cell] - 1000) < 110 for cell in ("x", "y", "0", "middle"))


def test_every_whole_number_that_is_allowed_is_met_alike() -> None:
    space = Space({"a": Int(1, 1000), "b": Int(1, 1000)}, {}, ["a + b <= 5"])
    cells = Counter(tuple(config.values()) for config in drawn(space, 4000))
    assert set(cells) == {(a, b) for a in range(1, 5) for b in range(1, 6 - a)}
    assert max(cells.values()) < 1.5 * min(cells.values())


def test_given_values_narrow_what_is_left() -> None:
    found = drawn(SPACES["corner"], 200, {"x": 0.019})
    assert len(found) > 150
    assert all(config["x"] == 0.019 and float(config["y"]) <= 0.001 for config in found)


@pytest.mark.parametrize("parameters", [{"x": UNIT, "y": UNIT}, {"x": Choice((1, 2)), "y": UNIT}])
def test_where_nothing_is_allowed_nothing_is_left(parameters: dict[str, Parameter]) -> None:
    assert Space(parameters, {}, ["x + y > 3.5"]).paving().share == 0.0


def test_a_constraint_on_what_may_not_be_there_narrows_nothing() -> None:
    space = Space(
        {"kind": Choice(("p", "q")), "m": UNIT}, {"m": {"kind": ("p",)}}, ["m < 0.001"]
    )  # fmt: skip
    assert space.paving().share == 1.0
    assert any(config["kind"] == "q" for config in drawn(space, 100))
