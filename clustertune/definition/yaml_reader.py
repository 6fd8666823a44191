"""Safe YAML: scalars, lists and mappings only, bounded, with the line of each and our words for each mistake."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from clustertune.definition.document import Document, FieldPath
from clustertune.definition.scalars import Scalar, read_plain_scalar
from clustertune.model.errors import DefinitionMistake, Problem

_MOST_VALUES = 200_000
"""Aliases are counted at each use, so that a few lines cannot unfold into gigabytes."""

_DEEPEST = 50

_PLAIN = "!plain"
_TAG = "tag:yaml.org,2002:"
_MERGE = "<<"

_UNUSABLE = re.compile("[\0\ud800-\udfff]")
"""What neither a file nor a program's argument can hold."""

_SYNTAX = (
    (r"found character '\\t'", "a tab stands here; YAML is indented with spaces"),
    (r"found character '(.)' that cannot start any token", r"text cannot begin with {0}; put it in quotes"),
    (r"mapping values are not allowed here", "a ':' stands where none can; quote text that holds ': ', or indent anew"),
    (r"could not find expected ':'", "a ':' is missing: every line of a mapping is  name: value"),
    (r"expected <block end>, but found", "the indentation does not fit the lines above, or a '-' or ':' is missing"),
    (r"expected ',' or '([\]}])'", "a {0} or a comma is missing; quote text that holds brackets, braces or commas"),
    (r"expected the node content, but found", "a value is missing before this"),
    (r"found unexpected end of stream", "a quote is not closed"),
    (r"found undefined alias", "an alias (*name) has no anchor (&name) before it; quote text that begins with *"),
    (r"but found another document", "a second document begins here (---); keep one"),
    (r"found unknown escape character", "a backslash before a letter that it does not go with; use single quotes"),
)  # fmt: skip


def parse(text: str, file: str) -> Document:
    """The mapping in ``text``. Raises DefinitionMistake where there is none; lesser problems are in the document."""
    root = _compose(text, file)
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        raise DefinitionMistake([Problem("the file is empty; `clustertune init` shows what can stand in it", "", file)])
    if not isinstance(root, yaml.MappingNode):
        kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        message = f"expected fields (name: value) at the top level, found {kind}"
        raise DefinitionMistake([Problem(message, "", file, _line(root))])
    reader = _Reader(file)
    tree = reader.mapping(root, ())
    return Document(tree=tree, lines=reader.lines, file=file, problems=reader.problems, unread=frozenset(reader.unread))


def parse_value(text: str) -> Any:
    """The value of a YAML scalar, list or mapping that stands alone. Raises DefinitionMistake."""
    root = _compose(text, None)
    reader = _Reader(None)
    value = None if root is None else reader.value(root, ())
    if reader.problems:
        raise DefinitionMistake(reader.problems)
    return value


class _PlainLoader(yaml.SafeLoader):
    """Marks unquoted scalars, and leaves it to us what they mean."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {None: [(_PLAIN, re.compile(""))]}  # type: ignore[misc]


def _compose(text: str, file: str | None) -> yaml.Node | None:
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=_PlainLoader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"character U+{int(error.character):04X} cannot stand in YAML; remove it"
        raise DefinitionMistake([Problem(message, "", file, line)]) from error
    except yaml.MarkedYAMLError as error:
        raise DefinitionMistake([_syntax_problem(error, file)]) from error
    except RecursionError as error:
        raise DefinitionMistake([Problem("lists or mappings are nested too deeply", "", file)]) from error
    return root


def _syntax_problem(error: yaml.MarkedYAMLError, file: str | None) -> Problem:
    mark = error.problem_mark or error.context_mark
    found = error.problem or "not valid"
    message = f"this is not valid YAML: {found}"
    for pattern, ours in _SYNTAX:
        if match := re.match(pattern, found):
            message = ours.format(*match.groups())
            break
    return Problem(message, "", file, mark.line + 1 if mark else 0)


class _Reader:
    """Builds plain values from nodes; remembers lines and problems."""

    def __init__(self, file: str | None) -> None:
        self.lines: dict[FieldPath, int] = {}
        self.problems: list[Problem] = []
        self._file = file
        self.unread: set[FieldPath] = set()
        self._values = 0
        self._open: set[int] = set()

    def value(self, node: yaml.Node, path: FieldPath) -> Any:
        self._count(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if id(node) in self._open:
            self._fail(node, path, "an alias (*) refers to what it stands in, without end")
            return None
        if len(path) > _DEEPEST:
            self._fail(node, path[:3], "lists or mappings are nested too deeply")
            return None
        self._open.add(id(node))
        found = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        self._open.discard(id(node))
        return found

    def mapping(self, node: yaml.MappingNode, path: FieldPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = self._key(key, path)
            if name == _MERGE and key.tag == _PLAIN:
                self._merge(value, path, found)
            elif name is not None and self._new(key, name, path, found):
                self.lines[(*path, name)] = _line(key)
                found[name] = self.value(value, (*path, name))
        self._check_tag(node, path, "map")
        return found

    def _list(self, node: yaml.Node, path: FieldPath) -> list[Any]:
        found = []
        for index, item in enumerate(node.value):
            self.lines[(*path, index)] = _line(item)
            found.append(self.value(item, (*path, index)))
        self._check_tag(node, path, "seq")
        return found

    def _key(self, key: yaml.Node, path: FieldPath) -> str | None:
        """A key is the text as written: ``on`` and ``1`` are names, too."""
        self._count(key)
        if isinstance(key, yaml.ScalarNode):
            return str(key.value)
        self._fail(key, path, "a name must be text, found a list or mapping")
        return None

    def _new(self, key: yaml.Node, name: str, path: FieldPath, found: dict[str, Any]) -> bool:
        line = self.lines.get((*path, name), 0)
        # A merged value may be said again, which is what merging is for; its line is that of the anchor.
        if name not in found or line == 0:
            return True
        self._fail(key, (*path, name), f"occurs twice; the first is on line {line}; keep one")
        return False

    def _merge(self, node: yaml.Node, path: FieldPath, found: dict[str, Any]) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._fail(source, path, "<< merges mappings; found something else")
                continue
            merged = self.value(source, (*path, _MERGE))
            for name, value in merged.items() if isinstance(merged, dict) else ():
                found.setdefault(name, value)

    def _scalar(self, node: yaml.ScalarNode, path: FieldPath) -> Scalar:
        kind = node.tag.removeprefix(_TAG)
        if _UNUSABLE.search(node.value):
            self._unreadable(node, path, r"text cannot hold \0 or half of a surrogate pair (\ud800 to \udfff)")
            return None
        if kind == "str":
            return str(node.value)
        try:
            value = read_plain_scalar(node.value)
        except ValueError as error:
            self._unreadable(node, path, str(error))
            return None
        if node.tag == _PLAIN or type(value).__name__ == kind or (kind == "null" and value is None):
            return value
        self._fail(node, path, f"the tag {_shown(node.tag)} does not fit {node.value!r}; leave it out")
        return value

    def _unreadable(self, node: yaml.Node, path: FieldPath, message: str) -> None:
        self._fail(node, path, message)
        self.unread.add(path)

    def _check_tag(self, node: yaml.Node, path: FieldPath, usual: str) -> None:
        if node.tag != _TAG + usual:
            self._fail(node, path, f"the tag {_shown(node.tag)} is not allowed; leave it out")

    def _count(self, node: yaml.Node) -> None:
        self._values += 1
        if self._values > _MOST_VALUES:
            message = f"unfolds into more than {_MOST_VALUES:,} values; write fewer aliases (*)"
            raise DefinitionMistake([Problem(message, "", self._file, _line(node))])

    def _fail(self, node: yaml.Node, path: FieldPath, message: str) -> None:
        self.problems.append(Problem(message, ".".join(map(str, path)), self._file, _line(node)))


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _shown(tag: str) -> str:
    return "!!" + tag.removeprefix(_TAG) if tag.startswith(_TAG) else tag
