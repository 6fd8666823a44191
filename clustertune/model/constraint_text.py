"""The text of a constraint: parsed by Python's own parser, and nothing let through that a constraint has no use for."""

from __future__ import annotations

import ast
import keyword
import math
import re
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clustertune.model.errors import suggestion

LONGEST = 500
DEEPEST = 30

_QUOTED = re.compile(r"`([^`]*)`|'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "abs": (abs, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "exp": (math.exp, 1, 1),
    "floor": (math.floor, 1, 1),
    "log": (math.log, 1, 2),
    "log10": (math.log10, 1, 1),
    "log2": (math.log2, 1, 1),
    "max": (max, 2, LONGEST),
    "min": (min, 2, LONGEST),
    "round": (round, 1, 2),
    "sqrt": (math.sqrt, 1, 1),
}
"""What may be called, with the least and the greatest number of arguments."""

ALLOWED = (
    "names of parameters, numbers, text in quotes, True, False, comparisons, and, or, not, + - * / // % **, "
    f"in with a list of values, and {', '.join(FUNCTIONS)}"
)

_NODES = (
    ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div,
    ast.FloorDiv, ast.Mod, ast.Pow, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn,
    ast.Call, ast.Name, ast.Attribute, ast.Constant, ast.Tuple, ast.List, ast.Load,
)  # fmt: skip

_INSTEAD: Mapping[type[ast.AST], str] = {
    ast.Is: "write == instead of is",
    ast.IsNot: "write != instead of is not",
    ast.BitAnd: "write and instead of &",
    ast.BitOr: "write or instead of |",
    ast.BitXor: "a power is written **",
    ast.Invert: "write not instead of ~",
    ast.UAdd: "leave the + before a number out",
    ast.IfExp: "write (a and b) or (not a and c) instead of b if a else c",
}


class InvalidConstraint(ValueError):
    """What was written is no constraint. ``position`` counts characters from 1."""

    def __init__(self, message: str, position: int) -> None:
        self.position = position
        super().__init__(f"at character {position}: {message}")


@dataclass(frozen=True)
class Sentence:
    """A parsed constraint in which only allowed things stand; what they mean together is not known yet."""

    text: str
    tree: ast.expr
    known: Collection[str] = ()
    """The names of parameters."""
    _names: dict[ast.AST, str | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def name(self, node: ast.AST) -> str | None:
        """The parameter that a node names, where it is a name at all; one with dots looks like attributes."""
        if node not in self._names:
            self._names[node] = self._name(node)
        return self._names[node]

    def _name(self, node: ast.AST) -> str | None:
        """As it was written: the parser takes some letters for others, such as the micro sign for the Greek letter."""
        if isinstance(node, ast.Attribute):
            before, after = self.name(node.value), self.shown(node).rpartition(".")[2].strip()
            return None if before is None else f"{before}.{after}"
        if not isinstance(node, ast.Name):
            return None
        written = self.shown(node).strip("`")
        # Where nothing is called as it was written, the parser's reading stands.
        return node.id if written not in self.known and node.id in self.known else written

    def names(self) -> set[str]:
        """Every parameter that is named."""
        found, nodes = set[str](), list[ast.AST]([self.tree])
        while nodes:
            node = nodes.pop()
            if (name := self.name(node)) is not None:
                found.add(name)
            else:
                nodes += node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node)
        return found

    def shown(self, node: ast.expr) -> str:
        """As it was written."""
        raw = self.text.encode()
        return raw[node.col_offset : node.end_col_offset].decode()

    def mistake(self, node: ast.AST, message: str) -> InvalidConstraint:
        offset = getattr(node, "col_offset", 0)
        return InvalidConstraint(message, len(self.text.encode()[:offset].decode()) + 1)


def read_sentence(text: str, known: Collection[str]) -> Sentence:
    """``known`` are the names of parameters. Raises InvalidConstraint."""
    line = " ".join(text.splitlines()).rstrip() if isinstance(text, str) else ""
    if not line.strip():
        raise InvalidConstraint("is empty; write for example hidden * depth <= 4096", 1)
    if len(line) > LONGEST:
        raise InvalidConstraint(f"is longer than {LONGEST} characters; write several constraints", LONGEST + 1)
    # The parser need not know the names: they are read where the parser found them. It counts bytes.
    plain = _QUOTED.sub(lambda match: match[0] if match[1] is None else "_" * len(_encoded(match[0])), line)
    lead = len(plain) - len(plain.lstrip())
    sentence = Sentence(line[lead:], _parse(plain[lead:], known), known)
    _check(sentence, sentence.tree, known, DEEPEST)
    return sentence


def written(name: str) -> str:
    """The name of a parameter as it stands in a constraint."""
    return name if _NEEDS_NO_QUOTES.fullmatch(name) and not _is_taken(name) else f"`{name}`"


def _is_taken(name: str) -> bool:
    return any(map(keyword.iskeyword, name.split(".")))


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidConstraint("cannot be read", 1) from error


def _parse(line: str, known: Collection[str]) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(line, mode="eval").body
    except SyntaxError as error:
        hint = "; write == to compare" if re.search(r"(?<![<>=!])=(?!=)", line) else _hint_at_backticks(line, known)
        position = min(max(error.offset or 1, 1), len(line) + 1)
        raise InvalidConstraint(f"cannot be read ({error.msg}){hint}", position) from error
    except (ValueError, MemoryError, RecursionError) as error:
        raise InvalidConstraint("cannot be read", 1) from error


def _hint_at_backticks(line: str, known: Collection[str]) -> str:
    words = set(re.findall(r"[\w.]+", line))
    names = [written(name) for name in known if name in words and _is_taken(name)]
    return f"; a word of Python stands between backticks where it is a parameter: {', '.join(names)}" if names else ""


def _check(sentence: Sentence, node: ast.AST, known: Collection[str], room: int) -> None:
    if room == 0 and isinstance(node, ast.expr):
        raise sentence.mistake(node, f"is nested more than {DEEPEST} deep; write several constraints")
    if not isinstance(node, _NODES):
        raise sentence.mistake(node, f"{_instead(node)}; allowed are {ALLOWED}")
    if isinstance(node, ast.Constant):
        _check_constant(sentence, node)
    elif isinstance(node, (ast.Name, ast.Attribute)):
        _check_name(sentence, node, known)
    else:
        for child in _children(sentence, node):
            if not isinstance(child, _NODES) and not hasattr(child, "col_offset"):
                raise sentence.mistake(node, f"{_instead(child)}; allowed are {ALLOWED}")
            _check(sentence, child, known, room - 1)


def _instead(node: ast.AST) -> str:
    return _INSTEAD.get(type(node), "this cannot stand in a constraint")


def _children(sentence: Sentence, node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call):
        _check_call(sentence, node)
        yield from node.args
    else:
        yield from ast.iter_child_nodes(node)


def _check_constant(sentence: Sentence, node: ast.Constant) -> None:
    value = node.value
    if not isinstance(value, (bool, int, float, str)):
        raise sentence.mistake(node, f"a value is a number, text, True or False; allowed are {ALLOWED}")
    if not isinstance(value, str) and not -sys.float_info.max <= value <= sys.float_info.max:
        raise sentence.mistake(node, "the number is too large")


def _check_name(sentence: Sentence, node: ast.Name | ast.Attribute, known: Collection[str]) -> None:
    name = sentence.name(node)
    if name is None:
        raise sentence.mistake(node, f"a dot stands in the name of a parameter only; allowed are {ALLOWED}")
    if name in known:
        return
    if name.lower() in ("true", "false"):
        raise sentence.mistake(node, f"write {name.capitalize()}")
    raise sentence.mistake(node, f"there is no parameter {name!r}{suggestion(name, map(written, known))}")


def _check_call(sentence: Sentence, node: ast.Call) -> None:
    name = sentence.shown(node.func) if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS:
        near = suggestion(name, FUNCTIONS) if name else f"; known: {', '.join(FUNCTIONS)}"
        raise sentence.mistake(node, f"there is no function {sentence.shown(node.func)!r}{near}")
    _, least, most = FUNCTIONS[name]
    if node.keywords or not least <= len(node.args) <= most:
        takes = f"{least}" if least == most else f"{least} or more" if most == LONGEST else f"{least} or {most}"
        raise sentence.mistake(node, f"{name} takes {takes} values, one after the other")
    if name == "round" and len(node.args) == 2 and not _is_digits(node.args[1]):
        raise sentence.mistake(node.args[1], "round takes a number of digits from 0 to 20")


def _is_digits(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value <= 20
