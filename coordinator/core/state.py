"""The whole as it is now: experiments, trials, attempts, instances. It is the fold of the facts."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from clustertune.coordinator.core.ahead import Ahead
from clustertune.coordinator.core.guarded import GuardedScheduler, GuardedSearcher
from clustertune.coordinator.core.line import Line
from clustertune.coordinator.core.objectives import Objectives
from clustertune.coordinator.core.placement import Room
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.checkpoint import CheckpointRef, SavedKind
from clustertune.model.front import Measured
from clustertune.model.instance import Demand
from clustertune.model.messages import CheckpointPolicy, MetricPattern, RunSpec
from clustertune.model.trial import AttemptId, Config, ExperimentState, TrialState, check_transition

EVENTS_KEPT = 1000
"""How many lines for people an experiment remembers."""

NOTICES_KEPT = 5


@dataclass(slots=True)
class Kept:
    """A checkpoint or a result of a trial: on the disk of the agent's epoch that made it, in the storage, or both.

    ``ordered``: it is to be in the storage; ``wanted``: somebody waits for it; ``trouble``: what last kept the agent
    from storing it.
    """

    ref: CheckpointRef
    kind: SavedKind
    attempt: AttemptId
    instance: str
    epoch: int
    wanted: bool = True
    ordered: bool = False
    stored: bool = False
    trouble: str = ""

    @property
    def on_its_way(self) -> bool:
        """Whether it is to be in the storage, and is not yet."""
        return self.ordered and not self.stored


@dataclass(slots=True)
class Attempt:
    """The execution of a trial that holds a slot now. ``stop`` is why it was told to end, empty while it is not.

    ``checkpoint`` is where it began, ``target`` what it was told to reach.
    """

    id: AttemptId
    number: int
    instance: str
    epoch: int
    gpus: tuple[int, ...]
    since: float
    started: bool = False
    stop: str = ""
    resource: int = 0
    checkpoint: CheckpointRef | None = None
    target: int | None = None


@dataclass(slots=True)
class Trial:
    """One configuration.

    ``held``: paused because its experiment is; ``parked``: because the scheduler said so. A clone of ``parent`` begins
    at ``origin``; ``awaits`` says that the parent has yet to save that. ``source``: what proposed it instead of the
    searcher. Where there are several objectives, or constraints on metrics, ``measured`` is what the trial is worth,
    ``values`` are the metrics that count, and the losses are those of the first objective. ``ended_before``: how many
    trials had ended without an improvement when this one became the best; they count again should it end infeasible.
    """

    number: int
    config: Config
    state: TrialState = TrialState.PENDING
    attempts: int = 0
    current: Attempt | None = None
    failures: int = 0
    resource: int | None = None
    best_loss: float = math.inf
    best_resource: int | None = None
    last_loss: float | None = None
    elapsed_s: float = 0.0
    held: bool = False
    cut: bool = False
    unstartable: bool = False
    error: str = ""
    notices: tuple[str, ...] = ()
    target: int | None = None
    parked: bool = False
    kept: list[Kept] = field(default_factory=list)
    parent: int | None = None
    origin: CheckpointRef | None = None
    awaits: bool = False
    provenance: str = ""
    told: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    measured: Measured | None = None
    values: Mapping[str, float] | None = None
    ended_before: int = 0

    def newest(self, kind: SavedKind = SavedKind.CHECKPOINT, *, stored: bool = False) -> Kept | None:
        """The one that took it furthest, of equals the last made; with ``stored``, of those in the storage."""
        if not self.kept:
            return None
        found = [kept for kept in self.kept if kept.kind is kind and (kept.stored or not stored)]
        return max(reversed(found), key=lambda kept: kept.ref.resource, default=None)


@dataclass(slots=True)
class Experiment:
    """One search and all that it has come to.

    ``keepers`` are trials that have checkpoints or results, ``senders`` those with some on its way to the storage;
    ``heirs`` clones that have not ended, of ``clones`` in all; ``deleting`` are digests that nobody needs and that may
    still be in the storage; ``copies`` says which trials have a digest; ``stored_bytes`` is what the storage holds;
    ``untidy``: transfers may have left something in the storage; ``first``: how many configurations of earlier
    experiments come after the user's own; ``objectives`` are there where one loss does not say what a report is worth;
    ``front``: where there are several, the trials that keep the constraints and that no other beats. ``metric``,
    ``takes_last``, ``top`` (the highest level), ``target``, ``limit`` (of trials), ``parallel`` and ``cumulative`` are
    the definition's. ``fault``: what an algorithm did that none is asked any more, with its ``trace``; ``absent``: why
    they could not even be made.
    """

    name: str
    definition: ExperimentDefinition
    secrets: tuple[str, ...]
    run: RunSpec
    demand: Demand
    searcher: GuardedSearcher | Ahead
    scheduler: GuardedScheduler
    created: float
    sign: float
    objectives: Objectives | None = None
    state: ExperimentState = ExperimentState.RUNNING
    reason: str = ""
    failure: str = ""
    trials: list[Trial] = field(default_factory=list)
    counts: dict[TrialState, int] = field(default_factory=lambda: dict.fromkeys(TrialState, 0))
    pending: deque[int] = field(default_factory=deque)
    active: set[int] = field(default_factory=set)
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=10))
    running_since: float | None = None
    ran_s: float = 0.0
    exhausted: bool = False
    best: int | None = None
    best_loss: float = math.inf
    best_resource: int = 0
    best_violation: float = 0.0
    front: tuple[int, ...] = ()
    ended_since_best: int = 0
    reports: int = 0
    observations: int = 0
    attempts_ended: int = 0
    attempts_s: float = 0.0
    failed_alike: set[int] = field(default_factory=set)
    failure_kind: str | None = None
    started: bool = False
    secrets_missing: bool = False
    keepers: set[int] = field(default_factory=set)
    senders: set[int] = field(default_factory=set)
    clones: int = 0
    heirs: set[int] = field(default_factory=set)
    over_limit: bool = False
    untidy: bool = False
    deleting: set[str] = field(default_factory=set)
    copies: dict[str, set[int]] = field(default_factory=dict)
    stored_bytes: int = 0
    first: int = 0
    fault: str = ""
    trace: str = ""
    absent: str = ""
    events: deque[Line] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    metric: str = field(init=False)
    takes_last: bool = field(init=False)
    top: int | None = field(init=False)
    target: float | None = field(init=False)
    limit: int | None = field(init=False)
    parallel: int | None = field(init=False)
    cumulative: bool = field(init=False)

    def __post_init__(self) -> None:
        # Every report or every trial asks for them, and to look them up in the definition takes five times as long.
        definition, objective = self.definition, self.definition.objective
        self.metric, self.takes_last = objective.metric, objective.take == "last"
        self.top, self.cumulative = definition.resource.max, definition.resource.cumulative
        self.target, self.limit, self.parallel = definition.stop.target, definition.trials, definition.parallel

    @property
    def winners(self) -> tuple[int, ...]:
        """The front, or the one best trial."""
        return self.front or (() if self.best is None else (self.best,))

    @property
    def several(self) -> bool:
        """Whether there are several objectives."""
        return self.objectives is not None and self.objectives.several

    def elapsed_s(self, now: float) -> float:
        """How long it has been running, pauses and absences of the coordinator left out."""
        return self.ran_s + (now - self.running_since if self.running_since is not None else 0.0)

    def can_create(self) -> bool:
        return not self.exhausted and self.left_to_create() > 0

    def left_to_create(self) -> float:
        """How many configurations the searcher may still propose."""
        return math.inf if self.limit is None else self.limit - (len(self.trials) - self.clones)

    def mean_attempt_s(self) -> float:
        """How long attempts took so far; 0 before the first has ended."""
        return self.attempts_s / self.attempts_ended if self.attempts_ended else 0.0

    def note_recent(self, trial: int) -> None:
        """The trial has just ended, or was paused."""
        if trial in self.recent:
            self.recent.remove(trial)
        self.recent.appendleft(trial)

    def drained(self) -> bool:
        """Whether nothing runs, waits, or can be made."""
        return not self.active and not self.pending and not self.can_create()

    def all_kept(self) -> Iterator[Kept]:
        """All that is kept: thousands of things, where thousands of trials are paused."""
        return (kept for number in sorted(self.keepers) for kept in self.trials[number].kept)

    def with_content(self, digest: str) -> Iterator[Kept]:
        """Everything that is kept of one content."""
        holders = (self.trials[number] for number in sorted(self.copies.get(digest, ())))
        return (kept for trial in holders for kept in trial.kept if kept.ref.digest == digest)

    def saving(self) -> Iterator[tuple[Trial, Kept]]:
        """What is on its way to the storage."""
        for trial in [self.trials[number] for number in sorted(self.senders)]:
            yield from ((trial, kept) for kept in trial.kept if kept.on_its_way)

    def note_kept(self, trial: Trial) -> None:
        """Something about what is kept of the trial has changed."""
        (self.keepers.add if trial.kept else self.keepers.discard)(trial.number)
        sends = any(kept.on_its_way for kept in trial.kept)
        (self.senders.add if sends else self.senders.discard)(trial.number)

    def move(self, trial: Trial, new: TrialState) -> None:
        """The one place where a trial's state changes. Raises InvalidTransition and changes nothing."""
        check_transition(trial.number, trial.state, new)
        self.counts[trial.state] -= 1
        self.counts[new] += 1
        trial.state = new


@dataclass(slots=True)
class Instance:
    """One machine and the agent's epoch on it. ``connected`` says whether its link is up now."""

    id: str
    epoch: int
    token_hash: str
    launched: float
    room: Room | None = None
    connected: bool = False
    away_since: float | None = None
    attempts: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return self.room is not None and self.connected


@dataclass(slots=True)
class State:
    """All experiments and instances, and lookups between them."""

    experiments: dict[str, Experiment] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    epochs: Counter[str] = field(default_factory=Counter)
    provenances: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def trial(self, attempt: str) -> tuple[Experiment, Trial] | None:
        """The experiment and trial of an attempt, which may be over."""
        name, _, rest = attempt.rpartition(":")[0].rpartition(":")
        experiment = self.experiments.get(name)
        if experiment is None or not rest.isdecimal() or int(rest) >= len(experiment.trials):
            return None
        return experiment, experiment.trials[int(rest)]

    def attempt(self, attempt: str) -> tuple[Experiment, Trial, Attempt] | None:
        """The experiment and trial whose current attempt this is; None for any other."""
        found = self.trial(attempt)
        if found is None or found[1].current is None or found[1].current.id != attempt:
            return None
        return *found, found[1].current

    def running(self) -> Iterator[Experiment]:
        return (e for e in self.experiments.values() if e.state is ExperimentState.RUNNING)

    def busy(self) -> bool:
        """Whether anything runs, wants to, or is being saved."""
        if next(self.running(), None) is not None or any(i.attempts for i in self.instances.values()):
            return True
        return any(k.instance in self.instances for x in self.experiments.values() for _, k in x.saving())


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What the table of curves knows of one trial; put back into the state after a restart.

    ``finite_loss`` is the last that is a number, at ``finite_resource``.
    """

    experiment: str
    trial: int
    reports: int
    resource: int | None
    last_loss: float | None
    best_loss: float | None
    best_resource: int | None
    finite_loss: float | None = None
    finite_resource: int | None = None


def run_spec(
    definition: ExperimentDefinition, *, workdir: str, python: str, env: Mapping[str, str], pauses: bool
) -> RunSpec:
    """What agents are told to run. ``env``: the cluster's, which the experiment's own overrides."""
    checkpoints = definition.checkpoints
    return RunSpec(
        workdir=workdir,
        call=definition.run.call,
        command=definition.run.command,
        shell=definition.run.shell,
        python=definition.python or python or None,
        env={**env, **definition.env},
        metrics=tuple(MetricPattern(name=m.name, regex=m.regex) for m in definition.metrics),
        objective=definition.objective.metric,
        also=tuple(definition.wanted_metrics[1:]),
        resource=definition.resource.name,
        trial_time_s=definition.trial_time_s,
        grace_s=definition.grace_s,
        checkpoints=CheckpointPolicy(
            every_s=checkpoints.every_s,
            signal=checkpoints.signal,
            save_s=checkpoints.save_time_s,
            bandwidth_bytes_s=checkpoints.bandwidth_bytes_s,
            expected=(pauses and definition.resource.cumulative) or checkpoints.supported is True,
        ),
        pauses=pauses,
        processes=definition.per_trial.group,
        memory_bytes=definition.per_trial.memory_bytes,
    )
