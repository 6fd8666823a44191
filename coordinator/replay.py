"""Proves the decisions of an experiment: computes each again from what the journal says went before, and compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from clustertune.coordinator.core import facts as f
from clustertune.coordinator.core.ahead import Ahead
from clustertune.coordinator.core.algorithms import Algorithms
from clustertune.coordinator.core.fold import Fold
from clustertune.coordinator.core.slow import Asked
from clustertune.coordinator.core.state import Experiment
from clustertune.model.errors import Mistake
from clustertune.model.trial import Config, ExperimentState, TrialState
from clustertune.search.contracts import Clone, NoConfig, ResumeTrial, StartNew, StopPausedTrial

_STOOD_IN = ("initial", "earlier", "design", "fill-in")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One decision; ``computed`` differs from ``recorded`` where it would be another today."""

    experiment: str
    trial: int
    kind: str
    recorded: Any
    computed: Any

    @property
    def equal(self) -> bool:
        return bool(self.recorded == self.computed)


class Replay:
    """Reads facts as a restarting coordinator would, and asks the algorithms what they would decide.

    Decisions are compared of searchers (which configuration) and schedulers (that a new trial starts; who goes on, is
    paused, resumed, cloned or dismissed). Where a recorded decision differs it stands, and what follows is computed
    from it. An algorithm that fails today and did not then is told of; from a failure on there is nothing to compare.
    """

    def __init__(self, algorithms: Algorithms) -> None:
        self._algorithms = algorithms
        self._fold = Fold(algorithms, {}, [])
        self._slow: dict[str, _Slow] = {}
        self._clones: dict[str, Clone] = {}
        self.counts: Counter[str] = Counter()

    def run(self, facts: Iterable[tuple[float, f.Fact]], experiment: str) -> Iterator[Checked]:
        """Every decision of ``experiment``, in order. Raises Mistake where its algorithms cannot be made, or asked."""
        for now, fact in facts:
            if getattr(fact, "experiment", experiment) != experiment:
                continue
            yield from self._counted(self._failure(fact))
            if isinstance(fact, f.Restarted | f.InstanceLaunched | f.InstanceReady | f.InstanceGone):
                self._fold.replay(_without_others(fact, experiment), now)
                continue
            yield from self._counted(self._standing(fact))
            checked = list(self._before(fact))
            decision = self._fold.replay(fact, now)
            if isinstance(fact, f.ExperimentCreated) and (absent := self._fold.state.experiments[experiment].absent):
                raise Mistake(f"{experiment} cannot be replayed: {absent}")
            if isinstance(fact, f.RungReached) and decision is not None:
                checked.append(self._rung(fact, decision))
            if isinstance(fact, f.AlgorithmFailed):
                self._fold.unusable.clear()  # as it was then
            yield from self._counted(*checked)
        yield from self._counted(self._failure(None))

    def _counted(self, *checked: Checked | None) -> Iterator[Checked]:
        for one in checked:
            if one is not None:
                self.counts[one.kind] += 1
                yield one

    def _failure(self, then: f.Fact | None) -> Checked | None:
        """What an algorithm did wrong in what was just replayed, if ``then``, the next fact, is not about that."""
        if not self._fold.unusable or isinstance(then, f.AlgorithmFailed):
            return None
        failed = self._fold.unusable.pop()
        return Checked(
            experiment=failed.name, trial=len(failed.trials) - 1, kind="failure", recorded=None, computed=failed.fault
        )

    def _standing(self, fact: f.Fact) -> Checked | None:
        """How a report with several losses, or constraints to keep, ranked among those before it."""
        if not isinstance(fact, f.RungReached | f.AttemptEnded) or fact.measured is None:
            return None
        objectives = self._fold.state.experiments[fact.experiment].objectives
        if objectives is None:
            return None
        rank = objectives.standing if isinstance(fact, f.RungReached) else objectives.standing_at_end
        computed = rank(fact.trial, fact.resource or 0, fact.measured)
        return Checked(
            experiment=fact.experiment, trial=fact.trial, kind="standing", recorded=fact.loss, computed=computed
        )

    def _before(self, fact: f.Fact) -> Iterator[Checked]:
        """Decisions that show in the state before they are applied."""
        if not isinstance(fact, f.TrialCreated | f.TrialMoved):
            return
        experiment = self._fold.state.experiments[fact.experiment]
        if experiment.fault:
            return
        if isinstance(fact, f.TrialMoved):
            if (moved := self._moved(experiment, fact)) is not None:
                yield moved
            return
        if fact.parent is None and fact.source != "scheduler":
            yield _checked(fact, "start", StartNew(), experiment.scheduler.next())
        if not experiment.fault:
            yield _checked(fact, "proposal", dict(fact.config), self._config(experiment, fact))

    def _rung(self, fact: f.RungReached, decision: Any) -> Checked:
        if isinstance(decision, Clone):
            self._clones[fact.experiment] = decision
        computed = "clone" if isinstance(decision, Clone) else decision.value
        return _checked(fact, "rung", fact.decision, computed)

    def _moved(self, experiment: Experiment, fact: f.TrialMoved) -> Checked | None:
        """A scheduler's resumption or dismissal; users, and the end of an experiment, move trials too."""
        trial = experiment.trials[fact.trial]
        if not trial.parked or experiment.state is not ExperimentState.RUNNING:
            return None
        if fact.state is TrialState.PENDING:
            return _checked(fact, "resumption", ResumeTrial(fact.trial), experiment.scheduler.next())
        return _checked(fact, "dismissal", StopPausedTrial(fact.trial), experiment.scheduler.next())

    def _config(self, experiment: Experiment, fact: f.TrialCreated) -> Config | NoConfig | None:
        if fact.parent is not None:
            clone = self._clones.pop(experiment.name, None)
            return dict(clone.config) if clone is not None and clone.parent == fact.parent else None
        if fact.source == "scheduler":
            wanted = experiment.scheduler.next()
            return dict(wanted.config) if isinstance(wanted, StartNew) and wanted.config is not None else None
        searcher = experiment.searcher
        if not isinstance(searcher, Ahead):
            return searcher.suggest(fact.trial)
        if fact.source in _STOOD_IN:
            return searcher.stand_in(fact.trial)
        if experiment.name not in self._slow:
            self._slow[experiment.name] = _Slow(self._make(experiment))
        return self._slow[experiment.name].proposal(searcher, fact)

    def _make(self, experiment: Experiment) -> Asked:
        definition = experiment.definition
        made: Any = self._algorithms.make_searcher(
            definition.searcher.type,
            definition.searcher.options,
            space=definition.space,
            seed=definition.seed,
            initial=tuple(definition.initial),
        )
        return Asked(made, definition.searcher.type, definition.space, self._algorithms.searcher_package)


class _Slow:
    """A real searcher that is told as much as it had been told when a recorded proposal was made."""

    def __init__(self, searcher: Asked) -> None:
        self._searcher = searcher
        self._told, self._used = -1, 0
        self._proposed: list[Config] = []

    def proposal(self, ahead: Ahead, fact: f.TrialCreated) -> Config | None:
        """The recorded configuration, if it is among what is proposed; else the first proposal."""
        if fact.observations != self._told:
            self._searcher.tell(ahead.told[max(0, self._told) : fact.observations])
            self._told, self._used, self._proposed = fact.observations, 0, []
        self._used += 1
        # Proposals are passed over whose like was tried meanwhile: as many as trials began since, at most.
        since = sum(name == "created" for name, *_ in ahead.told[fact.observations :])
        for count in (self._used, self._used + since):
            if fact.config not in self._proposed and len(self._proposed) < count:
                self._proposed = self._searcher.propose(count)
        if fact.config in self._proposed:
            return fact.config
        return self._proposed[0] if self._proposed else None


def _checked(fact: f.TrialCreated | f.RungReached | f.TrialMoved, kind: str, recorded: Any, computed: Any) -> Checked:
    return Checked(experiment=fact.experiment, trial=fact.trial, kind=kind, recorded=recorded, computed=computed)


def _without_others(fact: f.Fact, experiment: str) -> f.Fact:
    if isinstance(fact, f.Restarted):
        return f.Restarted(last=fact.last, experiments=tuple(name for name in fact.experiments if name == experiment))
    return fact
