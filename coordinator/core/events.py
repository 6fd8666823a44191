"""What happened, as the core is told."""

from __future__ import annotations

from collections.abc import Mapping

from clustertune.model.checkpoint import SavedKind
from clustertune.model.instance import Inventory
from clustertune.model.trial import Config, Ending, Report
from clustertune.model.values import value


@value()
class Booted:
    """The coordinator has read its journal. ``last`` is the time of its last fact."""

    last: float


@value()
class Ticked:
    """A second or so has passed."""


@value()
class Submitted:
    """A user handed in an experiment; ``experiment`` is a name that is free. ``snapshot``: as in a submission."""

    experiment: str
    definition: Mapping[str, object]
    workdir: str
    python: str
    snapshot: str = ""


@value()
class PauseAsked:
    experiment: str


@value()
class ResumeAsked:
    """``secrets``: the coordinator holds the experiment's secrets (again)."""

    experiment: str
    secrets: bool = True


@value()
class StopAsked:
    experiment: str


@value()
class UpAsked:
    """A user wants the machines there, before there is anything to run."""


@value()
class DownAsked:
    """A user wants the machines gone."""


@value()
class LaunchFailed:
    """The provider did not give the machine. ``retry``: it may another time."""

    instance: str
    epoch: int
    error: str
    retry: bool = True


@value()
class AgentConnected:
    instance: str
    epoch: int
    inventory: Inventory


@value()
class AgentDisconnected:
    instance: str
    epoch: int


@value()
class InstanceVanished:
    """The provider knows that the machine, or its agent, is no more."""

    instance: str
    epoch: int
    reason: str


@value()
class AttemptRan:
    """The agent started the attempt's process."""

    instance: str
    epoch: int
    attempt: str


@value()
class Reported:
    """What an attempt reported, and what its agent had to remark."""

    instance: str
    epoch: int
    attempt: str
    reports: tuple[Report, ...]
    notices: tuple[str, ...] = ()


@value()
class AttemptOver:
    instance: str
    epoch: int
    attempt: str
    ending: Ending


@value()
class CheckpointSaved:
    """The agent holds something whole of the attempt's."""

    instance: str
    epoch: int
    attempt: str
    kind: SavedKind
    resource: int
    digest: str
    size_bytes: int
    wanted: bool


@value()
class CheckpointsHeld:
    """All that the agent holds of what it told, digests by attempt."""

    instance: str
    epoch: int
    digests: Mapping[str, tuple[str, ...]]


@value()
class CheckpointStored:
    """What an attempt saved is in the storage, whole."""

    attempt: str
    digest: str


@value()
class StoringFailed:
    """The agent cannot bring it to the storage, for now."""

    instance: str
    epoch: int
    attempt: str
    digest: str
    error: str


@value()
class CheckpointDeleted:
    """The storage does not hold it any more."""

    experiment: str
    digest: str


@value()
class StorageTidied:
    """What ``TidyStorage`` asked for is done."""

    experiment: str


@value()
class Suggested:
    """A slow searcher's proposals, made from the first ``known`` things that it was told.

    None: there is nothing more to try.
    """

    experiment: str
    known: int
    configs: tuple[Config, ...]


@value()
class SuggestingFailed:
    """A slow searcher proposes nothing for now: it raised, or its process died.

    No ``error``: it was ended on purpose.
    """

    experiment: str
    error: str


@value()
class AttemptDescribed:
    """What ran: ``provenance`` names ``content``, which comes along the first time."""

    instance: str
    epoch: int
    attempt: str
    provenance: str
    content: Mapping[str, object]
    told: Mapping[str, str]


Happening = (
    Booted
    | Ticked
    | Submitted
    | PauseAsked
    | ResumeAsked
    | StopAsked
    | UpAsked
    | DownAsked
    | LaunchFailed
    | AgentConnected
    | AgentDisconnected
    | InstanceVanished
    | AttemptRan
    | Reported
    | AttemptOver
    | CheckpointSaved
    | CheckpointsHeld
    | CheckpointStored
    | StoringFailed
    | CheckpointDeleted
    | StorageTidied
    | Suggested
    | SuggestingFailed
    | AttemptDescribed
)
