"""A cluster's definition: which machines, and what is the same for all that runs on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError, model_serializer, model_validator

from clustertune.definition.document import Document
from clustertune.definition.fields import EnvironmentValue, PositiveDuration, Section, Text, Words
from clustertune.definition.origin import Origin
from clustertune.definition.translation import translate
from clustertune.model.errors import DefinitionMistake

ELSEWHERE_IDLE_S = 300.0
"""Machines that took a while to be made ready are not let go the moment that nothing runs."""


class ClusterDefinition(Section):
    """The machines that experiments run on. Without any file there is the cluster ``local``: this machine."""

    name: Text = Field(
        default="local",
        description="Default: the name of the file. Lower-case letters, digits, - _ and ., at most 63.",
        examples=["workstation"],
    )
    provider: Words = Field(default="local", description="Where the machines come from.", examples=["local"])
    setup: list[Words] = Field(
        default_factory=list,
        description="Shell commands that make a machine ready, in the workdir; they run again when what they name has "
        "changed. Not for provider local.",
        examples=[["pip install -r requirements.txt"]],
    )
    idle_timeout_s: PositiveDuration = Field(
        default=15.0,
        alias="idle_timeout",
        description="Without an experiment or a question for this long, the coordinator and its agents end; the next "
        "command starts them again. Default: 15s; where machines are elsewhere, 5m.",
        examples=["5m"],
    )
    workdir: Words = Field(
        default=".",
        description="The folder that is sent to machines elsewhere, without what .gitignore names; relative to this "
        "file. Experiments whose own workdir lies in it find all of it there. On this machine programs run where they "
        "lie.",
        examples=["../project"],
    )
    python: Words | None = Field(
        default=None,
        description="The interpreter that trials run in, where the experiment names none; elsewhere a path there. "
        "Default: the current one here; elsewhere the machine's own, and with setup an environment over it.",
        examples=["/opt/venv/bin/python"],
    )
    storage: Words | None = Field(
        default=None,
        description="Where checkpoints are kept: s3://bucket/prefix, gs://bucket/prefix, or an absolute path. "
        "Default: the coordinator's own disk.",
        examples=["s3://bucket/clustertune"],
    )
    env: dict[str, EnvironmentValue] = Field(
        default_factory=dict,
        description="Environment variables of all trials; an experiment's own come before them.",
        examples=[{"HF_HOME": "/data/hf"}],
    )
    secrets: list[Words] = Field(
        default_factory=list,
        description="Names of environment variables to hand to the trials; the values are never written down.",
        examples=[["HF_TOKEN"]],
    )
    options: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """What the provider wants to know besides, complete and checked; in YAML these stand among the other fields."""

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, written: Any) -> Any:
        if not isinstance(written, Mapping):
            return written
        own = {info.alias or name for name, info in cls.model_fields.items()} - {"options"}
        options = {name: value for name, value in written.items() if name not in own}
        patience = {} if written.get("provider", "local") == "local" else {"idle_timeout": ELSEWHERE_IDLE_S}
        return {"options": options, **patience, **{name: value for name, value in written.items() if name in own}}

    @model_serializer(mode="wrap")
    def _flatten(self, handler: Any) -> dict[str, Any]:
        return {**handler(self), **self.options}

    @property
    def elsewhere(self) -> bool:
        """Whether its machines are others than this, so that programs have to be sent there."""
        return self.provider != "local"

    @property
    def slots(self) -> int | None:
        """How many trials run at once on each machine; None: as many as fit."""
        slots: int | None = self.options.get("slots")
        return slots

    @property
    def origin(self) -> Origin:
        """Where this was read, for problems found later."""
        return self._origin

    def from_origin(self, origin: Origin) -> ClusterDefinition:
        """The same definition, which knows where it was read."""
        located = self.model_copy()
        located._origin = origin
        return located

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ClusterDefinition:
        """The definition that ``to_plain`` gave. Raises DefinitionMistake."""
        try:
            return cls.model_validate(dict(plain))
        except ValidationError as error:
            document = Document(tree=dict(plain), file="definition")
            raise DefinitionMistake(translate(error, document, cls)) from error

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, under the names that YAML has, with plain numbers in bytes, seconds and US dollars."""
        return self.model_dump(mode="json", by_alias=True)
