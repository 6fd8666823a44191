"""One experiment's suggestions, asked for ahead of need: what the model is told, what it proposed, what stands in."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, Protocol

from clustertune.model.codec import from_plain, to_plain
from clustertune.model.front import Measured
from clustertune.model.trial import Config
from clustertune.model.values import value
from clustertune.search.contracts import EarlierExperiment, NoConfig, SlowSearcher

Told = (
    tuple[str, int]
    | tuple[str, int, Config]
    | tuple[str, int, int, float]
    | tuple[str, int, int, float, tuple[float, ...], float]
    | tuple[str, list[Any]]
)
"""The name of a method of SlowSearcher, and its arguments."""

Source = Literal["", "initial", "earlier", "design", "fill-in"]
"""Where a configuration came from: the searcher, or what stood in for it."""

WORTH_WAITING = 0.008
"""A slot may stay empty for this share of a trial's time, if a better suggestion is to be had for it.

Less than the hundredth that may be lost in all: that the time is up is noticed with the next event.
"""

_FIRST_GUESS_S = 1.0
"""How long a suggestion takes, before one was seen."""

_SOONEST = 0.2
"""However long ago it was asked, an answer is not expected before this share of what the last one took."""

_RESTS = 4.0
"""Between answers that nobody waits for the searcher rests, this many times as long as the last one took."""

_MEMORY = 0.7
"""How much the usual time of suggestions outlasts a new one."""


def tell(searcher: SlowSearcher, told: Iterable[Sequence[Any]]) -> None:
    """Tells a real searcher what an ``Ahead`` was told."""
    methods: dict[str, Callable[..., None]] = {
        "created": searcher.created,
        "observe": searcher.observe,
        "observe_all": partial(_tell_all, searcher),
        "forget": searcher.forget,
        "earlier": partial(_tell_earlier, searcher),
    }
    for name, *arguments in told:
        methods[name](*arguments)


def _tell_all(
    searcher: SlowSearcher, trial: int, resource: int, loss: float, losses: Sequence[float], violation: float
) -> None:
    """A searcher that knows one loss alone learns how the report stands among the others."""
    if (observe_all := getattr(searcher, "observe_all", None)) is not None:
        observe_all(trial, resource, tuple(losses), violation)
    else:
        searcher.observe(trial, resource, loss)


def _tell_earlier(searcher: SlowSearcher, plain: Sequence[object]) -> None:
    """What was told may have come as JSON. A searcher need not care."""
    if (earlier := getattr(searcher, "earlier", None)) is not None:
        earlier([from_plain(EarlierExperiment, experiment) for experiment in plain])


class StandIn(Protocol):
    """Proposes at once, without having learned anything."""

    def config(self, trial: int, seen: set[str]) -> Config | NoConfig: ...


@value()
class Suggestion:
    """A configuration, and from how many things told it was computed."""

    config: Config
    source: Source = ""
    known: int = 0


class Ahead:
    """Stands before a slow searcher, which lives elsewhere; to the core it is a searcher like any other.

    What has been told and tried is rebuilt by replay; what is ready or asked for is not, and is asked for anew.
    """

    def __init__(
        self,
        stand_in: StandIn,
        *,
        design: int,
        initial: int,
        first: int = 0,
        earlier: Sequence[EarlierExperiment] = (),
    ) -> None:
        """``stand_in`` begins with the user's ``initial`` configurations, and ``first`` ones of earlier experiments."""
        self.told: list[Told] = [("earlier", to_plain(tuple(earlier)))] if earlier else []
        self.asked_at: float | None = None
        self.failures = 0
        self.retry_at = -math.inf
        self.taken = 0
        """Proposals used since the last ones were asked for."""
        self._stand_in, self._design = stand_in, design
        self._initial, self._first = initial, initial + first
        self._ready: deque[Config] = deque()
        self._ready_known = 0
        self._seen: set[str] = set()
        self._last: dict[int, tuple[int, float | Measured]] = {}
        self._learned = False
        self._fresh = 0
        self._took_s = _FIRST_GUESS_S
        self._hungry: tuple[float, int] | None = None
        self._exhausted = False
        self._warm, self._asked_for = False, 0
        self._rest_until = -math.inf

    # What a searcher is told

    def created(self, trial: int, config: Config) -> None:
        self._seen.add(repr(config))
        self.told.append(("created", trial, config))

    def observe(self, trial: int, resource: int, loss: float) -> None:
        if self._last.get(trial) == (resource, loss):
            return  # the last report was the trial's value, too: nothing new
        self._last[trial] = resource, loss
        self.told.append(("observe", trial, resource, loss))
        self._fresh = len(self.told)
        self._learned = self._learned or math.isfinite(loss)

    def observe_all(self, trial: int, resource: int, loss: float, measured: Measured) -> None:
        """A report with several losses, or constraints to keep; ``loss`` is its standing, for who knows no more."""
        if self._last.get(trial) == (resource, measured):
            return
        self._last[trial] = resource, measured
        self.told.append(("observe_all", trial, resource, loss, measured.losses, measured.violation))
        self._fresh = len(self.told)
        self._learned = True

    def forget(self, trial: int) -> None:
        self.told.append(("forget", trial))
        self._fresh = len(self.told)

    # What it proposes

    def suggest(self, trial: int) -> Config | NoConfig:
        """Without a clock: what is ready, else what stands in."""
        found = self.take(trial, 0.0, 0.0)
        return found.config if isinstance(found, Suggestion) else found

    def take(self, trial: int, now: float, trial_s: float) -> Suggestion | NoConfig:
        """For a free slot at ``now``, of an experiment whose attempts take ``trial_s`` on average."""
        if trial < self._design or not self._learned:
            return self._filled_in(trial, self._opening(trial))
        if not self._fresh_enough() and self._worth_waiting(now, trial_s):
            return NoConfig.WAIT
        while self._ready:
            config = self._ready.popleft()
            if repr(config) not in self._seen:
                self._hungry, self.taken = None, self.taken + 1
                return Suggestion(config=config, known=self._ready_known)
        if self._exhausted:
            return NoConfig.EXHAUSTED
        self.taken += 1
        return self._filled_in(trial, "fill-in")

    def stand_in(self, trial: int) -> Config | NoConfig:
        """What fills in for the searcher."""
        return self._stand_in.config(trial, self._seen)

    def _opening(self, trial: int) -> Source:
        if trial < self._initial:
            return "initial"
        return "earlier" if trial < self._first else "design"

    def _filled_in(self, trial: int, source: Source) -> Suggestion | NoConfig:
        self._hungry = None
        config = self.stand_in(trial)
        return config if isinstance(config, NoConfig) else Suggestion(config=config, source=source)

    def _fresh_enough(self) -> bool:
        """Whether what is ready knows everything that was observed before the slot became free."""
        since = self._fresh if self._hungry is None else self._hungry[1]
        return bool(self._ready) and self._ready_known >= since

    def _worth_waiting(self, now: float, trial_s: float) -> bool:
        if self._exhausted or now < self.retry_at:
            return False
        patience_s = WORTH_WAITING * trial_s
        if self._hungry is None:
            if self._expected_in(now) > patience_s:
                return False
            self._hungry = now, self._fresh
        return now < self._hungry[0] + patience_s

    def _expected_in(self, now: float) -> float:
        """How long until proposals come that are under way, or asked for now. Who is late may be later still."""
        if self.asked_at is None:
            return self._took_s
        return max(_SOONEST * self._took_s, self.asked_at + self._took_s - now)

    # Asking

    def wants(self, trials: int, free: int, slots: int, left: float, now: float) -> int | None:
        """How many proposals to ask for now, with ``trials`` created, ``free`` slots and ``left`` trials to create.

        None: not to ask at all. The first question is for 0, so that the searcher's process is up when it is needed.
        While no slot is free and some proposals are ready, newer ones can wait: the processors are for trials.
        """
        if self.asked_at is not None or self._exhausted:
            return None
        if not self._learned or trials + slots < self._design:
            return None if self._warm else 0
        if not free and self._took_s == 0.0:
            return None  # what takes no time, as in virtual time, is asked for when it is needed
        enough = min(left, max(1, free, 2 * self.taken))
        plenty = len(self._ready) >= enough / 2
        if plenty and (self._ready_known >= self._fresh or (not free and now < self._rest_until)):
            return None
        return int(min(enough, max(1, slots)))

    def asked(self, now: float, count: int) -> None:
        self.asked_at, self._asked_for, self._warm = now, count, True
        self.taken = 0 if count else self.taken

    def answered(self, now: float, known: int, configs: list[Config]) -> None:
        """The newest proposals replace older ones."""
        took_s = now - self.asked_at if self.asked_at is not None else self._took_s
        self.asked_at, self.failures, self.retry_at = None, 0, -math.inf
        if not self._asked_for:
            return
        self._took_s = took_s if self._ready_known == 0 else _MEMORY * self._took_s + (1 - _MEMORY) * took_s
        self._rest_until = now + _RESTS * took_s
        self._ready, self._ready_known = deque(configs), known
        self._exhausted = not configs

    def failed(self, retry_at: float) -> None:
        self.asked_at, self.failures, self.retry_at = None, self.failures + 1, retry_at
