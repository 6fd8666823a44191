"""Asks searchers and schedulers, and lets none of their mistakes through: one that makes one is not asked again.

What is answered in its place changes nothing, so that the event that was being handled is handled to its end. The
mistake is told at once, and the experiment fails when the event is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clustertune.coordinator.core.fitting import Unfit, fitting, whole_number
from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState
from clustertune.search import blame
from clustertune.search.contracts import (
    Clone,
    Decision,
    Next,
    NoConfig,
    ResumeTrial,
    Scheduler,
    Searcher,
    StartNew,
    StopPausedTrial,
    Wait,
)

if TYPE_CHECKING:
    from clustertune.coordinator.core.state import Trial

_WAIT = Wait()
_CONTINUE, _STOP = Decision.CONTINUE, Decision.STOP
_NOT_ALL_WANT = ("on_create", "on_no_more", "on_pause", "on_resume", "on_clone")
_NO_PAUSES = "its class has no pauses(options) that says that trials may be paused or cloned"


class Blame:
    """Of one algorithm. ``failed`` hears what it did, in one sentence, and the traceback if there is one."""

    def __init__(self, kind: str, name: str, package: Callable[[], str], failed: Callable[[str, str], None]) -> None:
        self._kind, self._name, self._package, self._failed = kind, name, package, failed

    @property
    def who(self) -> str:
        return blame.named(self._kind, self._name, self._package())

    def raised(self, error: Exception, method: str, algorithm: object) -> None:
        self._failed(blame.raised(self.who, error, method, algorithm), blame.trace(error))

    def answered(self, answer: object, method: str, algorithm: object, trouble: str) -> None:
        self._failed(blame.answered(self.who, answer, method, algorithm, trouble), "")


class SilentSearcher:
    """In the place of one that is not asked any more."""

    def suggest(self, trial: int) -> Config | NoConfig:  # noqa: ARG002 - the contract's shape, here and below
        return NoConfig.WAIT

    def observe(self, trial: int, resource: int, loss: float) -> None:
        pass

    def forget(self, trial: int) -> None:
        pass


class SilentScheduler:
    """In the place of one that is not asked any more."""

    def next(self) -> Next:
        return _WAIT

    def target(self, trial: int) -> int | None:  # noqa: ARG002
        return None

    def on_report(self, trial: int, resource: int, loss: float) -> Decision | Clone:  # noqa: ARG002
        return Decision.CONTINUE

    def on_end(self, trial: int, state: TrialState) -> None:
        pass


class GuardedSearcher:
    """A searcher that answers at once; ``asked`` is the algorithm itself."""

    def __init__(self, asked: Searcher, space: Space, blame: Blame) -> None:
        self.asked, self._space, self._blame = asked, space, blame
        self._created: Callable[[int, Config], None] | None = getattr(asked, "created", None)

    def silence(self) -> None:
        self.asked, self._created = SilentSearcher(), None

    def suggest(self, trial: int) -> Config | NoConfig:
        try:
            answer = self.asked.suggest(trial)
        except Exception as error:  # noqa: BLE001 - the boundary of foreign code: it becomes a fact
            self._blame.raised(error, "suggest", self.asked)
            return NoConfig.WAIT
        if type(answer) is NoConfig:
            return answer
        try:
            return fitting(answer, self._space)
        except Unfit as error:
            self._blame.answered(answer, "suggest", self.asked, str(error))
            return NoConfig.WAIT

    def observe(self, trial: int, resource: int, loss: float) -> None:
        try:
            self.asked.observe(trial, resource, loss)
        except Exception as error:  # noqa: BLE001 - as above, here and below
            self._blame.raised(error, "observe", self.asked)

    def forget(self, trial: int) -> None:
        try:
            self.asked.forget(trial)
        except Exception as error:  # noqa: BLE001
            self._blame.raised(error, "forget", self.asked)

    def created(self, trial: int, config: Config) -> None:
        """Told to those that want to know."""
        if self._created is None:
            return
        try:
            self._created(trial, config)
        except Exception as error:  # noqa: BLE001
            self._blame.raised(error, "created", self.asked)


class GuardedScheduler:
    """A scheduler of ``trials``; ``asked`` is the algorithm itself. ``pauses``: it said that it may pause some."""

    def __init__(self, asked: Scheduler, space: Space, trials: Sequence[Trial], blame: Blame, *, pauses: bool) -> None:
        self.asked, self._space, self._trials, self._blame, self._pauses = asked, space, trials, blame, pauses
        # Looked up once: what is not there takes long to be looked for.
        self._told = {what: getattr(asked, what) for what in _NOT_ALL_WANT if hasattr(asked, what)}

    def silence(self) -> None:
        self.asked = SilentScheduler()
        self._told.clear()

    def next(self) -> Next:
        try:
            answer = self.asked.next()
        except Exception as error:  # noqa: BLE001
            self._blame.raised(error, "next", self.asked)
            return _WAIT
        if type(answer) is StartNew and answer.config is None:
            return answer
        try:
            return self._next(answer)
        except Unfit as error:
            self._blame.answered(answer, "next", self.asked, str(error))
            return _WAIT

    def _next(self, answer: Any) -> Next:
        match answer:
            case Wait():
                return answer
            case StartNew(config=config):
                fits = fitting(config, self._space)
                return answer if fits is config else StartNew(fits)
            case ResumeTrial(trial=trial) | StopPausedTrial(trial=trial):
                number = self._paused(trial)
                return answer if number is trial else type(answer)(number)
        raise Unfit("StartNew, ResumeTrial, StopPausedTrial or Wait is wanted")

    def _paused(self, trial: object) -> int:
        """The number of a trial that is paused, or saves because it was told to pause."""
        number = self._known(trial)
        found = self._trials[number]
        if found.state is not TrialState.PAUSED and (not found.parked or found.state.ended):
            raise Unfit(f"trial {number} is {found.state.value}, and not paused")
        return number

    def _known(self, trial: object) -> int:
        number = whole_number(trial)
        if not 0 <= number < len(self._trials):
            raise Unfit(f"there is no trial {number}; there are {len(self._trials)}, from 0 on")
        return number

    def target(self, trial: int) -> int | None:
        try:
            level = self.asked.target(trial)
        except Exception as error:  # noqa: BLE001
            self._blame.raised(error, "target", self.asked)
            return None
        if level is None or type(level) is int:
            return level
        try:
            return whole_number(level)
        except Unfit as error:
            self._blame.answered(level, "target", self.asked, f"{error}, or None")
            return None

    def on_report(self, trial: int, resource: int, loss: float) -> Decision | Clone:
        try:
            answer = self.asked.on_report(trial, resource, loss)
        except Exception as error:  # noqa: BLE001
            self._blame.raised(error, "on_report", self.asked)
            return Decision.CONTINUE
        if answer is _CONTINUE or answer is _STOP:
            return answer  # as nearly always
        try:
            return self._decision(answer)
        except Unfit as error:
            self._blame.answered(answer, "on_report", self.asked, str(error))
            return Decision.CONTINUE

    def _decision(self, answer: Any) -> Decision | Clone:
        if not isinstance(answer, Decision | Clone):
            raise Unfit("a Decision or a Clone is wanted")
        if not self._pauses:
            raise Unfit(_NO_PAUSES)
        if isinstance(answer, Decision):
            return answer
        parent, config = self._known(answer.parent), fitting(answer.config, self._space)
        return answer if parent is answer.parent and config is answer.config else Clone(parent, config)

    def on_end(self, trial: int, state: TrialState) -> None:
        try:
            self.asked.on_end(trial, state)
        except Exception as error:  # noqa: BLE001
            self._blame.raised(error, "on_end", self.asked)

    def tell(self, what: str, *arguments: object) -> None:
        """Of what only some schedulers want to hear."""
        if (told := self._told.get(what)) is None:
            return
        try:
            told(*arguments)
        except Exception as error:  # noqa: BLE001
            self._blame.raised(error, what, self.asked)
