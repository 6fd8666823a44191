"""Where machines come from, and what each provider wants to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from clustertune.definition.hosts import HostField, Port
from clustertune.model.errors import NoSuchName


class Providers(Protocol):
    """Names, and the options of each. Raises a Mistake for a name that cannot be used."""

    def provider_names(self) -> Sequence[str]: ...
    def provider_options(self, name: str) -> type[Any]:
        """A frozen dataclass; the metadata of its fields holds doc, and as wanted minimum, maximum, examples."""
        ...


_SLOTS = {
    "doc": "How many trials run at once on each machine, whatever their CPUs. Default: as many as fit.",
    "minimum": 1,
    "examples": [4],
}


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """This machine itself."""

    slots: int | None = field(default=None, metadata=_SLOTS)


@dataclass(frozen=True, slots=True)
class SshOptions:
    """Machines that the user can log in to."""

    hosts: list[HostField] = field(
        metadata={
            "doc": "The machines: aliases of ~/.ssh/config, user@host:port, or mappings with host, user, port, "
            "identity, jump and slots.",
            "examples": [["gpu1", "ubuntu@10.0.0.7:2222"]],
        }
    )
    user: str | None = field(
        default=None, metadata={"doc": "Who logs in, where a host does not say.", "examples": ["ubuntu"]}
    )
    port: Port | None = field(
        default=None, metadata={"doc": "Where sshd listens, where a host does not say.", "examples": [2222]}
    )
    identity: str | None = field(
        default=None,
        metadata={
            "doc": "The file of the private key. Default: as ssh does: ~/.ssh/config, an agent, ~/.ssh/id_*.",
            "examples": ["~/.ssh/id_ed25519"],
        },
    )
    jump: str | None = field(
        default=None, metadata={"doc": "The host through which the machines are reached.", "examples": ["bastion"]}
    )
    ssh_config: str | None = field(
        default=None, metadata={"doc": "Read instead of ~/.ssh/config, as with ssh -F.", "examples": ["./ssh_config"]}
    )
    slots: int | None = field(default=None, metadata=_SLOTS)


_PATHS = ("identity", "ssh_config")


def with_paths_from(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as whoever is elsewhere can read them: files on this machine stand beside the definition."""
    found = {name: _absolute(folder, value) if name in _PATHS else value for name, value in options.items()}
    if isinstance(hosts := found.get("hosts"), list):
        found["hosts"] = [with_paths_from(folder, host) for host in hosts]
    return found


def _absolute(folder: Path, written: object) -> object:
    return str((folder / Path(written).expanduser()).absolute()) if isinstance(written, str) and written else written


_BUILT_IN: dict[str, type[Any]] = {"local": LocalOptions, "ssh": SshOptions}


class BuiltInProviders:
    """The providers of this version."""

    def provider_names(self) -> Sequence[str]:
        return list(_BUILT_IN)

    def provider_options(self, name: str) -> type[Any]:
        """Raises NoSuchName."""
        if name not in _BUILT_IN:
            raise NoSuchName("provider", name, self.provider_names())
        return _BUILT_IN[name]
