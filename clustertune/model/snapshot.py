"""What a coordinator tells its clients: the experiment and the cluster as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clustertune.model.checkpoint import CheckpointRef, SavedKind
from clustertune.model.trial import Config, ExperimentState, TrialState


@dataclass(frozen=True)
class Goal:
    """One of several objectives. ``goal``: minimize or maximize."""

    metric: str
    goal: str


@dataclass(frozen=True)
class FrontPoint:
    """A trial that no other beats in all objectives. ``values`` by metric, those under constraints among them.

    ``failed``: it reported these, and failed later.
    """

    trial: int
    values: Mapping[str, float]
    resource: int
    config: Config
    failed: bool = False


@dataclass(frozen=True)
class Incumbent:
    """The trial with the best value so far. ``value`` has the user's sign.

    Of several objectives it is the compromise on the front, and ``value`` is that of the first. ``values`` has each
    metric that counts, where that is more than one; ``broken`` says which metric constraints it breaks: all others
    break some, too.
    """

    trial: int
    value: float
    resource: int
    config: Config
    values: Mapping[str, float] = field(default_factory=dict)
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialRow:
    """One trial. ``value`` is its best report (or last, as the objective says), with the user's sign.

    ``elapsed_s`` is the time that its attempts ran, all together. ``error`` is one line about the last failure.
    ``source`` says what proposed the configuration where it was not the searcher: ``initial`` (the user), ``earlier``
    (an experiment that the warm start names), ``design`` (the searcher had nothing to learn from yet), ``fill-in`` (it
    had nothing ready), ``scheduler``. Of several objectives ``value`` is that of the first. ``values`` has each metric
    that counts, where that is more than one; ``violation``: by how much metric constraints are broken; ``front``: no
    other trial is better. ``cloned_from``: the trial whose checkpoint a clone began from, at the level ``begins_at``.
    """

    trial: int
    state: TrialState
    attempts: int
    resource: int | None
    value: float | None
    last_value: float | None
    elapsed_s: float
    config: Config
    instance: str = ""
    error: str = ""
    notices: tuple[str, ...] = ()
    source: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    violation: float = 0.0
    front: bool = False
    cloned_from: int | None = None
    begins_at: int = 0


@dataclass(frozen=True)
class Event:
    """Something worth a line to a person. ``id`` grows, also across restarts of the coordinator."""

    id: int
    time: float  # seconds since 1970
    level: str  # "info" | "warning" | "error"
    kind: str  # "best", "trial-started", "trial-ended", "experiment", "instance", "notice"
    text: str
    trial: int | None = None


@dataclass(frozen=True)
class ExperimentSummary:
    """One line of `clustertune list`. Several ``objectives`` have a ``front`` of so many trials.

    ``keeps``: the best keeps all metric constraints.
    """

    name: str
    state: ExperimentState
    created: float  # seconds since 1970
    elapsed_s: float
    trials: int
    limit: int | None
    metric: str
    goal: str
    best: float | None
    cluster: str
    objectives: tuple[Goal, ...] = ()
    front: int = 0
    keeps: bool = True


@dataclass(frozen=True)
class ExperimentSnapshot:
    """All that a live view needs, in one answer.

    ``elapsed_s`` counts only the time that the experiment was running. ``limit`` is how many trials it may create;
    None where only a grid or a stop condition bounds them. ``counts`` has every trial state. ``running`` are trials
    that occupy a slot, ``recent`` the last ten that ended or were paused, newest first. ``problem`` is a standing
    trouble (a full disk, no machine), empty when all is well; ``waiting`` says why nothing runs where something should.
    ``failure`` is what ended a failed experiment, with the first traceback. ``folder`` is the results' folder on the
    coordinator's machine. ``secrets`` are the names of those that the definition asks for: who resumes hands them over.
    ``grace_s`` is how long a trial that is stopped, or paused, may take before it is killed. ``objectives`` are there
    where there are several: ``metric`` is the first then, ``front`` how many trials no other beats, and the best one
    the compromise among them. ``wanted`` are the metrics that every report must hold.
    """

    name: str
    state: ExperimentState
    cluster: str
    reason: str
    metric: str
    goal: str
    resource: str
    max_resource: int | None
    searcher: str
    scheduler: str
    seed: int
    limit: int | None
    counts: Mapping[str, int]
    reports: int
    best: Incumbent | None
    running: tuple[TrialRow, ...]
    recent: tuple[TrialRow, ...]
    created: float
    elapsed_s: float
    time_limit_s: float | None
    cost_usd: float
    slots_used: int
    slots: int
    instances: int
    problem: str = ""
    waiting: str = ""
    failure: str = ""
    folder: str = ""
    events: tuple[Event, ...] = ()
    secrets: tuple[str, ...] = ()
    grace_s: float = 10.0
    objectives: tuple[Goal, ...] = ()
    front: int = 0
    wanted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """Something that a trial left. ``stored``: it can be fetched."""

    kind: SavedKind
    ref: CheckpointRef
    stored: bool


@dataclass(frozen=True)
class BestTrial:
    """The incumbent, or a trial that was ``named`` by its number, and all that is known of it.

    ``provenance`` is what ran: code, interpreter, packages, machine; ``told`` what the program said of itself.
    ``ended``: the trial will leave nothing more. Where there are several ``objectives`` it is the compromise on the
    ``front``. ``values`` and ``broken`` are as in ``Incumbent``.
    """

    experiment: str
    metric: str
    goal: str
    resource_name: str
    trial: int
    attempt: int
    state: TrialState
    ended: bool
    value: float
    resource: int
    config: Config
    seed: int
    artifacts: tuple[Artifact, ...] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    objectives: tuple[Goal, ...] = ()
    front: tuple[FrontPoint, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    named: bool = False


@dataclass(frozen=True)
class InstanceRow:
    """One machine of the cluster. ``problem`` keeps it from coming up; ``doing`` is what is done to bring it up."""

    instance: str
    state: str  # "down" | "launching" | "ready" | "unreachable" | "failing"
    epoch: int = 0
    cpus: float = 0.0
    memory_bytes: int = 0
    gpus: int = 0
    attempts: tuple[str, ...] = ()
    problem: str = ""
    doing: str = ""


@dataclass(frozen=True)
class ClusterSnapshot:
    """The coordinator and its machines."""

    cluster: str
    provider: str
    version: str
    protocol: int
    pid: int
    uptime_s: float
    experiments: tuple[ExperimentSummary, ...] = ()
    instances: tuple[InstanceRow, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class LogPage:
    """A piece of an attempt's log, from ``offset`` bytes. ``end`` says that nothing more will come."""

    attempt: str
    offset: int
    next_offset: int
    text: str
    end: bool
    missing: str = ""


@dataclass(frozen=True)
class Submission:
    """An experiment handed to a coordinator: the definition as plain JSON values, already checked.

    ``secrets`` are values by name; the coordinator keeps them in memory only. ``snapshot`` is the digest of the
    program that was sent along, and ``workdir`` a folder in it (empty: the snapshot's own); without one, ``workdir`` is
    absolute, and the program runs where it lies.
    """

    definition: Mapping[str, object]
    workdir: str
    secrets: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    snapshot: str = ""
