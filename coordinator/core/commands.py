"""What the core wants done, and what one event made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clustertune.coordinator.core.ahead import Told
from clustertune.coordinator.core.facts import Fact
from clustertune.model.checkpoint import CheckpointRef
from clustertune.model.messages import RunSpec
from clustertune.model.trial import AttemptId, Config, Ending
from clustertune.model.values import value


@value()
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


@value()
class StopAttempt:
    """Tell the agent to end this attempt; harmless when it has."""

    instance: str
    attempt: AttemptId
    reason: str


@value()
class CollectLog:
    """The attempt is over: bring its log home."""

    instance: str
    attempt: AttemptId
    ending: Ending


@value()
class Launch:
    """Bring up this epoch of the instance."""

    instance: str
    epoch: int


@value()
class Terminate:
    """The instance is not needed: its agent leaves, its machine goes."""

    instance: str
    epoch: int
    reason: str


@value()
class LetGoOn:
    """Tell the agent that the report at the attempt's target was decided upon: it goes on, to the next one."""

    instance: str
    attempt: AttemptId
    target: int | None


@value()
class AskForCheckpoint:
    """Have the attempt's program save one, and go on."""

    instance: str
    attempt: AttemptId


@value()
class StoreCheckpoint:
    """Have the agent bring what the attempt saved to the storage; harmless when it has."""

    instance: str
    attempt: AttemptId
    digest: str


@value()
class DiscardCheckpoints:
    """Have the agent delete its copies."""

    instance: str
    attempt: AttemptId
    digests: tuple[str, ...]


@value()
class DeleteStored:
    """Nobody needs this any more: delete it from the storage, but for the parts that others share."""

    experiment: str
    digest: str


@value()
class TidyStorage:
    """The experiment is over: delete what broken transfers left of it in its storage."""

    experiment: str


@value()
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


@value(kw_only=False)
class ReportRow:
    """One report for the table of curves. ``observed``: it took its trial further, and counts."""

    experiment: str
    trial: int
    attempt: int
    resource: int
    elapsed_s: float
    loss: float | None
    metrics: Mapping[str, float]
    observed: bool


@dataclass(slots=True)
class Step:
    """What one event came to: facts and rows to write first, then commands to carry out."""

    facts: list[Fact] = field(default_factory=list)
    reports: list[ReportRow] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
