"""A configuration changed a little, as population-based training explores."""

from __future__ import annotations

from random import Random

from clustertune.model.parameters import Choice, Constant, Float, Int, Parameter
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value

FACTORS = (0.8, 1.2)
"""By which a number is multiplied, as in Jaderberg et al. 2017: the one leads towards zero, the other away from it."""

_DRAWS = 100
"""So often another change is drawn where the constraints allow none of those before."""


def explore(space: Space, config: Config, generator: Random, resample: float) -> Config:
    """Each value moved to a neighbour, or with probability ``resample`` drawn anew; within the space.

    A parameter that a move makes active is drawn. Where the constraints allow none of many changes, ``config`` itself.
    """
    for _ in range(_DRAWS):
        moved = {
            name: _moved(space.parameters[name], value, generator)
            for name, value in config.items()
            if generator.random() >= resample
        }
        found = space.fill(moved, [generator.random() for _ in space.dimensions])
        if space.allows(found):
            return found
    return dict(config)


def _moved(parameter: Parameter, value: Value, generator: Random) -> Value:
    factor = generator.choice(FACTORS)
    if isinstance(parameter, Constant):
        return value
    if isinstance(parameter, Choice):
        return _neighbour(parameter, value, 1 if factor > 1 else -1)
    return _scaled(parameter, float(value), factor)


def _neighbour(choice: Choice, value: Value, step: int) -> Value:
    """The next in the declared order, whether or not it has a meaning; the ends stay where they are."""
    index = int(choice.unit(value) * len(choice.values)) + step
    return choice.values[min(max(index, 0), len(choice.values) - 1)]


def _scaled(parameter: Float | Int, value: float, factor: float) -> float | int:
    """``value`` times ``factor``, within the bounds; in steps, it moves by one at least, as 1.2 times 2 is 2 in whole
    numbers. Zero times anything is zero: in steps, a factor above 1 leads upwards from there, one below 1 downwards.
    """
    wanted = min(max(value * factor, parameter.low), parameter.high)
    step = parameter.step or (1 if isinstance(parameter, Int) else None)
    if step is None:
        return wanted
    up = (factor > 1) == (value >= 0)
    index, count = round((value - parameter.low) / step), parameter.count or 1
    index = min(max(index + (round((wanted - value) / step) or (1 if up else -1)), 0), count - 1)
    # The grid's own values are decimal: 6 * 0.05 is 0.30000000000000004 in binary, and beyond a bound of 0.3.
    return parameter.low + index * step if isinstance(parameter, Int) else parameter.at((index + 0.5) / count)
