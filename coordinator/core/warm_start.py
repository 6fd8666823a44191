"""What a new experiment takes over from earlier ones: what their trials came to, and which are tried again first."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from clustertune.coordinator.core.state import Experiment, Trial
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.parameters import Float, Int, same_value
from clustertune.model.space import Space
from clustertune.model.trial import Config, TrialState, Value
from clustertune.search.contracts import EarlierExperiment, EarlierTrial
from clustertune.search.translation import Translated, completed, translate

MOST_TRIALS = 200
"""Of each experiment: as many as teach a model most of what there is to learn, and cost little to learn from."""

MOST_FIRST = 5
TRIALS_FOR_ONE, TRIALS_FOR_EACH = 10, 20
"""So many of them are tried again at most: one where there are 10 trials, and one for each 20 of them. More gain little
where the task is alike, and cost where it is not."""

_ALIKE = 0.1
"""Numbers closer than this, in units of their range, make no configuration worth trying beside another."""

_WORTHLESS = (TrialState.FAILED, TrialState.INFEASIBLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """``first`` are whole configurations, to be tried before any other but the user's own; ``text`` tells people."""

    earlier: tuple[EarlierExperiment, ...]
    first: tuple[Config, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A trial of an earlier experiment, as it is in the new one's space. ``loss``: None where it was worthless."""

    number: int
    share: float
    loss: float | None
    translated: Translated

    @property
    def rank(self) -> tuple[float, int]:
        return (math.inf if self.loss is None else self.loss), self.number


def warm_start(definition: ExperimentDefinition, known: Mapping[str, Experiment]) -> WarmStart:
    """From what the experiments that ``definition`` names know at this moment. A name that is not ``known`` is skipped.

    A function of the arguments alone: what is left to chance hangs on the definition's seed.
    """
    sources = [known[name] for name in definition.warm_start if name in known]
    found = {source.name: list(_known(source, definition)) for source in sources}
    earlier = tuple(
        EarlierExperiment(name=name, trials=tuple(map(_told, _chosen(trials, definition.seed, name))))
        for name, trials in found.items()
    )
    first = _first(definition, list(found.values()))
    lines = [
        _line(definition, source, taken, found[source.name]) for source, taken in zip(sources, earlier, strict=True)
    ]
    again = f"the best {len(first)} unlike each other are tried again" if len(first) > 1 else "the best is tried again"
    again = f"; {again} first" if first else "; none is tried again"
    return WarmStart(earlier=earlier, first=first, text=f"warm start: {'; '.join(lines)}{again}")


def _known(source: Experiment, definition: ExperimentDefinition) -> Iterator[_Known]:
    """Trials that came to something, or were found to be worth nothing, and have a parameter of the new space."""
    space = definition.space
    highest = max((trial.resource or 0 for trial in source.trials), default=0) or 1
    for trial in source.trials:
        judged, loss = _judged(trial, source, definition)
        translated = translate(trial.config, space)
        if judged and any(name in translated.config for name in space.dimensions):
            yield _Known(number=trial.number, share=(trial.resource or 0) / highest, loss=loss, translated=translated)


def _judged(trial: Trial, source: Experiment, definition: ExperimentDefinition) -> tuple[bool, float | None]:
    """Whether there is something to say of it, and its loss; None where it is worth nothing.

    Of several objectives there, the one that is wanted here counts, and else the first. A metric of the same name is
    read with the goal that it has here: it may have been wrong there. Who broke constraints on metrics there is worth
    nothing where there are such here, too.
    """
    if trial.state in _WORTHLESS:
        return True, None
    if definition.metric_constraints and trial.measured is not None and trial.measured.violation > 0.0:
        return True, None
    objective = definition.objective
    if trial.values is not None and (value := trial.values.get(objective.metric)) is not None:
        return True, objective.sign * value
    if math.isfinite(trial.best_loss):
        return True, (objective.sign * source.sign if _other_goal(source, definition) else 1.0) * trial.best_loss
    return trial.state.ended and trial.last_loss is not None, None


def _other_goal(source: Experiment, definition: ExperimentDefinition) -> bool:
    theirs, mine = source.definition.objective, definition.objective
    return theirs.metric == mine.metric and theirs.goal != mine.goal


def _chosen(trials: Sequence[_Known], seed: int, name: str) -> list[_Known]:
    """All, or the best and for the rest chance; in the order of their numbers."""
    if len(trials) <= MOST_TRIALS:
        return list(trials)
    ranked = sorted(trials, key=lambda trial: trial.rank)
    best, rest = ranked[: MOST_TRIALS // 2], ranked[MOST_TRIALS // 2 :]
    generator = Random(f"{seed}/earlier/{name}")  # noqa: S311 - reproducible, not secret
    drawn = generator.sample(rest, MOST_TRIALS - len(best))
    return sorted([*best, *drawn], key=lambda trial: trial.number)


def _told(trial: _Known) -> EarlierTrial:
    return EarlierTrial(config=trial.translated.config, share=trial.share, loss=trial.loss)


def _first(definition: ExperimentDefinition, experiments: Sequence[Sequence[_Known]]) -> tuple[Config, ...]:
    """The best that are this space's own, unlike each other and the user's, of each experiment in turn."""
    most = _most_first(definition.trials)
    turns = [iter(sorted((t for t in trials if _may_be_first(t)), key=lambda t: t.rank)) for trials in experiments]
    found: list[Config] = []
    while turns and len(found) < most:
        turn = turns.pop(0)
        config = _next_unlike(turn, definition, found)
        if config is not None:
            found.append(config)
            turns.append(turn)
    return tuple(found)


def _most_first(trials: int | None) -> int:
    if trials is None:
        return MOST_FIRST
    return min(MOST_FIRST, trials // TRIALS_FOR_ONE, max(1, trials // TRIALS_FOR_EACH))


def _may_be_first(trial: _Known) -> bool:
    return trial.loss is not None and not trial.translated.lost


def _next_unlike(turn: Iterator[_Known], definition: ExperimentDefinition, found: Sequence[Config]) -> Config | None:
    space = definition.space
    for trial in turn:
        config = completed(trial.translated.config, space, seed=definition.seed, number=trial.number)
        if config is None or any(_fits(config, initial, space) for initial in definition.initial):
            continue
        if not any(_alike(config, other, space) for other in found):
            return config
    return None


def _alike(one: Config, other: Config, space: Space) -> bool:
    return one.keys() == other.keys() and all(_near(name, one, other, space) for name in one)


def _fits(config: Config, initial: Mapping[str, Value], space: Space) -> bool:
    """Whether it is like what the user begins with, as far as that is written."""
    return initial.keys() <= config.keys() and all(_near(name, config, initial, space) for name in initial)


def _near(name: str, one: Config, other: Mapping[str, Value], space: Space) -> bool:
    parameter = space.parameters[name]
    if isinstance(parameter, Float | Int):
        return abs(parameter.unit(one[name]) - parameter.unit(other[name])) < _ALIKE
    return same_value(one[name], other[name])


def _line(
    definition: ExperimentDefinition, source: Experiment, taken: EarlierExperiment, known: Sequence[_Known]
) -> str:
    """What came over from one experiment, and what did not as it was."""
    judged = sum(_judged(trial, source, definition)[0] for trial in source.trials)
    lost = Counter(f"{name} {why}" for trial in known for name, why in trial.translated.lost.items())
    parts = [f"{len(taken.trials)} of {judged} trials of {source.name} are at hand"]
    if len(known) < judged:
        parts.append(f"{judged - len(known)} have no parameter of this space")
    parts += [f"{count} had {what}" for what, count in sorted(lost.items())]
    mine, theirs = definition.objective.metric, source.definition.wanted_metrics
    if _other_goal(source, definition):
        parts.append(f"the goal there was to {source.definition.objective.goal} {mine}")
    if mine not in theirs:
        parts.append(f"their {theirs[0]} stands for {mine}")
    return ", ".join(parts)
