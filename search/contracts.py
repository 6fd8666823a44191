"""What every searcher and scheduler promises; the coordinator knows no more about any of them.

All values are losses: smaller is better; the sign was turned once, when the definition was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from clustertune.model.trial import Config, TrialState


class NoConfig(Enum):
    """Why a searcher proposes nothing."""

    WAIT = "wait"  # ask again after the next observation
    EXHAUSTED = "exhausted"  # there is nothing more to try


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


class Decision(Enum):
    """What becomes of a trial after a report."""

    CONTINUE = "continue"
    STOP = "stop"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class StartNew:
    """Create a trial."""


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
    """Nothing to start until something is reported."""


Next = StartNew | ResumeTrial | StopPausedTrial | Wait


class Scheduler(Protocol):
    """Decides which trials run further. NaN, infinity and missing values rank last; ties go to the lower number."""

    def next(self) -> Next:
        """What to do with a free slot."""
        ...

    def target(self, trial: int) -> int | None:
        """The next resource level at which this trial's report is wanted; None: at none."""
        ...

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """The first report at or beyond ``target(trial)``. Costs O(log n) in the trials recorded."""
        ...

    def on_end(self, trial: int, state: TrialState) -> None:
        """The trial ended and will not run again."""
        ...
