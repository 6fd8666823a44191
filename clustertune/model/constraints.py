"""Constraints on configurations, such as ``hidden * depth <= 4096``: checked, and evaluated without being executed.

A constraint is a comparison, ``and``, ``or`` and ``not`` of such, or a parameter that is true or false. What it says of
a parameter that a configuration does not have is neither true nor false (Kleene's logic of three values), and only one
that is false is broken. Where it cannot be computed (a division by zero, a number beyond 1.8e308, the logarithm of what
is not positive, arithmetic with text), it is broken, too.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from clustertune.model.constraint_text import FUNCTIONS, InvalidConstraint, Sentence, read_sentence
from clustertune.model.errors import suggestion
from clustertune.model.parameters import Choice, Constant, Parameter, shown
from clustertune.model.ranges import Range, outcome
from clustertune.model.trial import Value

__all__ = ["Constraint", "InvalidConstraint", "by_last_name", "constraint_problems"]

_Config = Mapping[str, Value]
_Evaluate = Callable[[_Config], Any]
"""Gives a value, or raises _Absent."""
_Judge = Callable[[_Config], "bool | None"]
_Compare = Callable[[Any, Any], bool]

_LARGEST = sys.float_info.max
_LARGEST_BITS = 1024
_NOT_THERE = object()
_TRUTH, _NUMBER, _TEXT = "truth", "number", "text"


class _Absent(Exception):
    """A parameter is named that is not there."""


class Constraint:
    """One expression over ``parameters``. Immutable. Raises InvalidConstraint, which says where and why."""

    __slots__ = ("_judge", "_sentence", "names", "text")

    def __init__(self, text: str, parameters: Mapping[str, Parameter]) -> None:
        sentence = read_sentence(text, parameters)
        self.text, self._sentence = sentence.text, sentence
        self._judge = _Compiler(sentence, parameters).condition(sentence.tree)
        named = sentence.names()
        self.names = tuple(name for name in parameters if name in named)
        """The parameters that it speaks of, in declared order."""

    def __repr__(self) -> str:
        return f"Constraint({self.text!r})"

    def holds(self, config: _Config) -> bool | None:
        """Whether it holds; None where that hangs on a parameter that is not there."""
        try:
            return self._judge(config)
        except (ArithmeticError, ValueError, TypeError):
            return False

    def outcome(self, ranges: Mapping[str, Range]) -> bool | None:
        """Whether it surely holds, or is surely broken, wherever the parameters lie within ``ranges``; else None.

        Parameters that may not be there have no range. Costs about ten microseconds.
        """
        return outcome(self._sentence, self._sentence.tree, ranges)


def constraint_problems(
    parameters: Mapping[str, Parameter], constraints: Sequence[str], unknown: Collection[str] = ()
) -> list[tuple[int, str]]:
    """(index, message) of each constraint that is none; ``unknown`` are parameters of which only the name is known."""
    problems = []
    for index, text in enumerate(constraints):
        try:
            sentence = read_sentence(text, {*parameters, *unknown})
            if not sentence.names() & set(unknown):
                Constraint(text, parameters)
        except InvalidConstraint as error:
            problems.append((index, str(error)))
    return problems


def by_last_name(constraints: Sequence[Constraint], order: Sequence[str]) -> list[list[Constraint]]:
    """For each parameter in ``order`` the constraints that are decided as soon as it has its value."""
    decided: list[list[Constraint]] = [[] for _ in order]
    for constraint in constraints:
        last = max((order.index(name) for name in constraint.names), default=0)
        if order:
            decided[last].append(constraint)
    return decided


class _Compiler:
    """From a tree to closures. Kinds that can never fit are mistakes; a choice may mix them, so closures check too."""

    def __init__(self, sentence: Sentence, parameters: Mapping[str, Parameter]) -> None:
        self._sentence, self._parameters = sentence, parameters

    def condition(self, node: ast.expr) -> _Judge:
        if isinstance(node, ast.BoolOp):
            parts = [self.condition(part) for part in node.values]
            return _all(parts) if isinstance(node.op, ast.And) else _any(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return _negated(self.condition(node.operand))
        if isinstance(node, ast.Compare):
            return self._comparison(node)
        if _TRUTH not in self._kinds(node):
            found = self._sentence.shown(node)
            raise self._sentence.mistake(node, f"{found} is neither true nor false; compare it, as in {found} <= 1")
        return _true(self._value(node))

    def _comparison(self, node: ast.Compare) -> _Judge:
        """Each side is compiled once, and computed once for a configuration, as in Python."""
        sides = [node.left, *node.comparators]
        compares = [self._link(*link) for link in zip(sides, node.ops, sides[1:], strict=False)]
        # A list of values, which has no value itself, stands after the last in: _link has read it.
        listed = isinstance(node.ops[-1], (ast.In, ast.NotIn))
        last = _constant(None) if listed else self._value(sides[-1])
        return _chained([*map(self._value, sides[:-1])], last, compares)

    def _link(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> _Compare:
        if isinstance(op, (ast.In, ast.NotIn)):
            return self._membership(left, right, isinstance(op, ast.In))
        if isinstance(op, (ast.Eq, ast.NotEq)):
            self._check_equal(left, right)
            return _COMPARISONS[type(op)]
        self._check_numbers([left, right], "text has no order; name the values, as in size in ('small', 'medium')")
        return _of_numbers(_COMPARISONS[type(op)])

    def _membership(self, left: ast.expr, right: ast.expr, wanted: bool) -> _Compare:
        if not isinstance(right, (ast.Tuple, ast.List)):
            raise self._sentence.mistake(right, "after in stands a list of values, as in solver in ('sgd', 'adam')")
        members = tuple(self._literal(item) for item in right.elts)
        for item in right.elts:
            self._check_equal(left, item)
        return lambda value, _: (value in members) is wanted

    def _literal(self, node: ast.expr) -> Value:
        inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
        if not isinstance(inner, ast.Constant):
            raise self._sentence.mistake(node, "a list holds values, as in ('sgd', 'adam') or (16, 32)")
        value: Value = self._value(node)({})
        return value

    def _value(self, node: ast.expr) -> _Evaluate:
        if isinstance(node, ast.Constant):
            return _constant(node.value)
        if (name := self._sentence.name(node)) is not None:
            return _looked_up(name)
        if isinstance(node, ast.BinOp):
            self._check_numbers([node.left, node.right], "arithmetic is for numbers, and this is text")
            return _computed(_ARITHMETIC[type(node.op)], [self._value(node.left), self._value(node.right)])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            self._check_numbers([node.operand], "arithmetic is for numbers, and this is text")
            return _computed(operator.neg, [self._value(node.operand)])
        if isinstance(node, ast.Call):
            function = self._sentence.shown(node.func)
            self._check_numbers(node.args, f"{function} is for numbers, and this is text")
            return _computed(FUNCTIONS[function][0], [self._value(argument) for argument in node.args])
        if isinstance(node, (ast.Tuple, ast.List)):
            raise self._sentence.mistake(node, "a list stands after in, as in solver in ('sgd', 'adam')")
        return _decided(self.condition(node))

    def _kinds(self, node: ast.expr) -> set[str]:
        """What its value may be."""
        if isinstance(node, ast.Constant):
            return {_kind(node.value)}
        if (name := self._sentence.name(node)) is not None:
            values = _values(self._parameters[name])
            return {_NUMBER} if values is None else {_kind(value) for value in values}
        is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        return {_TRUTH} if is_not or isinstance(node, (ast.Compare, ast.BoolOp)) else {_NUMBER}

    def _check_numbers(self, nodes: Sequence[ast.expr], why: str) -> None:
        for node in nodes:
            # True counts as 1, so that "at most one of them" can be said: a + b + c <= 1.
            if self._kinds(node) == {_TEXT}:
                raise self._sentence.mistake(node, why)

    def _check_equal(self, left: ast.expr, right: ast.expr) -> None:
        """A value that a parameter never has is most likely misspelt."""
        for side, other in ((left, right), (right, left)):
            name = self._sentence.name(side)
            if name is None or not isinstance(other, ast.Constant):
                continue
            values, value = _values(self._parameters[name]), other.value
            if values is None and isinstance(value, str):
                raise self._sentence.mistake(other, f"{name} is a number, and {shown(value)} is text")
            if values is not None and value not in values:
                near = suggestion(str(value), map(str, values))
                raise self._sentence.mistake(other, f"{shown(value)} is no value of {name}{near}")


def _values(parameter: Parameter) -> tuple[Value, ...] | None:
    """None for numbers between bounds."""
    if isinstance(parameter, Choice):
        return parameter.values
    return (parameter.value,) if isinstance(parameter, Constant) else None


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return _TRUTH
    return _TEXT if isinstance(value, str) else _NUMBER


def _constant(value: Any) -> _Evaluate:
    return lambda config: value  # noqa: ARG005 - one shape for all


def _looked_up(name: str) -> _Evaluate:
    def evaluate(config: _Config) -> Any:
        try:
            return config[name]
        except KeyError:
            raise _Absent from None

    return evaluate


def _computed(function: Callable[..., Any], operands: Sequence[_Evaluate]) -> _Evaluate:
    """Numbers in, a number out that is neither infinite nor larger than a float can be."""

    def evaluate(config: _Config) -> Any:
        values = [operand(config) for operand in operands]
        for value in values:
            if isinstance(value, str):
                raise TypeError
        result = function(*values)
        if not -_LARGEST <= result <= _LARGEST:
            raise OverflowError
        return result

    return evaluate


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and (base.bit_length() - 1) * exponent > _LARGEST_BITS:
        raise OverflowError  # before it is computed: it may be longer than the memory
    return base**exponent


def _of_numbers(compare: _Compare) -> _Compare:
    def checked(left: Any, right: Any) -> bool:
        if isinstance(left, str) or isinstance(right, str):
            raise TypeError
        return compare(left, right)

    return checked


def _chained(firsts: Sequence[_Evaluate], last: _Evaluate, compares: Sequence[_Compare]) -> _Judge:
    """As ``and`` of the links: one with a parameter that is not there decides nothing, and one that is false does."""

    def judge(config: _Config) -> bool | None:
        result: bool | None = True
        left = _tried(firsts[0], config)
        for compare, side in zip(compares, [*firsts[1:], last], strict=True):
            if side is last and left is _NOT_THERE:
                return None  # what stands there does not count, be it that it cannot be computed
            right = _tried(side, config)
            if left is _NOT_THERE or right is _NOT_THERE:
                result = None
            elif not compare(left, right):
                return False
            left = right
        return result

    if len(firsts) > 1:
        return judge
    [first], [compare] = firsts, compares

    def judge_one(config: _Config) -> bool | None:
        try:
            return compare(first(config), last(config))
        except _Absent:
            return None

    return judge_one


def _tried(side: _Evaluate, config: _Config) -> Any:
    try:
        return side(config)
    except _Absent:
        return _NOT_THERE


def _true(value: _Evaluate) -> _Judge:
    def judge(config: _Config) -> bool | None:
        try:
            found = value(config)
        except _Absent:
            return None
        if not isinstance(found, bool):
            raise TypeError
        return found

    return judge


def _decided(judge: _Judge) -> _Evaluate:
    def evaluate(config: _Config) -> bool:
        found = judge(config)
        if found is None:
            raise _Absent
        return found

    return evaluate


def _negated(judge: _Judge) -> _Judge:
    def negated(config: _Config) -> bool | None:
        found = judge(config)
        return None if found is None else not found

    return negated


def _all(parts: Sequence[_Judge]) -> _Judge:
    def judge(config: _Config) -> bool | None:
        result: bool | None = True
        for part in parts:
            found = part(config)
            if found is False:
                return False
            if found is None:
                result = None
        return result

    return judge


def _any(parts: Sequence[_Judge]) -> _Judge:
    return _negated(_all([_negated(part) for part in parts]))


_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: _power,
}
_COMPARISONS: Mapping[type[ast.cmpop], _Compare] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
