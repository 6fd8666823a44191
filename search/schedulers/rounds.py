"""Round after round of synchronous successive halving: what the synchronous schedulers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clustertune.model.trial import Config, TrialState
from clustertune.search.contracts import Decision, Next, StartNew
from clustertune.search.schedulers.ladder import Bracket
from clustertune.search.schedulers.round import Round


class Rounds:
    """Fills one round after the other, as ``brackets`` says, with new trials.

    A slot for which a round has no trial, because all wait for one that is slow, is given to the next round: so the
    slots stay busy, and a round may begin before the one before it is over, as BOHB does it (Falkner et al. 2018,
    https://arxiv.org/abs/1807.01774). With one slot the rounds are strictly one after the other. An open round has a
    trial that runs or waits for one that does, so there are few, and ``next`` costs little however long it goes on.
    """

    def __init__(self, brackets: Iterable[Bracket], reduction_factor: float) -> None:
        self._brackets: Iterator[Bracket] = iter(brackets)
        self._reduction_factor = reduction_factor
        self._filling: Round | None = None
        self._open: list[Round] = []
        self._of: dict[int, Round] = {}

    @staticmethod
    def pauses(options: object) -> bool:
        """Whoever waits at a rung is paused."""
        del options
        return True

    def next(self) -> Next:
        """What the oldest round wants with a paused trial; a new trial where none wants anything."""
        wishes = (found.wish() for found in self._open)
        return next((wish for wish in wishes if wish is not None), StartNew())

    def on_create(self, trial: int, config: Config) -> None:
        """It takes the next place of the round that is being filled."""
        del config
        if self._filling is None or self._filling.full:
            self._filling = Round(next(self._brackets), self._reduction_factor)
            self._open.append(self._filling)
        self._filling.enter(trial)
        self._of[trial] = self._filling

    def on_no_more(self) -> None:
        """The last round is decided among those that it has."""
        if self._filling is not None:
            self._filling.close()

    def target(self, trial: int) -> int | None:
        """The level at which it is compared next, the maximum at last."""
        found = self._of.get(trial)
        return None if found is None else found.target(trial)

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        """PAUSE where others are waited for; STOP for one that cannot be among the best."""
        found = self._of.get(trial)
        return Decision.CONTINUE if found is None else found.report(trial, resource, loss)

    def on_pause(self, trial: int) -> None:
        """It may be resumed or dismissed from now on."""
        self._of[trial].pause(trial)

    def on_resume(self, trial: int) -> None:
        """It is on its way to the next level."""
        self._of[trial].resume(trial)

    def on_end(self, trial: int, state: TrialState) -> None:
        """However it ended: nobody waits for it."""
        del state
        found = self._of.pop(trial, None)
        if found is not None:
            found.leave(trial)
            if found.over:
                self._open.remove(found)
