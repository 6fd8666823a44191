"""The schedule that a population learned, drawn: each hyperparameter over the resource. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from clustertune.model.parameters import Float, Int
from clustertune.model.space import Space
from clustertune.model.trial import Config, Value
from clustertune.view.dots import character, draw
from clustertune.view.words import one_line, setting

_HEIGHT = 4
_MARGIN = 0.03
_NARROWEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A configuration, from one level of the resource to another."""

    resource_from: int
    resource_to: int
    config: Config


def schedule_plot(parts: Sequence[Part], space: Space, resource: str, *, width: int) -> Text:
    """Numbers that change as steps, on the scale that the space gives them; all else in words."""
    text = Text(no_wrap=True)
    for name in space.names:
        steps = [(part, part.config[name]) for part in parts if name in part.config]
        if not steps:
            continue
        parameter, values = space.parameters[name], [value for _, value in steps]
        if isinstance(parameter, Float | Int) and len(set(values)) > 1:
            _plot(text, one_line(name), parameter, steps, parts[-1].resource_to, width)
        else:
            text.append(f"{one_line(name)}  ").append(f"{_in_words(steps)}\n", "cyan")
    end, title = str(parts[-1].resource_to), f" {one_line(resource)} "
    return text.append(f"0{title:─^{max(len(title), width - 1 - len(end))}}{end}", "dim")


def _plot(
    text: Text, name: str, parameter: Float | Int, steps: Sequence[tuple[Part, Value]], end: int, width: int
) -> None:
    units = {value: parameter.unit(value) for _, value in steps}
    low, high = min(units, key=units.__getitem__), max(units, key=units.__getitem__)
    left = max(len(setting(low)), len(setting(high)))
    across = max(_NARROWEST, width - left - 2)
    margin = (units[high] - units[low]) * _MARGIN
    curve = list(_curve(steps, units, across * 2, end))
    cells = draw([curve], units[low] - margin, units[high] + margin, across, _HEIGHT)
    text.append(f"{name}{' (log)' if parameter.log else ''}\n")
    for line in range(_HEIGHT):
        axis = setting(high) if line == 0 else setting(low) if line == _HEIGHT - 1 else ""
        text.append(f"{axis:>{left}} │", "dim")
        text.append("".join(character(bits) for bits, _ in cells[line]), "cyan").append("\n")


def _curve(
    steps: Sequence[tuple[Part, Value]], units: dict[Value, float], points: int, end: int
) -> Iterator[float | None]:
    """The value at the middle of each of so many equal parts of the resource; None where there is none."""
    for point in range(points):
        level = (point + 0.5) / points * end
        inside = (units[value] for part, value in steps if part.resource_from <= level < part.resource_to)
        yield next(inside, None)


def _in_words(steps: Sequence[tuple[Part, Value]]) -> str:
    """``sgd``, or ``sgd 0-25, adam 25-100`` where it changes."""
    runs = [list(run) for _, run in groupby(steps, key=lambda step: (type(step[1]), step[1]))]
    if len(runs) == 1:
        return setting(runs[0][0][1])
    return ", ".join(f"{setting(run[0][1])} {run[0][0].resource_from}-{run[-1][0].resource_to}" for run in runs)
