"""Validation errors to located problems in our own words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from clustertune.definition.document import Document, FieldPath
from clustertune.definition.fields import found
from clustertune.definition.scalars import read_plain_scalar
from clustertune.model.errors import Problem, suggestion

NOT_YET = "is not in this version yet"

_LATER_FIELDS: Mapping[str, frozenset[str]] = {
    "ClusterDefinition": frozenset({
        "region", "zones", "instance_types", "market", "instances", "budget", "image", "coordinator",
        "disk", "profile", "subnets", "security_group", "project", "network",
    }),
}  # fmt: skip
"""Fields that the design names and this version does not have."""


def translate(
    error: ValidationError, document: Document, root: type[BaseModel], within: FieldPath = ()
) -> list[Problem]:
    """One problem for each thing that is wrong with a ``root`` that stands at the path ``within``."""
    problems = []
    for details in error.errors(include_url=False):
        path, field, section = _descend(details["loc"], root)
        words = _WORDS.get(details["type"], _does_not_fit)
        problems.append(document.problem((*within, *path), words(details, path, field, section)))
    return problems


def _descend(
    loc: tuple[int | str, ...], root: type[BaseModel]
) -> tuple[FieldPath, FieldInfo | None, type[BaseModel] | None]:
    """The path in the file, the field there, and the section that holds it."""
    path: list[int | str] = []
    field: FieldInfo | None = None
    section: type[BaseModel] | None = None
    here: Any = root
    for part in loc:
        if _is_tag(here, part):
            here = _tagged(here, str(part))
            continue
        path.append(part)
        section = here if isinstance(here, type) and issubclass(here, BaseModel) else None
        field = _field(section, part) if section else field
        here = _plain(field.annotation) if section and field else _inside(here)
    return tuple(path), field, section


def _field(section: type[BaseModel], name: int | str) -> FieldInfo | None:
    fields = section.model_fields
    return next((info for key, info in fields.items() if (info.alias or key) == name), None)


def field_names(section: type[BaseModel]) -> list[str]:
    """The fields of a section, as they are called in YAML."""
    return [info.alias or key for key, info in section.model_fields.items()]


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()


def _plain(annotation: Any) -> Any:
    """An annotation without what is only said about it, and without None."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    members = [member for member in _members(annotation) if member is not NoneType]
    return _plain(members[0]) if len(members) == 1 else annotation


def _inside(annotation: Any) -> Any:
    """What a list or mapping holds."""
    arguments = get_args(annotation)
    return _plain(arguments[-1]) if get_origin(annotation) in (list, dict) else None


def _is_tag(annotation: Any, part: int | str) -> bool:
    return bool(_members(annotation)) and any(_tag(member) == part for member in _members(annotation))


def _tagged(annotation: Any, tag: str) -> Any:
    return next(member for member in _members(annotation) if _tag(member) == tag)


def _tag(member: Any) -> str | None:
    field = member.model_fields.get("type") if isinstance(member, type) and issubclass(member, BaseModel) else None
    return get_args(field.annotation)[0] if field else None


_NEEDS_NO_QUOTES = re.compile(r"[\w./][\w ./-]*(?<! )")

Words = Callable[[ErrorDetails, FieldPath, FieldInfo | None, type[BaseModel] | None], str]


def _does_not_fit(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
    del path, section
    return f"found {found(details['input'])}, which does not fit{_example(field)}"


def _our_own(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
    del path, field, section
    return str(details["ctx"]["error"])


def _missing(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
    del details, path, section
    return f"is missing{_example(field)}"


def _unknown(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: type[BaseModel] | None) -> str:
    del details, field
    name = str(path[-1])
    if section is None:
        return "no such field"
    return unknown_field(name, section, field_names(section))


def unknown_field(name: str, section: type[BaseModel], known: Collection[str]) -> str:
    """What to say of a field that a section does not have."""
    return NOT_YET if name in _LATER_FIELDS.get(section.__name__, ()) else f"no such field{suggestion(name, known)}"


def _expected(kind: str) -> Words:
    def words(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
        del path, section
        return f"expected {kind}, found {found(details['input'])}{_example(field)}"

    return words


def _bound(words_before: str, key: str) -> Words:
    def words(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
        del path, field, section
        return f"must be {words_before} {details['ctx'][key]:g}, found {found(details['input'])}"

    return words


def _one_of(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
    del path, section
    known = [str(value) for value in get_args(_plain(field.annotation))] if field else []
    near = suggestion(str(details["input"]), known) if isinstance(details["input"], str) else ""
    return f"must be {' or '.join(known)}, found {found(details['input'])}{near if 'did you mean' in near else ''}"


def _wrong_type_tag(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
    del path, field, section
    known = [tag.strip("'") for tag in str(details["ctx"]["expected_tags"]).split(", ")]
    name = str(details["ctx"]["tag"])
    return f"there is no parameter type {name!r}{suggestion(name, known)}"


def _no_type_tag(details: ErrorDetails, path: FieldPath, field: FieldInfo | None, section: object) -> str:
    del path, field, section
    written = details["input"]
    kinds = "float, int, choice, ordinal or constant"
    if isinstance(written, Mapping):
        return f"type is missing; write type: {kinds}"
    if isinstance(written, list):
        return f"expected a mapping, found a list; write {{type: choice, values: {flow(written)}}}"
    if written is None:
        return f"is empty; write {{type: …}}, with {kinds}"
    remedy = f"for a fixed value write {{type: constant, value: {flow(written)}}}"
    return f"expected a mapping, found {found(written)}; {remedy}"


def _example(field: FieldInfo | None) -> str:
    if field is None or not field.examples:
        return ""
    return f"; for example {flow(field.examples[0])}"


def flow(value: Any) -> str:
    """A value as it would be written on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and _NEEDS_NO_QUOTES.fullmatch(value) and _stays_text(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _stays_text(value: str) -> bool:
    try:
        return read_plain_scalar(value) == value
    except ValueError:
        return False


_WORDS: Mapping[str, Words] = {
    "value_error": _our_own,
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _one_of,
    "union_tag_invalid": _wrong_type_tag,
    "union_tag_not_found": _no_type_tag,
    "model_type": _expected("a mapping"),
    "model_attributes_type": _no_type_tag,
    "dict_type": _expected("a mapping"),
    "list_type": _expected("a list"),
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
}
