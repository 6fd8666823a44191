"""How much of a space its constraints leave: too little is refused before anything is launched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random

from clustertune.model.space import Constraint, Space
from clustertune.model.trial import Config

_POINTS = 30_000
_ENOUGH = 3
"""So many of so many points must be allowed: about one in ten thousand."""

_POINTS_TO_COMPLETE = 10_000


def too_tight(space: Space) -> str | None:
    """What to say where the constraints allow nothing, or so little that drawing does not find it; else None.

    The same answer for the same space, always. Exact for spaces that were counted; others are drawn from, which costs
    half a second at worst, and next to nothing where much is allowed.
    """
    if not space.constraints or space.size:
        return None
    core = _core(space)
    for part in (*(_core(space, [constraint]) for constraint in space.constraints), core):
        if part.size == 0:
            return f"no configuration is allowed by {_together(part)}"
    allowed, alone = 0, [0] * len(core.constraints)
    for config in _drawn(core, {}, _POINTS):
        held = [constraint.holds(config) is not False for constraint in core.constraints]
        alone = [count + one for count, one in zip(alone, held, strict=True)]
        allowed += all(held)
        if allowed == _ENOUGH:
            return None
    found = (
        f"of {_POINTS:,} configurations drawn from the space {allowed or 'none'} can be tried under {_together(core)}"
    )
    count, worst = min(zip(alone, core.constraints, strict=True), key=lambda pair: pair[0])
    hint = f"{worst.text!r} alone allows {count:,}; " if len(alone) > 1 else ""
    return f"{found}; {hint}loosen it, or narrow the bounds of {', '.join(worst.names)}"


def completable(space: Space, given: Mapping[str, object]) -> bool:
    """Whether a configuration with these values, which ``Space.check`` let pass, was found to be allowed."""
    if not space.constraints:
        return True
    core = _core(space, also=given)
    return any(map(core.allows, _drawn(core, given, _POINTS_TO_COMPLETE)))


def _together(space: Space) -> str:
    return " and ".join(repr(constraint.text) for constraint in space.constraints)


def _core(space: Space, constraints: Sequence[Constraint] = (), also: Iterable[str] = ()) -> Space:
    """The parameters that constraints speak of, and those that they depend on: the others change nothing."""
    constraints = constraints or space.constraints
    needed = {name for constraint in constraints for name in constraint.names} | set(also)
    for name in reversed(space.order):
        if name in needed:
            needed |= set(space.conditions.get(name, ()))
    return Space(
        {name: parameter for name, parameter in space.parameters.items() if name in needed},
        {name: condition for name, condition in space.conditions.items() if name in needed},
        [constraint.text for constraint in constraints],
    )


def _drawn(space: Space, given: Mapping[str, object], count: int) -> Iterator[Config]:
    generator = Random(0)  # noqa: S311 - reproducible, not secret
    for _ in range(count):
        yield space.fill(given, [generator.random() for _ in space.dimensions])
