"""A learned schedule is drawn as steps over the resource."""

from __future__ import annotations

from clustertune.model.parameters import Choice, Float
from clustertune.model.space import Space
from clustertune.view.schedule import Part, schedule_plot
from tests.view.screens import lines

SPACE = Space(
    {"lr": Float(1e-4, 1.0, log=True), "solver": Choice(("sgd", "adam")), "momentum": Float(0.0, 1.0)},
    {"momentum": {"solver": ("sgd",)}},
)
PARTS = [
    Part(resource_from=0, resource_to=20, config={"lr": 0.1, "solver": "sgd", "momentum": 0.9}),
    Part(resource_from=20, resource_to=30, config={"lr": 0.01, "solver": "sgd", "momentum": 0.9}),
    Part(resource_from=30, resource_to=40, config={"lr": 0.001, "solver": "adam"}),
]


def dots(line: str) -> list[int]:
    return [x for x, cell in enumerate(line) if "\u2801" <= cell <= "\u28ff"]


def test_numbers_that_change_are_steps_and_all_else_is_words() -> None:
    shown = lines(schedule_plot(PARTS, SPACE, "epoch", width=60), 60)
    assert shown[0] == "lr (log)"
    assert shown[1].startswith("  0.1 │")
    assert shown[4].startswith("0.001 │")
    assert shown[5] == "solver  sgd 0-30, adam 30-40"
    assert shown[6] == "momentum  0.9"
    assert shown[7].startswith("0─")
    assert shown[7].endswith("─40")
    assert " epoch " in shown[7]
    assert max(map(len, shown)) <= 60


def test_a_step_is_as_long_as_it_lasted_and_as_high_as_its_scale_says() -> None:
    """Half of the way at 0.1, a quarter at 0.001, and 0.01 half way between them: the scale is logarithmic."""
    shown = lines(schedule_plot(PARTS[:3], SPACE, "epoch", width=87), 87)
    top, middle, bottom = dots(shown[1]), dots(shown[2]) + dots(shown[3]), dots(shown[4])
    assert 38 <= len(top) <= 42
    assert 19 <= len(bottom) <= 22
    assert max(top) < max(middle) <= min(bottom) + 1


def test_a_parameter_that_never_changes_takes_one_line() -> None:
    shown = lines(schedule_plot(PARTS[:1], SPACE, "epoch", width=60), 60)
    assert shown[:3] == ["lr  0.1", "solver  sgd", "momentum  0.9"]
