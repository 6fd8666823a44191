"""How many configurations there are is found in few steps, or left open."""

from __future__ import annotations

from clustertune.model.space import Choice, Int, Parameter, Space

BOTH = Choice((True, False))


def test_children_are_counted_beside_their_parents_however_far_off_they_are_declared() -> None:
    parents: dict[str, Parameter] = {f"b{index}": BOTH for index in range(40)}
    others: dict[str, Parameter] = {f"n{index}": Int(0, 5) for index in range(20)}
    children: dict[str, Parameter] = {f"d{index}": Int(0, 1) for index in range(40)}
    space = Space({**parents, **others, **children}, {f"d{index}": {f"b{index}": (True,)} for index in range(40)})
    assert space.size == 3**40 * 6**20


def test_a_child_of_two_parents_is_counted_after_both() -> None:
    parameters: dict[str, Parameter] = {f"b{index}": BOTH for index in range(31)}
    parameters |= {f"d{index}": Int(1, 4) for index in range(30)}
    conditions = {f"d{index}": {f"b{index}": (True,), f"b{index + 1}": (True,)} for index in range(30)}
    small = Space({name: parameters[name] for name in ("d0", "d1", "b0", "b1", "b2")},
                  {name: conditions[name] for name in ("d0", "d1")})  # fmt: skip
    assert small.size == len(list(small.grid(4))) == 16 + 2 * 4 + 5
    # Each of two states of the last parent: with a child if it and the one before it are true.
    false, true = 1, 1
    for _ in range(30):
        false, true = false + true, false + 4 * true
    assert Space(parameters, conditions).size == false + true


def test_what_is_too_entangled_to_be_counted_soon_has_an_end_all_the_same() -> None:
    parameters: dict[str, Parameter] = {f"b{index}": BOTH for index in range(20)}
    parameters["last"] = Int(0, 1)
    space = Space(parameters, {"last": {name: (True,) for name in parameters if name != "last"}})
    assert (space.size, space.finite) == (None, True)
    assert next(space.grid(2)) == {name: True for name in parameters if name != "last"} | {"last": 0}


def test_values_that_no_condition_tells_apart_are_counted_together() -> None:
    many = Choice(tuple(range(60)))
    even = tuple(range(0, 60, 2))
    space = Space(
        {f"p{index}": many for index in range(40)}, {f"p{index}": {f"p{index - 1}": even} for index in range(1, 40)}
    )
    # There are 30 ways on to the next, and 30 to stop; the last has 60.
    assert space.size == sum(30**depth for depth in range(1, 40)) + 2 * 30**40


def test_true_and_one_are_two_values() -> None:
    mixed = Space({"a": Choice((True, 1, 0)), "b": Int(1, 5)}, {"b": {"a": (1, 1.0)}})
    assert mixed.size == len(list(mixed.grid(9))) == 7
