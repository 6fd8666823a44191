"""The family of synthetic curves: shares of late bloomers and of what diverges, and how much beginnings tell."""

from __future__ import annotations

import math
from random import Random

import pytest

from clustertune.coordinator.simulation.task import Climb
from clustertune.coordinator.simulation.tasks.curves import Curves
from clustertune.model.parameters import Choice, Float, Int
from clustertune.model.space import Space
from clustertune.model.trial import Config

SPACE = Space(
    {"lr": Float(1e-4, 1.0, log=True), "depth": Int(1, 9), "kind": Choice(("a", "b")), "beta": Float(0.0, 0.9)},
    {"beta": {"kind": ("a",)}},
)


def configs(count: int) -> list[Config]:
    draw = Random(0)
    return [SPACE.from_unit([draw.random() for _ in SPACE.dimensions]) for _ in range(count)]


def test_every_space_has_them_and_a_curve_says_what_loss_says() -> None:
    task = Curves(space=SPACE, number=4, max_resource=27, diverging=0.0)
    for config in configs(20):
        steps = list(task.curve(config, seed=3))
        assert [step[2]["loss"] for step in steps] == [task.loss(config, level, 3) for level in range(1, 28)]
        assert steps == list(Climb(task).curve(config, seed=3))
        assert 0.5 <= steps[0][1] <= 2.0


def test_members_are_different_functions_and_each_is_always_the_same() -> None:
    config = configs(1)[0]
    losses = [Curves(space=SPACE, number=number, noise=0.0).loss(config, 81, 0) for number in range(8)]
    assert len(set(losses)) == 8
    assert losses == [Curves(space=SPACE, number=number, noise=0.0).loss(config, 81, 0) for number in range(8)]


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_about_the_share_that_was_asked_for_diverges_to_nan_infinity_or_growth(share: float) -> None:
    found = []
    for number in range(12):
        task = Curves(space=SPACE, number=number, diverging=share)
        found += [task.loss(config, 81, 0) for config in configs(60)]
    bad = [loss for loss in found if not loss < 8]
    assert len(bad) / len(found) == pytest.approx(share, abs=0.12)
    if share:
        assert any(map(math.isnan, bad))
        assert any(math.isinf(loss) for loss in bad)
        assert any(math.isfinite(loss) for loss in bad)


def test_beginnings_tell_less_the_more_they_mislead() -> None:
    told = [
        sum(_agreement(Curves(space=SPACE, number=n, misleading=share, late=0, diverging=0)) for n in range(6)) / 6
        for share in (0.0, 0.5, 1.0)
    ]
    assert told[0] > 0.9
    assert told[0] > told[1] > told[2]
    assert told[2] < 0.75


def _agreement(task: Curves) -> float:
    """The share of pairs of configurations that the first level ranks as the last one does."""
    tried = configs(40)
    first, last = ([task.loss(config, level, 0) for config in tried] for level in (1, 81))
    pairs = [(a, b) for a in range(40) for b in range(a)]
    return sum((first[a] < first[b]) == (last[a] < last[b]) for a, b in pairs) / len(pairs)


def test_late_bloomers_seem_stuck_and_end_lower() -> None:
    plain = Curves(space=SPACE, number=1, late=0.0, diverging=0.0, noise=0.0)
    late = Curves(space=SPACE, number=1, late=0.3, diverging=0.0, noise=0.0)
    changed = [config for config in configs(200) if plain.loss(config, 81, 0) != late.loss(config, 81, 0)]
    assert len(changed) / 200 == pytest.approx(0.3, abs=0.15)
    for config in changed:
        assert late.loss(config, 8, 0) > plain.loss(config, 8, 0) - 0.3 * plain.loss(config, 81, 0)
        assert late.loss(config, 5, 0) == late.loss(config, 1, 0)
    assert sum(late.loss(c, 10_000, 0) < plain.loss(c, 10_000, 0) for c in changed) == len(changed)


def test_shares_are_shares() -> None:
    with pytest.raises(ValueError, match="late is a share from 0 to 1, found 2"):
        Curves(space=SPACE, late=2)
