"""The machines of a cluster over SSH, as people write them: ``gpu1``, ``user@host:port``, or a mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from clustertune.definition.fields import Integer, Section, Words, found

LARGEST_PORT = 65535

_WRITTEN = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[^\]\s]+)\]|(?P<host>[^:\s\[\]]+|[^\s\[\]]*:[^\s\[\]]*:[^\s\[\]]*))(?::(?P<port>\d+))?")  # fmt: skip  # noqa: E501 - one pattern
_HOW = "write it as gpu1, user@host, user@host:port or {host: …, port: …}"


def read_host(value: object) -> object:
    """A host that was written as text, as a mapping."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected a host, found {found(value)}; {_HOW}")  # noqa: TRY004 - pydantic wants it
    match = _WRITTEN.fullmatch(value.strip())
    if match is None or value.strip().startswith("-"):
        raise ValueError(f"{found(value)} is not a host; {_HOW}")
    parts = {"host": match["six"] or match["host"], "user": match["user"]}
    if match["port"] is not None:
        parts["port"] = read_port(int(match["port"]))
    return {name: part for name, part in parts.items() if part is not None}


def read_port(value: object) -> Any:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST_PORT:
        raise ValueError(f"expected a port from 1 to {LARGEST_PORT}, found {found(value)}")
    return value


Port = Annotated[
    int, BeforeValidator(read_port), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LARGEST_PORT})
]


class Host(Section):
    """One machine. What is not said here is as the cluster says, then as ``~/.ssh/config`` says."""

    host: Words = Field(description="An alias of ~/.ssh/config, a name or an address.", examples=["gpu1"])
    user: Words | None = Field(default=None, description="Who logs in.", examples=["ubuntu"])
    port: Port | None = Field(default=None, description="Where sshd listens.", examples=[2222])
    identity: Words | None = Field(
        default=None, description="The file of the private key to log in with.", examples=["~/.ssh/id_ed25519"]
    )
    jump: Words | None = Field(
        default=None, description="The host through which this one is reached.", examples=["bastion"]
    )
    slots: Integer | None = Field(default=None, description="How many trials run at once there.", ge=1, examples=[4])

    @property
    def written(self) -> str:
        """As it is shown to people, and as it tells machines apart."""
        host = f"[{self.host}]" if ":" in self.host and self.port is not None else self.host
        return "".join([f"{self.user}@" if self.user else "", host, f":{self.port}" if self.port is not None else ""])


HostField = Annotated[
    Host,
    BeforeValidator(read_host),
    WithJsonSchema({"anyOf": [{"type": "string"}, Host.model_json_schema()], "title": "host"}),
]
