"""Schedulers that do what no built-in one does yet, behind the same contract."""

from __future__ import annotations

from dataclasses import dataclass

from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState
from clustertune.search.contracts import Clone, Decision, Next, StartNew, StopPausedTrial


@dataclass(frozen=True, slots=True)
class Options:
    """Nothing to set."""


class Swapping:
    """At level 2 who reports first stays; any other gives way to a clone of that one, with a changed ``lr``."""

    Options = Options

    def __init__(
        self, *, min_resource: int, max_resource: int | None, seed: int, options: Options, space: Space
    ) -> None:
        del min_resource, seed, options
        self._max = max_resource or 4
        self._config: Config = {**space.from_unit([0.5] * len(space.dimensions)), "lr": 0.5}
        self._first: int | None = None
        self._passed: set[int] = set()
        self.children: list[tuple[int, int, int]] = []

    @staticmethod
    def pauses(options: Options) -> bool:
        del options
        return True

    def next(self) -> Next:
        return StartNew()

    def target(self, trial: int) -> int | None:
        return self._max if trial in self._passed else 2

    def on_report(self, trial: int, resource: int, loss: float) -> Decision | Clone:
        self._passed.add(trial)
        if resource >= self._max or trial in {child for _, child, _ in self.children}:
            return Decision.CONTINUE
        del loss
        if self._first is None:
            self._first = trial
        return Decision.CONTINUE if self._first == trial else Clone(self._first, self._config)

    def on_clone(self, parent: int, child: int, resource: int) -> None:
        self.children.append((parent, child, resource))

    def on_end(self, trial: int, state: TrialState) -> None:
        pass


class Dismissing:
    """Every trial pauses at level 1; whoever paused before another one is dismissed."""

    Options = Options

    def __init__(self, *, min_resource: int, max_resource: int | None, seed: int, options: Options) -> None:
        del min_resource, max_resource, seed, options
        self._paused: list[int] = []

    @staticmethod
    def pauses(options: Options) -> bool:
        del options
        return True

    def next(self) -> Next:
        return StopPausedTrial(self._paused[0]) if len(self._paused) > 1 else StartNew()

    def target(self, trial: int) -> int | None:
        del trial
        return 1

    def on_report(self, trial: int, resource: int, loss: float) -> Decision:
        del trial, resource, loss
        return Decision.PAUSE

    def on_pause(self, trial: int) -> None:
        self._paused.append(trial)

    def on_resume(self, trial: int) -> None:
        raise AssertionError(f"nobody asked for trial {trial}")

    def on_end(self, trial: int, state: TrialState) -> None:
        del state
        if trial in self._paused:
            self._paused.remove(trial)
