"""What every searcher and scheduler promises; the coordinator knows no more about any of them.

All values are losses: smaller is better; the sign was turned once, when the definition was read. Where there are
several objectives, or constraints on metrics, a loss is a standing: between 0 and 1, it says how a report ranks among
those at the same level.

Whoever raises, or answers what is not promised here, is not asked again, and its experiment fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState


class NoConfig(Enum):
    """Why a searcher proposes nothing."""

    WAIT = "wait"  # ask again after the next observation
    EXHAUSTED = "exhausted"  # there is nothing more to try


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierTrial:
    """A trial of an earlier experiment.

    ``config`` has those of its values that are values of this space, too; ``share`` is the resource level that it
    reached as a share of the highest that any trial there did; ``loss`` is None where it was worth nothing.
    """

    config: Config
    share: float
    loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierExperiment:
    """What is known of an experiment that was named for a warm start. Its task may be like this one's, or may not."""

    name: str
    trials: tuple[EarlierTrial, ...]


class Searcher(Protocol):
    """Proposes configurations.

    Random choices depend on (seed, trial number) alone, so the order in which trials finish changes nothing for
    searchers that do not learn.
    """

    def suggest(self, trial: int) -> Config | NoConfig:
        """The configuration of trial number ``trial``; numbers are asked for in order, each once."""
        ...

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """``trial`` reached ``resource`` with ``loss``, which may be NaN or infinite."""
        ...

    def forget(self, trial: int) -> None:
        """``trial`` will report no more without having been worth anything (failed, infeasible)."""
        ...


class SlowSearcher(Protocol):
    """Proposes configurations from what it learned, and takes its time: it lives in a process of its own.

    What it proposes is a function of its seed and of what it was told, in that order, and of nothing else: neither of
    the proposals that it made before, nor of a clock. So it can be made anew at any moment and told everything again.
    The coordinator asks ahead of need; where nothing is ready it fills in with a quasi-random configuration.

    Two more, for any class that wants them: ``earlier(experiments)`` is called before anything else where the
    experiment has a warm start, with a sequence of ``EarlierExperiment``; ``observe_all(trial, resource, losses,
    violation)`` in place of ``observe`` where there are several objectives, or constraints on metrics: ``losses``, one
    for each objective, are finite, and ``violation`` is 0 where all constraints are kept. Who has none is told the
    standing.
    """

    @staticmethod
    def design(options: Any, *, space: Space) -> int:
        """How many quasi-random configurations come before the first proposal; at least 1."""
        ...

    def created(self, trial: int, config: Config) -> None:
        """There is such a trial from now on, whoever proposed it. It is pending until it was observed or forgotten."""
        ...

    def observe(self, trial: int, resource: int, loss: float) -> None:
        """``trial`` reached ``resource`` with ``loss``, which may be NaN or infinite. The last word on a level counts.

        The trial may be observed at higher levels later; at its end it is told of once more, with its value and the
        level of that.
        """
        ...

    def forget(self, trial: int) -> None:
        """``trial`` failed or is infeasible, and reports no more."""
        ...

    def propose(self, count: int) -> list[Config]:
        """At most ``count`` (1 or more) configurations, none of them twice nor tried before; none: there are no more.

        The first n of them do not depend on ``count``.
        """
        ...


class Decision(Enum):
    """What becomes of a trial after a report."""

    CONTINUE = "continue"
    STOP = "stop"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Clone:
    """A decision too: the trial is stopped, and a child of ``parent`` with ``config`` takes its place.

    The child begins from the parent's newest checkpoint; a parent that runs is asked for one of now. A trial may be
    its own parent: it saves, ends, and goes on with another configuration. The child is a trial of its own, and does
    not count towards the number of configurations that the searcher may propose.
    """

    parent: int
    config: Config


@dataclass(frozen=True, slots=True)
class StartNew:
    """Create a trial, with the searcher's next configuration, or with this one."""

    config: Config | None = None


@dataclass(frozen=True, slots=True)
class ResumeTrial:
    """Run a paused trial further."""

    trial: int


@dataclass(frozen=True, slots=True)
class StopPausedTrial:
    """A paused trial will never be resumed."""

    trial: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start until something is reported. Where nothing runs or waits to run, this ends the experiment."""


Next = StartNew | ResumeTrial | StopPausedTrial | Wait


class Scheduler(Protocol):
    """Decides which trials run further. NaN, infinity and missing values rank last; ties go to the lower number.

    A class whose schedulers may pause or clone trials has a static ``pauses(options) -> bool`` that says so: its trials
    then wait at their targets for the decision, and their programs must be able to take checkpoints. Such a one has
    ``on_pause(trial)`` too, called when a trial has saved and ended, so that ``next`` may name it, and
    ``on_resume(trial)``, called when it goes on; one that clones, ``on_clone(parent, child, resource)``, called when
    the child is made, with the level that it begins at. What happened before a restart is told again by these,
    ``on_report`` and ``on_end``; ``next`` is not asked again, and changes nothing.

    Three more, for any class that wants them: a constructor that takes ``space`` is given it; ``on_create(trial,
    config)`` is called for each trial before anything else is said of it; ``on_no_more()`` when the last trial was
    created that the searcher may propose, or it has no more to propose: whoever waits for another trial waits in vain.
    """

    def next(self) -> Next:
        """What to do with a free slot. May be asked without anything coming of it."""
        ...

    def target(self, trial: int) -> int | None:
        """The next resource level at which this trial's report is wanted; None: at none."""
        ...

    def on_report(self, trial: int, resource: int, loss: float) -> Decision | Clone:
        """The first report at or beyond ``target(trial)``. Costs O(log n) in the trials recorded."""
        ...

    def on_end(self, trial: int, state: TrialState) -> None:
        """The trial ended and will not run again."""
        ...
