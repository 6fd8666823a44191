"""What happened, as the core is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustertune.model.instance import Inventory
from clustertune.model.trial import Ending, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """The coordinator has read its journal. ``last`` is the time of its last fact."""

    last: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """A second or so has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A user handed in an experiment; ``experiment`` is a name that is free."""

    experiment: str
    definition: Mapping[str, object]
    workdir: str
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseAsked:
    experiment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeAsked:
    """``secrets``: the coordinator holds the experiment's secrets (again)."""

    experiment: str
    secrets: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAsked:
    experiment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchFailed:
    """The provider did not give the machine. ``retry``: it may another time."""

    instance: str
    epoch: int
    error: str
    retry: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConnected:
    instance: str
    epoch: int
    inventory: Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDisconnected:
    instance: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceVanished:
    """The provider knows that the machine, or its agent, is no more."""

    instance: str
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRan:
    """The agent started the attempt's process."""

    instance: str
    epoch: int
    attempt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    instance: str
    epoch: int
    attempt: str
    reports: tuple[Report, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOver:
    instance: str
    epoch: int
    attempt: str
    ending: Ending


Happening = (
    Booted
    | Ticked
    | Submitted
    | PauseAsked
    | ResumeAsked
    | StopAsked
    | LaunchFailed
    | AgentConnected
    | AgentDisconnected
    | InstanceVanished
    | AttemptRan
    | Reported
    | AttemptOver
)
