"""What the journal holds: the inputs that mattered and the decisions that came of them. State is the fold of these."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field

from clustertune.model.checkpoint import CheckpointRef, SavedKind
from clustertune.model.codec import FieldError, from_plain, to_plain
from clustertune.model.errors import JournalDamaged
from clustertune.model.front import Measured
from clustertune.model.instance import Inventory
from clustertune.model.trial import AttemptId, Config, Ending, ExperimentState, TrialState
from clustertune.model.values import value
from clustertune.search.contracts import EarlierExperiment


@value()
class ExperimentCreated:
    """``definition`` is what ``ExperimentDefinition.to_plain`` gave.

    ``earlier`` is what was known then of the experiments that it names for a warm start, and ``first`` are
    configurations of theirs that are tried right after the user's own. ``packages``: name and version of those that
    the searcher and the scheduler came from, where they are not ours. ``snapshot`` is the digest of the program that
    was sent along, and ``workdir`` lies in it; empty where the program runs where it lies.
    """

    experiment: str
    definition: Mapping[str, object]
    workdir: str
    python: str
    earlier: tuple[EarlierExperiment, ...] = ()
    first: tuple[Config, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    snapshot: str = ""


@value()
class ExperimentChanged:
    """The experiment is in another state; ``failure`` is the text to show when it failed."""

    experiment: str
    state: ExperimentState
    reason: str = ""
    failure: str = ""


@value()
class AlgorithmFailed:
    """The searcher or the scheduler raised, or answered what nobody can use: none of them is asked from here on."""

    experiment: str
    reason: str
    trace: str = ""


@value()
class TrialCreated:
    """The searcher's suggestion, or a clone of ``parent``.

    ``observations``: how much it was computed from: the number of reports that the scheduler had seen, or for a slow
    searcher how many things it had been told. ``source``: what stood in for the searcher; empty where nothing did.
    ``level``: what the parent had reached, and a clone is to begin at.
    """

    experiment: str
    trial: int
    config: Config
    observations: int = 0
    parent: int | None = None
    source: str = ""
    level: int = 0


@value()
class SearchExhausted:
    """The searcher has nothing more to propose."""

    experiment: str


@value()
class TrialMoved:
    """A trial without a running attempt changed its state."""

    experiment: str
    trial: int
    state: TrialState


@value()
class AttemptPlaced:
    """An attempt of the trial belongs to this agent's epoch from now on."""

    experiment: str
    trial: int
    attempt: int
    instance: str
    epoch: int
    gpus: tuple[int, ...] = ()
    checkpoint: CheckpointRef | None = None
    target: int | None = None


@value()
class AttemptStarted:
    """The agent said that the attempt's process exists."""

    experiment: str
    trial: int


@value()
class StopOrdered:
    """The current attempt is to end: ``stopped`` for good, or ``paused``."""

    experiment: str
    trial: int
    reason: str


@value()
class RungReached:
    """The scheduler saw a report that it had asked for, and decided.

    Where there are several objectives, or constraints on metrics, ``loss`` is the standing that it was given and
    ``measured`` what it was given for; None where that was not finite.
    """

    experiment: str
    trial: int
    resource: int
    loss: float
    decision: str
    measured: Measured | None = None


@value()
class Improved:
    """The trial is the incumbent.

    Where there are several objectives, ``front`` are the trials that no other beats, and the incumbent is the
    compromise among them; ``loss`` is that of the first objective. ``violation``: by how much it breaks constraints.
    ``instead_of``: who was the incumbent, or on the front, and ended infeasible; nothing has improved then.
    """

    experiment: str
    trial: int
    resource: int
    loss: float
    violation: float = 0.0
    front: tuple[int, ...] = ()
    instead_of: int | None = None


@value()
class AttemptEnded:
    """How the current attempt ended, and what that made of its trial.

    ``loss`` is the trial's value, reached at level ``resource``, where this was its end and it has one; where there are
    several objectives, or constraints on metrics, the standing of that value, which is ``measured``.
    """

    experiment: str
    trial: int
    attempt: int
    ending: Ending
    state: TrialState
    resource: int | None = None
    loss: float | None = None
    measured: Measured | None = None


@value()
class CheckpointSaved:
    """Something whole lies with an agent's epoch."""

    experiment: str
    trial: int
    attempt: AttemptId
    instance: str
    epoch: int
    kind: SavedKind
    ref: CheckpointRef
    wanted: bool


@value()
class CheckpointOrdered:
    """It is to be brought to the storage."""

    experiment: str
    trial: int
    digest: str


@value()
class CheckpointStored:
    """It is in the storage, whole."""

    experiment: str
    trial: int
    digest: str


@value()
class CheckpointDropped:
    """Nobody needs it, or it had to be given up: ``reason``."""

    experiment: str
    trial: int
    attempt: AttemptId
    digest: str
    reason: str = ""


@value()
class CheckpointDeleted:
    """What was dropped is not in the storage any more."""

    experiment: str
    digest: str


@value()
class StorageTidied:
    """After the experiment's end nothing is left of it in its storage but what is kept."""

    experiment: str


@value()
class ProvenanceKnown:
    """A description of what attempts run: code, interpreter, packages, machine. Many share one."""

    provenance: str
    content: Mapping[str, object]


@value()
class TrialDescribed:
    """What the trial's last attempt ran, and what its program said of itself."""

    experiment: str
    trial: int
    attempt: AttemptId
    provenance: str = ""
    told: Mapping[str, str] = field(default_factory=dict)


@value()
class InstanceLaunched:
    """The intent to launch, with the hash of the token that the agent will hold; written before the launch."""

    instance: str
    epoch: int
    token_hash: str


@value()
class InstanceReady:
    """The agent said hello."""

    instance: str
    epoch: int
    inventory: Inventory


@value()
class InstanceGone:
    """This epoch of the instance is over; its attempts were ended as lost before this."""

    instance: str
    epoch: int
    reason: str


@value()
class Restarted:
    """The coordinator came back; what passed since ``last`` was nobody's running time."""

    last: float
    experiments: tuple[str, ...] = field(default=())


Fact = (
    ExperimentCreated
    | ExperimentChanged
    | AlgorithmFailed
    | TrialCreated
    | SearchExhausted
    | TrialMoved
    | AttemptPlaced
    | AttemptStarted
    | StopOrdered
    | RungReached
    | Improved
    | AttemptEnded
    | CheckpointSaved
    | CheckpointOrdered
    | CheckpointStored
    | CheckpointDropped
    | CheckpointDeleted
    | StorageTidied
    | ProvenanceKnown
    | TrialDescribed
    | InstanceLaunched
    | InstanceReady
    | InstanceGone
    | Restarted
)

_VERSIONS: dict[type, int] = {
    **dict.fromkeys(Fact.__args__, 1),
    **dict.fromkeys((TrialCreated, AttemptPlaced, RungReached, AttemptEnded), 2),
    Improved: 3,
    ExperimentCreated: 4,
}
"""The version of each kind that is written now. Reading keeps every version that ever was."""

_KINDS: dict[str, type] = {cls.__name__: cls for cls in _VERSIONS}


def write(fact: Fact) -> tuple[str, int, str]:
    """Kind, version and JSON body."""
    cls = type(fact)
    return cls.__name__, _VERSIONS[cls], json.dumps(to_plain(fact), separators=(",", ":"), allow_nan=False)


def read(kind: str, version: int, body: str) -> Fact:
    """The fact of a journal row. Raises JournalDamaged for what this version cannot read."""
    cls = _KINDS.get(kind)
    if cls is None or version > _VERSIONS[cls]:
        raise JournalDamaged(
            f"the journal holds {kind} version {version}, which this clustertune cannot read; "
            "it was probably written by a newer one: upgrade, or use the one that wrote it"
        )
    try:
        fact: Fact = from_plain(cls, json.loads(body))
    except (FieldError, ValueError) as error:
        raise JournalDamaged(
            f"the journal is damaged: a fact of kind {kind} cannot be read ({error}). Nothing was changed. "
            "Put a copy of the journal back in place, or move it away to begin anew"
        ) from error
    return fact
