"""Parameters of the search space, as they are written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from clustertune.definition.document import FieldPath
from clustertune.definition.fields import Flag, Integer, Number, Scalar, Section, found, read_scalar
from clustertune.model.space import (
    Choice,
    Condition,
    Constant,
    Float,
    Int,
    InvalidParameter,
    Ordinal,
    Parameter,
    Space,
    condition_problems,
    constraint_problems,
)


def read_condition(value: object) -> object:
    """``{solver: sgd}`` or ``{solver: [sgd, adam]}``, with every value made a list."""
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping such as {{solver: sgd}}, found {found(value)}")  # noqa: TRY004
    return {name: _values(given) for name, given in value.items()}


def _values(given: object) -> list[object]:
    return [read_scalar(value) for value in (given if isinstance(given, list) else [given])]


When = Annotated[
    dict[str, list[Scalar]],
    BeforeValidator(read_condition),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    {"type": ["string", "number", "boolean"]},
                    {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1},
                ]
            },
        }
    ),
]

_WHEN = "The parameter is only there where each parameter named here is, and has the value, or one of the values."
_CONDITION: Any = Field(default_factory=dict, description=_WHEN, examples=[{"solver": "sgd"}])
_LOG = "Drawn evenly on a logarithmic scale, for what matters by factors; needs low > 0."


class FloatField(Section):
    """A real number between two bounds."""

    type: Literal["float"]
    low: Number = Field(description="The least value, included.", examples=[1e-4])
    high: Number = Field(description="The greatest value, included.", examples=[1.0])
    log: Flag = Field(default=False, description=_LOG, examples=[True])
    step: Number | None = Field(default=None, description="Only low, low + step, …, high.", examples=[0.1])
    when: When = _CONDITION

    def build(self) -> Parameter:
        return Float(self.low, self.high, self.log, self.step)


class IntField(Section):
    """An integer between two bounds."""

    type: Literal["int"]
    low: Integer = Field(description="The least value, included.", examples=[8])
    high: Integer = Field(description="The greatest value, included.", examples=[256])
    log: Flag = Field(default=False, description=_LOG, examples=[True])
    step: Integer | None = Field(default=None, description="Only low, low + step, …, high.", examples=[8])
    when: When = _CONDITION

    def build(self) -> Parameter:
        return Int(self.low, self.high, self.log, self.step)


class ChoiceField(Section):
    """One of several values without an order."""

    type: Literal["choice"]
    values: list[Scalar] = Field(description="The values: text, numbers, true, false.", examples=[["sgd", "adam"]])
    when: When = _CONDITION

    def build(self) -> Parameter:
        return Choice(tuple(self.values))


class OrdinalField(Section):
    """One of several values that are in order, so that neighbours are alike."""

    type: Literal["ordinal"]
    values: list[Scalar] = Field(description="The values, in order.", examples=[[16, 32, 64]])
    when: When = _CONDITION

    def build(self) -> Parameter:
        return Ordinal(tuple(self.values))


class ConstantField(Section):
    """The same value for every trial."""

    type: Literal["constant"]
    value: Scalar = Field(description="The value.", examples=[0.1])
    when: When = _CONDITION

    def build(self) -> Parameter:
        return Constant(self.value)


PARAMETER_TYPES: Mapping[str, type[Section]] = {
    "float": FloatField,
    "int": IntField,
    "choice": ChoiceField,
    "ordinal": OrdinalField,
    "constant": ConstantField,
}

AnyParameterField = FloatField | IntField | ChoiceField | OrdinalField | ConstantField

ParameterField = Annotated[AnyParameterField, Field(discriminator="type")]


def build_space(written: Mapping[str, AnyParameterField], constraints: Sequence[str] = ()) -> Space:
    """The space that the fields describe. Raises ValueError; ``space_problems`` says all that is wrong."""
    return Space({name: field.build() for name, field in written.items()}, _conditions(written), constraints)


def space_problems(
    written: Mapping[str, AnyParameterField], constraints: Sequence[str] = (), declared: Collection[str] = ()
) -> Iterator[tuple[FieldPath, str]]:
    """Everything that keeps the fields from being a space, and where.

    ``declared`` names parameters that are not among the fields, because they are broken.
    """
    parameters: dict[str, Parameter] = {}
    for name, field in written.items():
        try:
            parameters[name] = field.build()
        except InvalidParameter as error:
            yield ("space", name, error.field), str(error)
    # What a broken parameter could be is unknown, and so is what depends on it.
    broken = {*declared, *written} - set(parameters)
    conditions = {
        name: {parent: values for parent, values in condition.items() if parent not in broken}
        for name, condition in _conditions(written).items()
        if name in parameters
    }
    for name, message in condition_problems(parameters, conditions, also=broken):
        yield ("space", name, "when"), message
    for index, message in constraint_problems(parameters, constraints, unknown=broken):
        yield ("constraints", index), message


def _conditions(written: Mapping[str, AnyParameterField]) -> Mapping[str, Condition]:
    conditions: dict[str, Any] = {}
    for name, field in written.items():
        if field.when:
            conditions[name] = {parent: tuple(values) for parent, values in field.when.items()}
    return conditions
