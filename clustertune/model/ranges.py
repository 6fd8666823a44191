"""What a constraint comes to wherever its parameters lie between bounds: interval arithmetic (Moore 1966).

An answer holds for every configuration between the bounds for which the constraint can be computed; where it cannot, it
is broken anyway. So one that is surely false is broken everywhere there, and nothing there need be looked at.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Union

from clustertune.model.constraint_text import FUNCTIONS, Sentence
from clustertune.model.parameters import Choice, Constant, Float, Parameter
from clustertune.model.trial import Value

Bounds = tuple[float, float]
Range = Union[Bounds, str]  # noqa: UP007 - read at run time on Python 3.10
"""The least and the greatest number that there may be, true counting as 1; or a text."""

_SLACK = 1e-12
"""Relative; beyond the ends, since powers, exponentials and logarithms are not rounded to the last bit."""

_JUST_BELOW_1 = math.nextafter(1.0, 0.0)


def range_of(value: Value) -> Range:
    """Of a single value."""
    return value if isinstance(value, str) else (value, value)


def range_between(parameter: Parameter, start: float, end: float) -> Range | None:
    """Of the values that ``parameter`` has between two places in the unit interval; None where texts are among them."""
    start = min(start, _JUST_BELOW_1)
    last = max(math.nextafter(end, 0.0), start)
    if isinstance(parameter, Constant):
        return range_of(parameter.value)
    if isinstance(parameter, Choice):
        values = parameter.values[int(start * parameter.count) : int(last * parameter.count) + 1]
        if len(values) == 1:
            return range_of(values[0])
        numbers = [value for value in values if not isinstance(value, str)]
        return (min(numbers), max(numbers)) if len(numbers) == len(values) else None
    if (start, end) == (0.0, 1.0):
        return parameter.low, parameter.high
    low, high = parameter.at(start), parameter.at(last)
    return _widened(low, high) if isinstance(parameter, Float) else (low, high)


def outcome(sentence: Sentence, node: ast.expr, ranges: Mapping[str, Range]) -> bool | None:
    """Whether ``node`` is surely true, surely false, or neither; nothing is sure of names without a range."""
    if isinstance(node, ast.BoolOp):
        parts = [outcome(sentence, part, ranges) for part in node.values]
        decisive = isinstance(node.op, ast.Or)
        return decisive if decisive in parts else None if None in parts else not decisive
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = outcome(sentence, node.operand, ranges)
        return None if inner is None else not inner
    if isinstance(node, ast.Compare):
        return _of_chain(sentence, node, ranges)
    found = _range(sentence, node, ranges)
    return None if found is None or isinstance(found, str) else _equal(found, (1, 1))


def _of_chain(sentence: Sentence, node: ast.Compare, ranges: Mapping[str, Range]) -> bool | None:
    sides: list[ast.expr] = [node.left, *node.comparators]
    # The last list of values is read by _is_member; it has no range.
    found = [_range(sentence, side, ranges) for side in sides]
    links = []
    for left, op, right, listed in zip(found, node.ops, found[1:], node.comparators, strict=False):
        if isinstance(op, (ast.In, ast.NotIn)):
            inside = _is_member(sentence, left, listed)
            links.append(inside if inside is None or isinstance(op, ast.In) else not inside)
        else:
            links.append(_of_link(left, op, right))
    return False if False in links else None if None in links else True


def _of_link(left: Range | None, op: ast.cmpop, right: Range | None) -> bool | None:
    if left is None or right is None:
        return None
    if isinstance(op, (ast.Eq, ast.NotEq)):
        same = _same(left, right)
        return same if same is None or isinstance(op, ast.Eq) else not same
    if isinstance(left, str) or isinstance(right, str):
        return None
    if isinstance(op, (ast.Gt, ast.GtE)):
        left, right = right, left
    if isinstance(op, (ast.Lt, ast.Gt)):
        return True if left[1] < right[0] else False if left[0] >= right[1] else None
    return True if left[1] <= right[0] else False if left[0] > right[1] else None


def _same(left: Range, right: Range) -> bool | None:
    if isinstance(left, str) or isinstance(right, str):
        return left == right
    return _equal(left, right)


def _equal(left: Bounds, right: Bounds) -> bool | None:
    if left[1] < right[0] or right[1] < left[0]:
        return False
    return True if left[0] == left[1] == right[0] == right[1] else None


def _is_member(sentence: Sentence, value: Range | None, listed: ast.expr) -> bool | None:
    if value is None or not isinstance(listed, (ast.Tuple, ast.List)):
        return None
    members = [_range(sentence, item, {}) for item in listed.elts]
    found = [None if member is None else _same(value, member) for member in members]
    return True if True in found else None if None in found else False


def _range(sentence: Sentence, node: ast.expr, ranges: Mapping[str, Range]) -> Range | None:
    """None where it is not known, or cannot be computed."""
    if isinstance(node, ast.Constant):
        return range_of(node.value) if isinstance(node.value, (bool, int, float, str)) else None
    if (name := sentence.name(node)) is not None:
        return ranges.get(name)
    if isinstance(node, (ast.Compare, ast.BoolOp)) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        # Not from 0 to 1 where it is not sure: what hangs on a parameter that is not there is neither.
        truth = outcome(sentence, node, ranges)
        return None if truth is None else (int(truth), int(truth))
    parts: Sequence[ast.expr] = ()
    if isinstance(node, ast.BinOp):
        parts = (node.left, node.right)
    elif isinstance(node, ast.UnaryOp):
        parts = (node.operand,)
    elif isinstance(node, ast.Call):
        parts = node.args
    bounds = [found for part in parts if isinstance(found := _range(sentence, part, ranges), tuple)]
    if len(bounds) < len(parts) or not parts:
        return None
    try:
        low, high = _computed(sentence, node, bounds)
    except (ArithmeticError, ValueError):
        return None
    return (low, high) if low <= high else None  # not so where one is not a number


def _computed(sentence: Sentence, node: ast.expr, bounds: Sequence[Bounds]) -> Bounds:
    """Raises ArithmeticError, ValueError where it is not known."""
    if isinstance(node, ast.BinOp):
        return _ARITHMETIC[type(node.op)](*bounds)
    if isinstance(node, ast.Call):
        return _of_function(sentence.shown(node.func), bounds)
    [(low, high)] = bounds
    return -high, -low


def _added(left: Bounds, right: Bounds) -> Bounds:
    return left[0] + right[0], left[1] + right[1]


def _subtracted(left: Bounds, right: Bounds) -> Bounds:
    return left[0] - right[1], left[1] - right[0]


def _multiplied(left: Bounds, right: Bounds) -> Bounds:
    return _at_corners(operator.mul, left, right)


def _divided(divide: Callable[[float, float], float]) -> Callable[[Bounds, Bounds], Bounds]:
    def divided(left: Bounds, right: Bounds) -> Bounds:
        if right[0] <= 0 <= right[1]:
            raise ZeroDivisionError
        return _at_corners(divide, left, right)

    return divided


def _remainder(left: Bounds, right: Bounds) -> Bounds:
    if left[0] == left[1] and right[0] == right[1]:
        return left[0] % right[0], left[0] % right[0]
    if right[0] <= 0:
        raise ValueError
    return 0, right[1]


def _power(left: Bounds, right: Bounds) -> Bounds:
    """Of what is not negative it rises or falls in each argument; else for exponents that are 1, 2, … alone."""
    if max(map(abs, right)) > 1024:
        raise OverflowError  # before it is computed: it may be longer than the memory
    if left[0] > 0 or (left[0] == 0 and right[0] > 0):
        return _widened(*_at_corners(operator.pow, left, right))
    exponent = right[0]
    if right[0] != right[1] or exponent != int(exponent) or exponent < 1:
        raise ValueError
    ends = left[0] ** exponent, left[1] ** exponent
    low = 0 if exponent % 2 == 0 and left[1] >= 0 else min(ends)
    return _widened(low, max(ends))


def _at_corners(compute: Callable[[float, float], float], left: Bounds, right: Bounds) -> Bounds:
    found = [compute(a, b) for a in left for b in right]
    if any(map(math.isnan, found)):
        raise ValueError
    return min(found), max(found)


def _of_function(name: str, bounds: Sequence[Bounds]) -> Bounds:
    function = FUNCTIONS[name][0]
    (low, high), *rest = bounds
    if name == "abs":
        return (0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))
    if name in ("max", "min"):
        return function(*(bound[0] for bound in bounds)), function(*(bound[1] for bound in bounds))
    # The others rise with their first argument, as long as the second is one number, and a base above 1.
    if any(least != greatest or (name == "log" and least <= 1) for least, greatest in rest):
        raise ValueError
    second = [least for least, _ in rest]
    if name.startswith("log") and low <= 0:
        return -math.inf, _widened(0, function(high, *second))[1]
    found = function(max(low, 0) if name == "sqrt" else low, *second), function(high, *second)
    return found if name in ("ceil", "floor", "round", "sqrt") else _widened(*found)


def _widened(low: float, high: float) -> Bounds:
    return low - abs(low) * _SLACK, high + abs(high) * _SLACK


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Bounds, Bounds], Bounds]] = {
    ast.Add: _added,
    ast.Sub: _subtracted,
    ast.Mult: _multiplied,
    ast.Div: _divided(operator.truediv),
    ast.FloorDiv: _divided(operator.floordiv),
    ast.Mod: _remainder,
    ast.Pow: _power,
}
