"""Writes docs/reference/ from the schema: every field, its type, default, meaning and an example.

Run as ``python -m clustertune.definition.reference``; with ``--check`` it only says whether the pages are stale.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from clustertune.definition.algorithms import Registry
from clustertune.definition.schema import json_schema
from clustertune.definition.translation import flow
from clustertune.model.units import format_duration

PAGES: Mapping[str, Literal["experiment", "cluster"]] = {"experiment.md": "experiment", "cluster.md": "cluster"}

_DEFAULT_REGISTRY = "clustertune.search.registry:Registry.default"
"""By name, because definitions know no algorithms: whoever runs this says which there are."""

_SIMPLE = {"string": "text", "boolean": "true/false"}

_INTRODUCTION = {
    "experiment": "An experiment is a YAML file: `clustertune tune FILE`. `run`, `space` and `objective` (or "
    "`objectives`) are the only fields that it must have. Sizes are written as `500MB` or `8GiB`, durations as `90s`, "
    "`1h30m` or `2d`, money as `20 USD`; plain numbers are bytes, seconds and US dollars.",
    "cluster": "A cluster is a YAML file: `clustertune tune EXPERIMENT --cluster FILE`. Without one, experiments run "
    "on this machine, with the defaults below.",
}


def page(which: Literal["experiment", "cluster"], registry: Registry) -> str:
    """The reference of one kind of definition, in Markdown."""
    schema = json_schema(which, registry)
    lines = [
        f"# {which.capitalize()} definition",
        "",
        "<!-- Generated from the schema by `python -m clustertune.definition.reference`; do not edit. -->",
        "",
        _INTRODUCTION[which],
        "",
        *_table(schema, schema),
    ]
    for name, field in schema["properties"].items():
        lines += _section(name, field, schema)
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, field: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    """What stands inside a field, where something does."""
    if name == "space":
        yield from _heading(name, "Each parameter has a name and a `type`; the other fields depend on it.")
        for reference in field["additionalProperties"]["oneOf"]:
            parameter = _resolve(reference, schema)
            yield from (f"### `type: {parameter['properties']['type']['const']}`", "", parameter["description"], "")
            yield from _table(parameter, schema)
    elif "oneOf" in field:
        yield from _heading(name, "A name alone, or a mapping with `type` and the options of that algorithm.")
        for choice in field["oneOf"][1:]:
            yield from (f"### `type: {choice['title']}`", "", choice["description"], "")
            yield from _table(choice, schema)
    elif inside := _inside(field, schema):
        yield from _heading(name, inside.get("description", ""))
        yield from _table(inside, schema)


def _heading(name: str, text: str) -> Iterator[str]:
    yield from (f"## `{name}`", "")
    if text:
        yield from (text.replace("``", "`"), "")


def _inside(field: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    reference = field.get("items", field)
    return _resolve(reference, schema) if "$ref" in reference else None


def _resolve(reference: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema["$defs"][reference["$ref"].rsplit("/", 1)[-1]]
    return found


def _table(section: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    required = section.get("required", [])
    rows = [(name, field) for name, field in section["properties"].items() if name != "type"]
    if not rows:
        yield from ("It has no options.", "")
        return
    yield from ("| field | type | default | meaning | example |", "| --- | --- | --- | --- | --- |")
    for name, field in rows:
        default = "required" if name in required else _default(field)
        cells = (f"`{name}`", _type(field), default, _meaning(field, schema), _example(name, field))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


def _meaning(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A description that says no more than that of the section itself stands only there."""
    described = field if "description" in field or "$ref" not in field else _resolve(field, schema)
    return str(described.get("description", ""))


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if default is None or default in ("", {}, []):
        return ""
    return f"`{format_duration(default) if field.get('title') == 'duration' else flow(default)}`"


def _example(name: str, field: Mapping[str, Any]) -> str:
    examples = field.get("examples") or [value for value in field.get("enum", []) if value != field.get("default")]
    if not examples and isinstance(field.get("default"), bool):
        examples = [not field["default"]]
    if not examples:
        examples = [field["default"] + 1] if isinstance(field.get("default"), int) else []
    return f"`{name}: {flow(examples[0])}`" if examples else ""


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "title" in field and field["title"] in ("duration", "size", "US dollars", "value"):
        return str(field["title"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field:
        kinds = dict.fromkeys(_type(option) for option in field["anyOf"] if option.get("type") != "null")
        return " or ".join(kind for kind in kinds if kind != "integer" or "number" not in kinds)
    if "oneOf" in field:
        return "name or mapping"
    return _plain_type(field)


def _plain_type(field: Mapping[str, Any]) -> str:
    kind = field.get("type")
    if kind == "array":
        return f"list of {_plural(field['items'])}"
    if isinstance(kind, list):
        return " or ".join(_SIMPLE.get(one, str(one)) for one in kind)
    if "$ref" in field or kind == "object":
        return "mapping"
    return _SIMPLE.get(str(kind), str(kind))


def _plural(items: Mapping[str, Any]) -> str:
    return {"text": "texts", "mapping": "mappings", "value": "values"}.get(_type(items), _type(items))


def main(arguments: list[str] | None = None) -> int:
    """0 when the pages are written, or with --check as they should be; 1 when they are stale."""
    parser = argparse.ArgumentParser(description="Write the reference of definitions.")
    parser.add_argument("--folder", type=Path, default=Path("docs/reference"))
    parser.add_argument("--registry", default=_DEFAULT_REGISTRY, help="module:callable that gives the algorithms")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is stale")
    chosen = parser.parse_args(arguments)
    registry: Registry = pkgutil.resolve_name(chosen.registry)()
    pages = {chosen.folder / name: page(which, registry) for name, which in PAGES.items()}
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
    if chosen.check:
        sys.stderr.write(
            "".join(f"{path} is stale; run python -m clustertune.definition.reference\n" for path in stale)
        )
        return 1 if stale else 0
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for path, text in pages.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
