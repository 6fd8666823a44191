"""First in, first out: every trial runs to its end."""

from __future__ import annotations

from dataclasses import dataclass

from clustertune.model.trial import TrialState
from clustertune.search.contracts import Decision, Next, StartNew


@dataclass(frozen=True, slots=True)
class FifoOptions:
    """There is nothing to set."""


class Fifo:
    """Runs every trial to its end, in the order in which they were proposed."""

    Options = FifoOptions

    def __init__(self, *, min_resource: int, max_resource: int | None, seed: int, options: FifoOptions) -> None:
        del min_resource, seed, options
        self._max = max_resource

    def next(self) -> Next:
        """Always a new trial."""
        return StartNew()

    def target(self, trial: int) -> int | None:
        """The maximum, where there is one."""
        del trial
        return self._max

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """Always CONTINUE."""
        del trial, resource, loss
        return Decision.CONTINUE

    def on_end(self, trial: int, state: TrialState) -> None:
        """Nothing depends on it."""
