"""Where one event's decisions gather: the state as it is, and the step that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clustertune.coordinator.core.algorithms import Algorithms
from clustertune.coordinator.core.commands import Command, Step
from clustertune.coordinator.core.facts import Fact
from clustertune.coordinator.core.fold import Fold
from clustertune.coordinator.core.line import Line
from clustertune.coordinator.core.state import NOTICES_KEPT, Experiment, Trial
from clustertune.coordinator.core.story import TELLERS, Words


class Desk:
    """Shared by the parts of the core. A fact that is emitted has changed the state when ``emit`` returns."""

    def __init__(self, algorithms: Algorithms, env: Mapping[str, str], secrets: Sequence[str]) -> None:
        self.algorithms = algorithms
        self.fold = Fold(algorithms, env, secrets, failed=self.emit)
        self.state = self.fold.state
        self.now = 0.0
        self.step = Step()
        self._last_event = 0

    def begin(self, now: float) -> Step:
        """A new event is being handled."""
        self.step, self.now = Step([], [], []), now
        return self.step

    def emit(self, fact: Fact) -> None:
        self.step.facts.append(fact)
        kind = type(fact)
        self.fold.ways[kind](fact, self.now)
        if (tell := TELLERS.get(kind)) is not None:
            experiment = self.state.experiments[fact.experiment]  # type: ignore[union-attr] # it is one that has one
            self.say(experiment, *tell(experiment, fact))

    def command(self, command: Command) -> None:
        self.step.commands.append(command)

    def say(self, experiment: Experiment, level: str, kind: str, text: Words, trial: int | None = None) -> None:
        """A line for people. Ids begin at the time of day in milliseconds, so that they grow across restarts too."""
        self._last_event = self._last_event + 1 if self._last_event else int(self.now * 1000)
        experiment.events.append(Line(self._last_event, self.now, level, kind, text, trial))

    def notice(self, experiment: Experiment, trial: Trial, text: str) -> None:
        """A warning about a trial, said once."""
        if text not in trial.notices and len(trial.notices) < NOTICES_KEPT:
            trial.notices = (*trial.notices, text)
            self.say(experiment, "warning", "notice", f"trial {trial.number}: {text}", trial.number)
