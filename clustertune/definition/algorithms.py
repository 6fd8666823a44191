"""Searchers and schedulers in a definition: which there are is known to a registry that is handed in."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ValidationError, create_model
from pydantic import Field as PydanticField

from clustertune.definition.document import LARGEST_FILE_BYTES, Document, FieldPath
from clustertune.definition.fields import Flag, Integer, Number, Section, Text, found, read_real
from clustertune.definition.translation import translate
from clustertune.model.errors import Mistake, Problem, suggestion
from clustertune.model.space import Space

Kind = Literal["searcher", "scheduler"]

AUTO = "auto"
"""In the place of a name: the registry chooses."""

_LONGEST_NAME = 64


class Chosen(Protocol):
    """What stands for ``auto``: an algorithm, those of its options that are not defaults, and a part of a sentence."""

    @property
    def type(self) -> str: ...
    @property
    def options(self) -> Mapping[str, object]: ...
    @property
    def because(self) -> str: ...


class Registry(Protocol):
    """Which algorithms there are. Whatever takes a name raises a Mistake for one that cannot be used."""

    def searcher_names(self) -> Sequence[str]: ...
    def scheduler_names(self) -> Sequence[str]: ...
    def searcher_options(self, name: str) -> type[Any]:
        """A frozen dataclass; the metadata of its fields holds doc, and as wanted minimum, maximum, examples.

        ``file: True`` says that what is written is the path of a text file, which takes the path's place.
        """
        ...

    def scheduler_options(self, name: str) -> type[Any]: ...
    def searcher_summary(self, name: str) -> str: ...
    def scheduler_summary(self, name: str) -> str: ...
    def searcher_problems(self, name: str, options: Mapping[str, object], *, space: Space) -> Sequence[tuple[str, str]]:
        """(option, message) for each thing that stands in the way; the option is empty for the whole."""
        ...

    def scheduler_problems(
        self,
        name: str,
        options: Mapping[str, object],
        *,
        space: Space | None = None,
        trials: int | None = None,
        min_resource: int,
        max_resource: int | None,
    ) -> Sequence[tuple[str, str]]: ...
    def choose_searcher(
        self, *, space: Space, trials: int | None, parallel: int | None, scheduler: str, earlier: bool
    ) -> Chosen:
        """What suits a scheduler and at most ``trials`` (None: no limit), so many at once, with a past or without."""
        ...

    def choose_scheduler(self, *, min_resource: int, max_resource: int | None, trials: int | None) -> Chosen: ...
    def scheduler_pauses(self, name: str, options: Mapping[str, object]) -> bool:
        """Whether trials may be paused, or cloned, under it. Raises a Mistake."""
        ...


def names(kind: Kind, registry: Registry) -> Sequence[str]:
    return registry.searcher_names() if kind == "searcher" else registry.scheduler_names()


def options_class(kind: Kind, name: str, registry: Registry) -> type[Any]:
    """Raises a Mistake."""
    return registry.searcher_options(name) if kind == "searcher" else registry.scheduler_options(name)


def resolve_choice(
    kind: Kind, written: object, registry: Registry, document: Document
) -> tuple[dict[str, Any] | None, list[Problem]]:
    """The choice with all its options, defaults included; None where there is a problem. AUTO stays as it is."""
    given = {"type": written} if isinstance(written, str) else written
    if isinstance(given, dict) and given.get("type") == AUTO:
        needless = [option for option in given if option != "type"]
        message = f"auto takes no options; name a {kind} to set them{_known(kind, registry)}"
        problems = [document.problem((kind, option), message) for option in needless]
        return (None, problems) if needless else ({"type": AUTO}, [])
    try:
        name = _name(kind, given, registry)
        model = options_model(options_class(kind, name, registry))
    except Mistake as mistake:
        path: FieldPath = (kind, "type") if isinstance(given, dict) and "type" in given else (kind,)
        return None, [document.problem(path if isinstance(written, dict) else (kind,), str(mistake))]
    options = {option: value for option, value in dict(given).items() if option != "type"}  # type: ignore[call-overload]
    try:
        read = model.model_validate(options).model_dump(mode="json")
    except ValidationError as error:
        return None, translate(error, document, model, (kind,))
    try:
        return {"type": name, **read, **_files(options_class(kind, name, registry), read, document)}, []
    except _UnreadableFile as error:
        return None, [document.problem((kind, error.option), str(error))]


class _UnreadableFile(Exception):
    """What the option names is no text file."""

    def __init__(self, option: str, message: str) -> None:
        self.option = option
        super().__init__(message)


def _files(options: type[Any], read: Mapping[str, Any], document: Document) -> dict[str, str]:
    """The text of each file that an option names, beside the definition: an experiment must not depend on its path."""
    folder = Path(document.file).parent if document.file is not None else Path()
    found = {}
    for field in fields(options):
        if not field.metadata.get("file"):
            continue
        path = folder / read[field.name]
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_FILE_BYTES + 1)
            found[field.name] = content.decode()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise _UnreadableFile(field.name, f"{path} cannot be read: {why}") from error
        if len(content) > LARGEST_FILE_BYTES:
            raise _UnreadableFile(field.name, f"{path} is larger than 1 MiB; is it the right file?")
    return found


def _name(kind: Kind, given: object, registry: Registry) -> str:
    if not isinstance(given, dict):
        raise Mistake(f"expected a name or a mapping with a type, found {found(given)}{_known(kind, registry)}")
    name = given.get("type")
    if not isinstance(name, str):
        lead = "type is missing" if name is None else f"expected the name of a {kind}, found {found(name)}"
        raise Mistake(lead + _known(kind, registry))
    if len(name) > _LONGEST_NAME:
        raise Mistake(f"there is no {kind} called {found(name)}{_known(kind, registry)}")
    return name


def _known(kind: Kind, registry: Registry) -> str:
    return suggestion("", (AUTO, *names(kind, registry)))


def options_model(options: type[Any]) -> type[Section]:
    """A section with the fields of an options dataclass."""
    hints = get_type_hints(options, include_extras=True)
    columns: dict[str, Any] = {field.name: _column(field, hints[field.name]) for field in fields(options)}
    model: type[Section] = create_model(options.__name__, __base__=Section, **columns)
    return model


def _column(field: Field[Any], annotation: Any) -> tuple[Any, Any]:
    metadata = field.metadata
    bounds = {key: metadata[key] for key in ("minimum", "maximum") if key in metadata}
    described: dict[str, Any] = {
        "description": metadata.get("doc"),
        "examples": metadata.get("examples"),
        "json_schema_extra": bounds or None,
    }
    if field.default is not MISSING:
        described["default"] = field.default
    elif field.default_factory is not MISSING:
        described["default_factory"] = field.default_factory
    kind = Annotated[_field_type(annotation), AfterValidator(_Within(**bounds))] if bounds else _field_type(annotation)
    return kind, PydanticField(**described)


def _field_type(annotation: Any) -> Any:
    """Our own reading of numbers, flags and text, for the sake of its messages."""
    simple = {bool: Flag, int: Integer, float: Number, str: Text}
    if annotation in simple:
        return simple[annotation]
    members = set(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else set()
    if members == {int, float}:
        return Annotated[int | float, BeforeValidator(read_real)]
    if len(members) == 2 and type(None) in members:
        return _field_type((members - {type(None)}).pop()) | None
    return annotation


class _Within:
    """Checks a number against bounds that are included."""

    def __init__(self, minimum: float | None = None, maximum: float | None = None) -> None:
        self._minimum, self._maximum = minimum, maximum

    def __call__(self, value: Any) -> Any:
        if self._minimum is not None and value is not None and value < self._minimum:
            raise ValueError(f"must be at least {self._minimum:g}, found {found(value)}")
        if self._maximum is not None and value is not None and value > self._maximum:
            raise ValueError(f"must be at most {self._maximum:g}, found {found(value)}")
        return value
