"""The search space."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.model.space import (
    Choice,
    Constant,
    Float,
    Int,
    InvalidParameter,
    InvalidSpace,
    Ordinal,
    Parameter,
    Space,
)
from clustertune.model.trial import Config, Value

UNIT = st.floats(min_value=0, max_value=1, exclude_max=True)
LAST = math.nextafter(1.0, 0.0)
BOUND = st.floats(min_value=-1e300, max_value=1e300, allow_subnormal=False)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    low, high = sorted(draw(st.lists(BOUND, min_size=2, max_size=2, unique=True)))
    return Float(low, high)


@st.composite
def log_floats(draw: st.DrawFn) -> Float:
    low, high = sorted(
        draw(st.lists(st.floats(min_value=1e-300, max_value=1e300), min_size=2, max_size=2, unique=True))
    )
    return Float(low, high, log=True)


@st.composite
def stepped_floats(draw: st.DrawFn) -> Float:
    low, step, steps = draw(st.integers(-50, 50)), draw(st.integers(1, 30)), draw(st.integers(1, 60))
    return Float(low / 10, (low + step * steps) / 10, step=step / 10)


@st.composite
def ints(draw: st.DrawFn) -> Int:
    low, high = sorted(draw(st.lists(st.integers(-(2**53), 2**53), min_size=2, max_size=2, unique=True)))
    return Int(low, high)


@st.composite
def small_ints(draw: st.DrawFn) -> Int:
    low, step, steps = draw(st.integers(-5, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    return Int(low, low + step * steps, step=step)


@st.composite
def log_ints(draw: st.DrawFn) -> Int:
    low, high = sorted(draw(st.lists(st.integers(1, 2**53), min_size=2, max_size=2, unique=True)))
    return Int(low, high, log=True)


scalars: st.SearchStrategy[Value] = st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=3))
unique_values = st.lists(scalars, min_size=1, max_size=4, unique_by=lambda value: (isinstance(value, bool), value))
finite = st.one_of(
    small_ints(), stepped_floats(), unique_values.map(lambda v: Choice(tuple(v))), scalars.map(Constant),
    unique_values.map(lambda v: Ordinal(tuple(v))),
)  # fmt: skip
anything = st.one_of(finite, floats(), log_floats(), ints(), log_ints())


@st.composite
def spaces(draw: st.DrawFn, parameters: st.SearchStrategy[Parameter], most: int = 5) -> Space:
    """Spaces with conditions on parameters that are declared before or after, without circles."""
    names = [f"p{index}" for index in range(draw(st.integers(1, most)))]
    made = {name: draw(parameters) for name in names}
    order = draw(st.permutations(names))
    conditions = {}
    for index, name in enumerate(order):
        parents = [parent for parent in order[:index] if made[parent].count is not None and draw(st.booleans())]
        conditions[name] = {
            parent: tuple(draw(st.lists(UNIT.map(made[parent].at), min_size=1, max_size=2))) for parent in parents
        }
    return Space(made, conditions)


def points(space: Space) -> st.SearchStrategy[list[float]]:
    size = len(space.dimensions)
    return st.lists(UNIT, min_size=size, max_size=size)


@given(st.data(), anything)
def test_every_unit_coordinate_gives_a_value_that_the_parameter_accepts(
    data: st.DataObject, parameter: Parameter
) -> None:
    for unit in (0.0, LAST, data.draw(UNIT)):
        assert parameter.read(parameter.at(unit)) == parameter.at(unit)


@given(st.data(), anything)
def test_a_value_survives_the_way_to_its_unit_coordinate_and_back(data: st.DataObject, parameter: Parameter) -> None:
    value = parameter.at(data.draw(UNIT))
    unit = parameter.unit(value)
    assert 0 <= unit < 1
    back = parameter.at(unit)
    if parameter.count is None or (isinstance(parameter, Int) and parameter.count > 2**20):
        assert isinstance(parameter, (Float, Int))
        spread = abs(float(parameter.high) / 2 - float(parameter.low) / 2)
        assert math.isclose(float(value), float(back), rel_tol=1e-9, abs_tol=1e-9 * spread)
    else:
        assert back == value


@given(st.one_of(floats(), log_floats()))
def test_bounds_are_reached_and_never_passed(parameter: Float) -> None:
    assert math.isclose(parameter.at(0.0), parameter.low, rel_tol=1e-12)
    assert parameter.low <= parameter.at(LAST) <= parameter.high


def test_a_step_gives_decimal_values_without_drift() -> None:
    assert list(Float(0.0, 1.0, step=0.1).grid(5)) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert Float(0.0, 1.0, step=0.1).at(0.35) == 0.3


def test_a_stepped_value_is_drawn_as_often_at_the_ends_as_in_the_middle() -> None:
    drawn = Counter(Float(0.0, 1.0, step=0.5).at(index / 3000) for index in range(3000))
    assert drawn == {0.0: 1000, 0.5: 1000, 1.0: 1000}


def test_the_ends_of_a_log_int_get_their_share_of_the_scale() -> None:
    drawn = Counter(Int(1, 4, log=True).at(index / 100_000) for index in range(100_000))
    whole = math.log(4.5) - math.log(0.5)
    for value in (1, 2, 3, 4):
        share = (math.log(value + 0.5) - math.log(value - 0.5)) / whole
        assert drawn[value] / 100_000 == pytest.approx(share, abs=1e-3)


def test_integers_are_exact_up_to_two_to_the_53_and_refused_beyond() -> None:
    assert Int(2**53 - 2, 2**53).at(LAST) == 2**53
    with pytest.raises(InvalidParameter, match=r"within ±2\*\*53") as caught:
        Int(0, 2**53 + 1)
    assert caught.value.field == "high"


@pytest.mark.parametrize(
    ("make", "field", "message"),
    [
        (lambda: Float(1, 0), "low", "low must be less than high"),
        (lambda: Int(3, 3), "low", "for a fixed value write"),
        (lambda: Float(0, 1, log=True), "low", "a log scale needs low > 0"),
        (lambda: Float(0, math.inf), "high", "must be finite"),
        (lambda: Float(0, 1, step=0.3), "step", "the last value would be 0.9"),
        (lambda: Float(0, 1, step=0), "step", "more than 0"),
        (lambda: Int(0, 10, step=3), "step", "the last value would be 9"),
        (lambda: Int(1, 10, log=True, step=1), "step", "cannot be combined"),
        (lambda: Float(0, 1e300, step=1e-10), "step", "take a larger one"),
        (lambda: Choice(()), "values", "the list is empty"),
        (lambda: Choice(("a", "a")), "values", "'a' occurs twice"),
        (lambda: Ordinal((1, 1.0)), "values", "occurs twice"),
        (lambda: Choice((math.nan,)), "values", "must be finite"),
        (lambda: Constant(2**60), "value", "larger ones can be text"),
    ],
)
def test_impossible_parameters_are_refused_with_the_field_to_change(make: object, field: str, message: str) -> None:
    assert callable(make)
    with pytest.raises(InvalidParameter, match=message) as caught:
        make()
    assert caught.value.field == field


def test_true_and_one_are_different_values() -> None:
    choice = Choice((True, 1))
    assert [choice.read(True), choice.read(1)] == [True, 1]
    assert isinstance(choice.read(True), bool)
    assert not isinstance(choice.read(1), bool)


SOLVER = Space(
    {"momentum": Float(0.0, 0.9, step=0.1), "solver": Choice(("sgd", "adam")), "nesterov": Choice((True, False))},
    {"momentum": {"solver": ("sgd",)}, "nesterov": {"momentum": (0.8, 0.9)}},
)


def test_inactive_parameters_are_left_out_also_when_their_parent_is_declared_later() -> None:
    assert SOLVER.from_unit([0.0, 0.9, 0.0]) == {"solver": "adam"}
    assert list(SOLVER.from_unit([0.0, 0.0, 0.0]).items()) == [("momentum", 0.0), ("solver", "sgd")]
    assert SOLVER.from_unit([0.99, 0.0, 0.0]) == {"momentum": 0.9, "solver": "sgd", "nesterov": True}


def test_size_counts_distinct_active_configurations() -> None:
    assert SOLVER.size == 8 + 2 * 2 + 1
    assert Space({"x": Float(0, 1)}).size is None
    assert Space({"x": Constant(3)}).size == 1
    assert Space({}).size == 1


def test_constants_have_no_coordinate() -> None:
    space = Space({"a": Constant("x"), "b": Choice((1, 2)), "c": Choice(("only",))})
    assert space.dimensions == ("b",)
    assert space.from_unit([0.9]) == {"a": "x", "b": 2, "c": "only"}


@given(st.data(), spaces(anything))
def test_every_point_gives_a_configuration_without_a_problem(data: st.DataObject, space: Space) -> None:
    config = space.from_unit(data.draw(points(space)))
    assert space.check(config) == []
    assert list(config) == [name for name in space.names if name in config]
    assert space.fill(config, data.draw(points(space))) == config


@given(st.data(), spaces(finite))
def test_a_configuration_of_a_finite_space_survives_the_way_to_its_point_and_back(
    data: st.DataObject, space: Space
) -> None:
    config = space.from_unit(data.draw(points(space)))
    assert space.from_unit(space.to_unit(config)) == config


@given(st.data(), spaces(finite, most=4))
def test_the_grid_of_a_finite_space_has_every_configuration_once(data: st.DataObject, space: Space) -> None:
    seen = [repr(config) for config in itertools.islice(space.grid(10**6), 5000)]
    assert len(seen) == len(set(seen)) == min(space.size or 0, 5000)
    if len(seen) < 5000:
        assert repr(space.from_unit(data.draw(points(space)))) in seen


@given(spaces(anything, most=3))
def test_a_thinned_grid_holds_valid_configurations_only_and_none_twice(space: Space) -> None:
    configs = list(itertools.islice(space.grid(3), 300))
    assert all(space.check(config) == [] for config in configs)
    assert len({repr(config) for config in configs}) == len(configs)


def test_a_grid_is_made_lazily_and_has_both_ends_of_each_float() -> None:
    huge = Space({f"x{index}": Float(1e-4, 1.0, log=True) for index in range(40)})
    first = next(huge.grid(5))
    assert set(first.values()) == {1e-4}
    values = [config["x0"] for config in Space({"x0": Float(1e-4, 1.0, log=True)}).grid(5)]
    assert values == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
    assert (values[0], values[-1]) == (1e-4, 1.0)


def test_a_space_may_have_thousands_of_parameters() -> None:
    space = Space({f"p{index}": Choice((1, 2)) for index in range(3000)})
    assert space.size == 2**3000
    assert len(next(space.grid(5))) == 3000


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"solvr": "sgd"}, "solvr: no such parameter; did you mean 'solver'?"),
        ({"solver": "sgdd"}, "solver: must be one of sgd, adam; found 'sgdd'"),
        ({"solver": "sgd", "momentum": 1.5}, "momentum: must lie from 0 to 0.9, found 1.5"),
        ({"solver": "sgd", "momentum": 0.25}, "momentum: must be 0 plus a multiple of 0.1, found 0.25"),
        ({"solver": "sgd", "momentum": "0.1"}, "momentum: must be a number from 0 to 0.9, found '0.1'"),
        ({"solver": "adam", "momentum": 0.1}, "momentum: is only there when solver is sgd; leave it out"),
        ({"momentum": 0.1}, "momentum: is given, but solver, on which it depends, is not"),
    ],
)
def test_a_users_configuration_is_told_what_is_wrong_with_it(config: Config, problem: str) -> None:
    assert SOLVER.check(config) == [problem]


def test_what_a_users_configuration_leaves_out_is_filled_in_from_the_point() -> None:
    assert SOLVER.check({"solver": "sgd"}) == []
    assert SOLVER.fill({"solver": "sgd", "momentum": 0.30000000000000004}, [0.99, 0.99, 0.99]) == {
        "momentum": 0.3,
        "solver": "sgd",
    }
    filled = Space({"x": Float(0, 1), "y": Int(1, 4)}).fill({"x": 1}, [0.0, 0.99])
    assert filled == {"x": 1.0, "y": 4}
    assert isinstance(filled["x"], float)


@pytest.mark.parametrize(
    ("parameters", "conditions", "message"),
    [
        ({"a": Choice((1, 2))}, {"a": {"b": (1,)}}, "depends on 'b', which is no parameter"),
        ({"a": Choice((1, 2))}, {"a": {"a": (1,)}}, "depends on itself"),
        ({"a": Choice((1,)), "b": Choice((1,))}, {"a": {"b": (1,)}, "b": {"a": (1,)}}, "goes in a circle: a → b → a"),
        ({"a": Choice((1, 2)), "b": Choice((1,))}, {"b": {"a": (3,)}}, "can never be active: a must be one of 1, 2"),
        ({"a": Float(0, 1), "b": Choice((1,))}, {"b": {"a": (0.5,)}}, "a float without a step"),
        ({"a": Choice((1, 2)), "b": Choice((1,))}, {"b": {"a": ()}}, "names no value of a"),
    ],
)
def test_impossible_conditions_are_refused(
    parameters: dict[str, Parameter], conditions: dict[str, dict[str, tuple[Value, ...]]], message: str
) -> None:
    with pytest.raises(InvalidSpace, match=message):
        Space(parameters, conditions)


def test_spaces_that_say_the_same_are_equal() -> None:
    assert Space({"a": Int(1, 2)}) == Space({"a": Int(1, 2)})
    assert Space({"a": Int(1, 2), "b": Int(1, 2)}) != Space({"b": Int(1, 2), "a": Int(1, 2)})


def test_false_and_0_are_two_values_also_where_they_are_counted() -> None:
    switch = Choice(values=(False, 0))
    space = Space({"a": Int(low=0, high=1), "switch": switch}, {"a": {"switch": (False,)}})
    assert len(list(space.grid(2))) == space.size == 3
    both = Space({"a": Int(low=0, high=1), "switch": switch, "b": Int(low=0, high=1)},
                 {"a": {"switch": (False,)}, "b": {"switch": (False, 0)}})  # fmt: skip
    assert len(list(both.grid(2))) == both.size == 6
