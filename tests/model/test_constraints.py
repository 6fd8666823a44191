"""Constraints: what may stand in them, what they mean, and that they mean what Python would."""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustertune.model.constraint_text import DEEPEST, FUNCTIONS, LONGEST
from clustertune.model.constraints import Constraint, InvalidConstraint
from clustertune.model.space import Choice, Constant, Float, Int, Parameter
from clustertune.model.trial import Config, Value

PARAMETERS: Mapping[str, Parameter] = {
    "hidden": Int(1, 4096, log=True),
    "depth": Int(0, 10),
    "lr": Float(-1.0, 1.0),
    "solver": Choice(("sgd", "adam")),
    "momentum": Float(0.0, 1.0),
    "nesterov": Choice((True, False)),
    "width": Choice(("auto", 64, 128)),
    "weight-decay": Float(0.0, 1.0),
    "model.heads": Constant(8),
    "lambda": Float(0.0, 1.0),
    "log": Int(1, 5),
}
FULL: Config = {
    "hidden": 256, "depth": 5, "lr": 0.5, "solver": "sgd", "momentum": 0.9, "nesterov": True, "width": "auto",
    "weight-decay": 0.1, "model.heads": 8, "lambda": 0.2, "log": 3,
}  # fmt: skip


def holds(text: str, config: Mapping[str, Value] = FULL) -> bool | None:
    return Constraint(text, PARAMETERS).holds(config)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hidden * depth <= 4096", True),
        ("hidden * depth <= 1024", False),
        ("lr < 0.1 or solver == 'sgd'", True),
        ("lr < 0.1 and solver == 'sgd'", False),
        ("0 < lr < momentum < 1", True),
        ("solver in ('sgd', 'adam')", True),
        ("solver not in ['sgd']", False),
        ("depth in (-1, 5)", True),
        ("nesterov", True),
        ("not nesterov", False),
        ("nesterov + (depth > 3) <= 1", False),
        ("hidden % 64 == 0", True),
        ("log2(hidden) == 8", True),
        ("log(log, 3) == 1", True),
        ("max(depth, 2, lr) == 5 and min(depth, lr) == lr", True),
        ("round(lr * 3) == 2 and round(lr / 3, 2) == 0.17", True),
        ("sqrt(hidden) == 16 and abs(-depth) == 5 and floor(lr) == 0 and ceil(lr) == 1 and exp(0) == log10(10)", True),
        ("`weight-decay` < `lambda`", True),
        ("model.heads * 32 == hidden", True),
        ("'`' == '`' and depth == 5", True),
    ],
)
def test_a_constraint_means_what_it_says(text: str, expected: bool) -> None:
    assert holds(text) is expected


@pytest.mark.parametrize(
    "text",
    [
        "1 / (depth - 5) > 0",
        "not 1 / (depth - 5) > 0",
        "log(depth - 5) < 1 or depth == 5",
        "sqrt(-lr) < 1",
        "exp(hidden * depth) > 0",
        "1e308 * hidden > 1",
        "9 ** 9 ** 9 > hidden",
        "hidden ** (hidden * 9 ** 9) > 1",
        "(-lr) ** 0.5 < 1",
        "width * 2 <= 256",
        "width > 32",
        "(-9) ** 9 ** 9 < 1",
    ],
)
def test_what_cannot_be_computed_is_not_allowed(text: str) -> None:
    assert holds(text) is False


def test_what_comes_after_a_decision_is_not_computed() -> None:
    assert holds("depth == 5 or 1 / (depth - 5) > 0") is True
    assert holds("width == 'auto' or width * 2 <= 256") is True
    assert holds("width == 'auto' or width * 2 <= 256", {"width": 128}) is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("momentum < 0.5", None),
        ("not momentum < 0.5", None),
        ("momentum in (0, 1)", None),
        ("(momentum < 0.5) + 1 == 1", None),
        ("nesterov", None),
        ("solver == 'adam' or momentum < 0.5", True),
        ("momentum < 0.5 or solver == 'adam'", True),
        ("momentum < 0.5 and lr < 0.1", False),
        ("lr < 0.1 and momentum < 0.5", False),
        ("lr > 0.1 and momentum < 0.5", None),
        ("lr < 0.1 < momentum", False),
        ("solver == 'sgd' and momentum > lr or solver == 'adam' and lr < 0.1", False),
    ],
)
def test_what_hangs_on_a_parameter_that_is_not_there_is_neither_true_nor_false(
    text: str, expected: bool | None
) -> None:
    assert holds(text, {"solver": "adam", "lr": 0.5}) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`x-y` + _0___ <= 1", False),
        ("`x-y` + _____ <= 1", False),
        ("`x-y` <= 0.4 and `_0___` > 0.8", True),
        ("µ < μ", True),  # the micro sign and the Greek letter, which Python takes for one
        ("µ < 0.2 and (model) . µ == 1", True),
        ("`µ` < `μ`", True),
        (f"max({','.join(['`µ`'] * 110)}) < `x-y`", True),
    ],
)
def test_a_name_is_what_was_written_whatever_the_parser_makes_of_it(text: str, expected: bool) -> None:
    config: Config = {"x-y": 0.4, "_0___": 0.9, "_____": 0.8, "µ": 0.1, "μ": 0.5, "model.µ": 1.0}
    assert Constraint(text, dict.fromkeys(config, Float(0.0, 1.0))).holds(config) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lambda <= 1", "; a word of Python stands between backticks where it is a parameter: `lambda`"),
        ("depth < lambda", "; a word of Python stands between backticks where it is a parameter: `lambda`"),
        ("lamda <= 1", "; did you mean '`lambda`'?"),
        ("\uff4dax(lr, 1) < 1", "there is no function '\uff4dax'; did you mean 'max'?"),
        ("`\ud800` < 1", "cannot be read"),
    ],
)
def test_names_that_need_backticks_are_told_with_them(text: str, message: str) -> None:
    with pytest.raises(InvalidConstraint) as caught:
        Constraint(text, PARAMETERS)
    assert str(caught.value).endswith(message)


def test_a_constraint_knows_whom_it_speaks_of() -> None:
    assert Constraint("log(model.heads) * `weight-decay` < hidden", PARAMETERS).names == (
        "hidden", "weight-decay", "model.heads",
    )  # fmt: skip
    assert Constraint(" log  < 3 ", PARAMETERS).names == ("log",)
    assert Constraint(" log  < 3 ", PARAMETERS).text == "log  < 3"


def test_a_comparison_in_a_comparison_costs_what_it_says_however_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setitem(FUNCTIONS, "abs", (lambda value: computed.append(value) or abs(value), 1, 1))  # type: ignore[index]
    text = "abs(depth)"
    for _ in range(18):
        text = f"(0<{text}<9)"
    assert holds(text) is True
    assert computed == [5]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 < gone < 1 / depth", None),
        ("0 < 1 / depth < gone", False),
        ("gone < 1 < 0", False),
        ("0 < 1 < gone", None),
        ("0 < gone in (1, 2)", None),
        ("0 < depth in (0, 2)", False),
        ("-1 < depth in (0, 2)", True),
    ],
)
def test_each_link_of_a_chain_counts_for_itself(text: str, expected: bool | None) -> None:
    assert Constraint(text, {"gone": Int(0, 9), "depth": Int(0, 9)}).holds({"depth": 0}) is expected


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("hiden < 3", 1, "there is no parameter 'hiden'; did you mean 'hidden'?"),
        ("lr < 1 and 'é' == solver", 12, "'é' is no value of solver"),
        ("solver != 'é' and lr < 3", 11, "'é' is no value of solver"),
        ("'é' == 'é' and hiden < 3", 16, "there is no parameter 'hiden'"),
        ("solver == 'sdg'", 11, "'sdg' is no value of solver; did you mean 'sgd'?"),
        ("solver in ('sgd', 'sdg')", 19, "'sdg' is no value of solver"),
        ("weight-decay < 1", 1, "did you mean '`weight-decay`'?"),
        ("lambda < 1", 7, "cannot be read"),
        ("hidden = 3", 8, "write == to compare"),
        ("(hidden < 3", 1, "cannot be read"),
        ("true", 1, "write True"),
        ("hidden", 1, "hidden is neither true nor false; compare it, as in hidden <= 1"),
        ("lr < 1 or hidden * 2", 11, "hidden * 2 is neither true nor false"),
        ("solver < 'sgd'", 1, "text has no order; name the values"),
        ("lr == 'sgd'", 7, "lr is a number, and 'sgd' is text"),
        ("lr in solver", 7, "after in stands a list of values"),
        ("lr in (depth, 2)", 8, "a list holds values"),
        ("(1, 2) == lr", 1, "a list stands after in"),
        ("'a' * 999999999 == 'b'", 1, "arithmetic is for numbers, and this is text"),
        ("'a' + 'b' == 'ab'", 1, "arithmetic is for numbers, and this is text"),
        ("'%099999d' % depth == 'b'", 1, "arithmetic is for numbers, and this is text"),
        ("-solver < 3", 2, "arithmetic is for numbers, and this is text"),
        ("max(solver, 3) < 3", 5, "max is for numbers, and this is text"),
        ("sin(lr) < 1", 1, "there is no function 'sin'; did you mean 'min'?"),
        ("max(lr) < 1", 1, "max takes 2 or more values"),
        ("log(lr, 2, 3) < 1", 1, "log takes 1 or 2 values"),
        ("round(lr, ndigits=2) < 1", 1, "round takes 1 or 2 values"),
        ("max(*lr) < 1", 1, "max takes 2 or more values"),
        ("round(lr, 10 ** 9) < 1", 11, "round takes a number of digits from 0 to 20"),
        ("lr.real < 1", 1, "there is no parameter 'lr.real'"),
        ("(lr + 1).real < 1", 1, "a dot stands in the name of a parameter only; allowed are names of parameters, "),
        ("lr is 3", 1, "write == instead of is"),
        ("lr < 1 & depth < 2", 6, "write and instead of &"),
        ("depth ^ 2 < 9", 1, "a power is written **"),
        ("~nesterov", 1, "write not instead of ~"),
        ("+lr < 1", 1, "leave the + before a number out"),
        ("lr if nesterov else depth", 1, "instead of b if a else c"),
        ("f'{lr}' == 1", 1, "cannot stand in a constraint"),
        ("[x for x in 'ab'] == 1", 1, "cannot stand in a constraint"),
        ("(lr := 3) < 1", 2, "cannot stand in a constraint"),
        ("lr < None", 6, "a value is a number, text, True or False"),
        ("lr < 2j", 6, "a value is a number, text, True or False"),
        ("lr < 1e999", 6, "the number is too large"),
        ("__import__('os').system('x')", 1, "there is no function"),
        ("solver.__class__ == 3", 1, "there is no parameter 'solver.__class__'"),
        ("", 1, "is empty; write for example"),
        (" \n ", 1, "is empty"),
        ("\0", 1, "cannot be read"),
        ("lr < 1 " + "and lr < 1 " * 99, LONGEST + 1, "is longer than 500 characters"),
        ("not " * 40 + "nesterov", 4 * DEEPEST + 1, "nested more than 30 deep"),
        ("(" * 240 + "lr" + ")" * 240, 1, "cannot be read"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_is_allowed(text: str, position: int, message: str) -> None:
    with pytest.raises(InvalidConstraint) as caught:
        Constraint(text, PARAMETERS)
    assert message in str(caught.value)
    assert caught.value.position == position or "cannot be read" in message


numbers = st.one_of(
    st.integers(-9, 9), st.floats(-9, 9).map(lambda x: round(x, 3)), st.sampled_from([0, 1e300, 2**70])
).map(lambda x: str(x) if x >= 0 else f"({x})")
names = st.sampled_from(["hidden", "depth", "lr", "momentum", "nesterov", "model.heads"])


def _arithmetic(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    call = st.sampled_from([name for name, (_, least, _) in FUNCTIONS.items() if least == 1])
    return st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(lambda t: f"({' '.join(t)})"),
        st.tuples(inner, st.integers(-3, 3)).map(lambda t: f"({t[0]} ** {t[1]})"),
        st.tuples(call, inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        inner.map(lambda x: f"-{x}"),
    )


# Plus 0: that a parameter is compared with a value that it never has would be a mistake, and is tested above.
values = st.recursive(st.one_of(numbers, names), _arithmetic, max_leaves=5).map(lambda x: f"({x} + 0)")
comparisons = st.lists(values, min_size=2, max_size=3).flatmap(
    lambda sides: st.lists(
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), min_size=len(sides) - 1, max_size=len(sides) - 1
    ).map(lambda ops: " ".join([sides[0], *(f"{op} {side}" for op, side in zip(ops, sides[1:], strict=True))]))
)
memberships = st.tuples(values, st.sampled_from(["in", "not in"]), st.lists(st.integers(-5, 5), min_size=1)).map(
    lambda t: f"{t[0]} {t[1]} {t[2]}"
)
conditions = st.recursive(
    st.one_of(comparisons, memberships, st.just("nesterov")),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' and '.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' or '.join(parts)})"),
        inner.map(lambda part: f"(not {part})"),
    ),
    max_leaves=4,
)


class _Bounded(ast.NodeTransformer):
    """Python's own evaluation, with the one rule added that no number may be larger than a float can be."""

    def _bounded(self, node: ast.expr) -> ast.expr:
        self.generic_visit(node)
        return ast.Call(ast.Name("_bounded", ast.Load()), [node], [])

    visit_BinOp = visit_Call = _bounded  # noqa: N815 - the names that ast looks for

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        return self._bounded(node) if isinstance(node.op, ast.USub) else self.generic_visit(node)  # type: ignore[return-value]

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        return ast.Name("heads", ast.Load())


def bounded(value: float) -> float:
    if not -sys.float_info.max <= value <= sys.float_info.max:
        raise OverflowError
    return value


def by_python(text: str, config: Config) -> bool:
    tree = ast.fix_missing_locations(_Bounded().visit(ast.parse(text, mode="eval")))
    functions = {name: function for name, (function, _, _) in FUNCTIONS.items()}
    scope = {**config, **functions, "heads": config["model.heads"], "_bounded": bounded}
    try:
        return bool(eval(compile(tree, "<test>", "eval"), {"__builtins__": {}}, scope))
    except (ArithmeticError, ValueError, TypeError):
        return False


@settings(max_examples=400, deadline=None)
@given(conditions, st.integers(1, 4096), st.integers(0, 10), st.floats(-1, 1), st.booleans())
def test_constraints_agree_with_python(text: str, hidden: int, depth: int, lr: float, nesterov: bool) -> None:
    if len(text) > LONGEST:
        text = "lr < 1"
    config: Config = {**FULL, "hidden": hidden, "depth": depth, "lr": lr, "nesterov": nesterov}
    assert holds(text, config) is by_python(text, config), text


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from([*PARAMETERS, *FUNCTIONS,
                             *"()[]{}+-*/%<>=!.,:`'\"\\ \n#;@&|^~", "**", " and ", " or ", "not ",
                             " in ", " is ", "lambda ", " if ", " else ", "1", "9e9", "'a'", "é", "\0"]),
            max_size=20,
        ).map("".join),
    )
)  # fmt: skip
def test_garbage_is_a_mistake_or_a_constraint_and_nothing_else(text: str) -> None:
    try:
        constraint = Constraint(text, PARAMETERS)
    except InvalidConstraint:
        return
    assert constraint.holds(FULL) in (True, False)
    assert constraint.holds({}) in (True, False, None)


def test_the_functions_are_those_of_the_standard_library() -> None:
    for name, (function, _, _) in FUNCTIONS.items():
        assert function is getattr(math, name, None) or function.__name__ == name


def test_where_nothing_is_called_as_it_was_written_the_letter_that_python_reads_stands() -> None:
    """So were constraints read that older journals hold: the micro sign as the Greek letter, a ligature as f and i."""
    constraint = Constraint("\u00b5 < 0.5 and \ufb01t > 0", {"\u03bc": Float(0.0, 1.0), "fit": Float(0.0, 1.0)})
    assert set(constraint.names) == {"\u03bc", "fit"}
    assert constraint.holds({"\u03bc": 0.4, "fit": 0.5}) is True
    assert constraint.holds({"\u03bc": 0.6, "fit": 0.5}) is False
