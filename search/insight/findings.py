"""What an experiment's trials say, and whether they say anything: importances, advice, and how far to trust both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clustertune.model.space import Space
from clustertune.search.insight.evidence import Evidence, Fault, Told, evidence
from clustertune.search.insight.importance import Effect, learn
from clustertune.search.insight.narrowing import Advice, Ground, narrowed

_FEWEST = 12
"""Trials that can be compared, before a forest is asked at all."""

_LEAST_FIT, _FIT_OF_FEW = 0.15, 3.0
"""Below 0.15 + 3 / trials of the variance nothing is said: of 360 times that losses were noise, it was above twice."""

_FIT_TO_NARROW, _FEWEST_TO_NARROW = 0.4, 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One hyperparameter. ``share`` of what all clear ones together explain; 0 where its influence is not clear."""

    name: str
    effect: Effect
    share: float
    advice: Advice


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """``silent`` says why nothing can be said; then there are no findings, and ``fit`` may be unknown.

    ``valued`` trials can be compared, for ``worthless`` ones there is the number that each fault has; ``early`` ones of
    the valued are below the highest level, ``top``, and half of the valued are at ``middle`` or below. ``findings``
    begin with the most important. ``narrower`` is the space that they lead to, None where it stays. ``held_back``: why
    nothing is narrowed although something is known.
    """

    silent: str = ""
    valued: int
    worthless: Mapping[Fault, int]
    early: int
    middle: int
    top: int
    fit: float | None = None
    findings: Sequence[Finding] = ()
    narrower: Space | None = None
    held_back: str = ""


def insight(space: Space, trials: Sequence[Told]) -> Insight:
    """Takes a few seconds for a thousand trials. The same trials give the same answer."""
    known = evidence(trials)
    if silent := _too_little(space, known):
        return _counted(known, silent=silent)
    learned = learn(space, known)
    total = len(known.losses) + len(known.worthless)
    clear = {name: effect.drop for name, effect in learned.effects.items() if effect.clear}
    if not clear or learned.fit < _LEAST_FIT + _FIT_OF_FEW / total:
        silent = f"these {total} trials do not say yet which parameters matter"
        return _counted(known, silent=silent, fit=learned.fit)
    held_back = _held_back(len(known.losses), learned.fit)
    ground = Ground(space, known, learned.forest)
    findings = [
        Finding(
            name=name,
            effect=effect,
            share=clear.get(name, 0.0) / sum(clear.values()),
            advice=ground.advice(name) if name in clear and not held_back else Advice(),
        )
        for name, effect in sorted(learned.effects.items(), key=lambda item: -item[1].drop)
    ]
    cut = {f.name: f.advice.parameter for f in findings if f.advice.parameter is not None}
    return _counted(
        known,
        fit=learned.fit,
        findings=findings,
        narrower=narrowed(space, cut) if cut else None,
        held_back=held_back,
    )


def _too_little(space: Space, known: Evidence) -> str:
    """Why no forest is asked; empty where one is."""
    valued, worthless = len(known.losses), len(known.worthless)
    if not space.dimensions:
        return "the space has no parameter that varies"
    if not valued and not worthless:
        return "no trial has reported anything yet"
    if not valued:
        return f"{_all_worthless(known.faults)}: there is nothing to compare"
    others = f" ({_listed(known.faults)})" if worthless else ""
    compared = f"{_trials(valued)} that can be compared"
    if valued < _FEWEST:
        says = "says" if valued == 1 else "say"
        return f"{compared} {says} too little about {_named(space)}: it takes {_FEWEST} at least{others}"
    if min(known.losses) == max(known.losses):
        what = "" if worthless else ": nothing that was tried makes a difference"
        return f"all {compared if worthless else _trials(valued)} have the same value{others}{what}"
    return ""


def _all_worthless(faults: Mapping[Fault, int]) -> str:
    """Who broke a constraint has a value and is told of as such; nobody is said to have failed who did not."""
    (fault, count), *more = faults.items()
    if more:
        return f"none of the {_trials(sum(faults.values()))} can be compared ({_listed(faults)})"
    if fault is Fault.BROKE:
        return (
            "the only trial breaks a metric constraint"
            if count == 1
            else f"none of the {count} trials keeps all metric constraints"
        )
    return f"{'the only trial' if count == 1 else f'all {count} trials'} {fault}"


def _listed(faults: Mapping[Fault, int]) -> str:
    """As in ``7 failed, 2 broke a metric constraint``."""
    return ", ".join(f"{count} {fault}" for fault, count in faults.items())


def _held_back(valued: int, fit: float) -> str:
    if valued < _FEWEST_TO_NARROW:
        return f"{valued} trials that can be compared are too few to narrow a range by: it takes {_FEWEST_TO_NARROW}"
    if fit < _FIT_TO_NARROW:
        return "too much of the difference between trials is unexplained to narrow a range by"
    return ""


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def _named(space: Space) -> str:
    count = len(space.dimensions)
    return space.dimensions[0] if count == 1 else f"{count} parameters"


def _counted(known: Evidence, **said: Any) -> Insight:
    return Insight(
        valued=len(known.losses),
        worthless=known.faults,
        early=known.early,
        middle=known.middle,
        top=known.top,
        **said,
    )
