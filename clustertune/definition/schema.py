"""JSON Schema (draft 2020-12) of definitions, for editors and for other programs that write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from clustertune.definition.algorithms import AUTO, Kind, Registry, names, options_class, options_model
from clustertune.definition.cluster import ClusterDefinition
from clustertune.definition.experiment import NAME_PATTERN, ExperimentDefinition
from clustertune.definition.providers import BuiltInProviders, Providers

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _InOrder(GenerateJsonSchema):
    """Leaves fields and examples in the order in which they were written."""

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        del parent_key
        return value


def json_schema(
    which: Literal["experiment", "cluster"], registry: Registry, providers: Providers | None = None
) -> dict[str, Any]:
    """The schema of a definition file, with descriptions, defaults and examples."""
    schema = _experiment(registry) if which == "experiment" else _cluster(providers or BuiltInProviders())
    return {"$schema": DIALECT, **schema}


def _experiment(registry: Registry) -> dict[str, Any]:
    schema = ExperimentDefinition.model_json_schema(schema_generator=_InOrder)
    schema["title"] = "clustertune experiment"
    fields = schema["properties"]
    fields["name"] = _name(fields["name"])
    for kind in ("searcher", "scheduler"):
        fields[kind] = _algorithm_field(kind, fields[kind], registry)
    schema["$defs"].pop("AlgorithmChoice")
    about = {key: fields["objective"][key] for key in ("description", "examples")}
    fields["objective"] = {"$ref": "#/$defs/Objective", **about}
    schema["oneOf"] = [{"required": ["objective"]}, {"required": ["objectives"]}]
    schema["$defs"]["Run"]["oneOf"] = [{"required": ["call"]}, {"required": ["command"]}]
    fields["name"].pop("default", None)  # that of the file
    return schema


def _cluster(providers: Providers) -> dict[str, Any]:
    schema = ClusterDefinition.model_json_schema(schema_generator=_InOrder)
    schema["title"] = "clustertune cluster"
    fields = schema["properties"]
    fields.pop("options")
    fields["name"] = _name(fields["name"])
    fields["provider"] = {**fields["provider"], "enum": list(providers.provider_names())}
    users: dict[str, list[str]] = {}
    for name in providers.provider_names():
        options = _options_schema(providers.provider_options(name))
        for option, field in options["properties"].items():
            others = users.setdefault(option, [])
            others.append(name)
            fields[option] = _mentioning(others, field)
    return schema


def _name(field: dict[str, Any]) -> dict[str, Any]:
    without_default = {key: value for key, value in field.items() if key != "default"}
    return {**without_default, "pattern": f"^{NAME_PATTERN}$"}


def _algorithm_field(kind: Kind, field: dict[str, Any], registry: Registry) -> dict[str, Any]:
    """A bare name, or one of the algorithms with its own options."""
    summary: Callable[[str], str] = registry.searcher_summary if kind == "searcher" else registry.scheduler_summary
    known = names(kind, registry)
    choices = [_algorithm(name, summary(name), options_class(kind, name, registry)) for name in known]
    kept: dict[str, Any] = {key: field[key] for key in ("description", "examples") if key in field}
    return {**kept, "default": AUTO, "oneOf": [{"enum": [AUTO, *known]}, *choices]}


def _algorithm(name: str, summary: str, options: type[Any]) -> dict[str, Any]:
    schema = _options_schema(options)
    return {
        "type": "object",
        "title": name,
        "description": summary,
        "properties": {"type": {"const": name}, **schema["properties"]},
        "required": ["type", *_required(schema)],
        "additionalProperties": False,
    }


def _options_schema(options: type[Any]) -> dict[str, Any]:
    """The schema of an options dataclass, with what it refers to put in its place."""
    schema = options_model(options).model_json_schema(schema_generator=_InOrder)
    inlined: dict[str, Any] = _inline(schema, schema.get("$defs", {}))
    return {"properties": {}, **inlined}


def _inline(part: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inline(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inline(definitions[part["$ref"].rsplit("/", 1)[-1]], definitions)
    return {key: _inline(value, definitions) for key, value in part.items() if key != "$defs"}


def _required(schema: dict[str, Any]) -> Sequence[str]:
    required: Sequence[str] = schema.get("required", [])
    return required


def _mentioning(providers: Sequence[str], field: dict[str, Any]) -> dict[str, Any]:
    return {**field, "description": f"{field.get('description', '')} (provider: {', '.join(providers)})".strip()}
