"""What the core wants done, and what one event made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from clustertune.coordinator.core.ahead import Told
from clustertune.coordinator.core.facts import Fact
from clustertune.model.checkpoint import CheckpointRef
from clustertune.model.messages import RunSpec
from clustertune.model.trial import AttemptId, Config, Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """Tell the agent to run this attempt; harmless when it does already."""

    instance: str
    experiment: str
    attempt: AttemptId
    config: Config
    run: RunSpec
    target: int | None
    cpus: float
    gpus: tuple[int, ...]
    seed: int
    checkpoint: CheckpointRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAttempt:
    """Tell the agent to end this attempt; harmless when it has."""

    instance: str
    attempt: AttemptId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectLog:
    """The attempt is over: bring its log home."""

    instance: str
    attempt: AttemptId
    ending: Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Bring up this epoch of the instance."""

    instance: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """The instance is not needed: its agent leaves, its machine goes."""

    instance: str
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LetGoOn:
    """Tell the agent that the report at the attempt's target was decided upon: it goes on, to the next one."""

    instance: str
    attempt: AttemptId
    target: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskForCheckpoint:
    """Have the attempt's program save one, and go on."""

    instance: str
    attempt: AttemptId


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCheckpoint:
    """Have the agent bring what the attempt saved to the storage; harmless when it has."""

    instance: str
    attempt: AttemptId
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardCheckpoints:
    """Have the agent delete its copies."""

    instance: str
    attempt: AttemptId
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteStored:
    """Nobody needs this any more: delete it from the storage, but for the parts that others share."""

    experiment: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TidyStorage:
    """The experiment is over: delete what broken transfers left of it in its storage."""

    experiment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggest:
    """Have the experiment's slow searcher propose ``count`` configurations from the first ``known`` things of ``told``.

    ``told`` only grows, and begins with all that earlier commands had: what the searcher was told before may be spared.
    """

    experiment: str
    told: Sequence[Told]
    known: int
    count: int


Command = (
    StartAttempt
    | StopAttempt
    | CollectLog
    | Launch
    | Terminate
    | LetGoOn
    | AskForCheckpoint
    | StoreCheckpoint
    | DiscardCheckpoints
    | DeleteStored
    | TidyStorage
    | Suggest
)


class ReportRow(NamedTuple):
    """One report for the table of curves. ``observed``: it took its trial further, and counts.

    A tuple, because there are so many of them: it is made in a third of the time.
    """

    experiment: str
    trial: int
    attempt: int
    resource: int
    elapsed_s: float
    loss: float | None
    metrics: dict[str, float]
    observed: bool


@dataclass(slots=True)
class Step:
    """What one event came to: facts and rows to write first, then commands to carry out."""

    facts: list[Fact] = field(default_factory=list)
    reports: list[ReportRow] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
