"""Which hyperparameters mattered, and what to narrow: a table, its remarks, and a space to copy. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml
from rich.table import Table
from rich.text import Text

from clustertune.model.parameters import Choice, Constant, Float, Int, Ordinal, Parameter, same_value
from clustertune.model.space import Space
from clustertune.view.words import counted, number, one_line, setting

_BAR_CELLS = 20
_ENOUGH, _FAIR = 0.7, 0.4
"""Shares of the differences explained, from which on a model is to be gone by, or taken for a hint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRow:
    """One hyperparameter. ``share`` of the clear influences; None where its own is not clear.

    ``narrowed``: what it is to become, if anything. ``beyond``: at which end of its range the best values lie.
    ``negligible``: it has no visible influence.
    """

    name: str
    parameter: Parameter
    share: float | None
    negligible: bool
    narrowed: Parameter | None = None
    beyond: Literal["", "low", "high"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightView:
    """All that is shown.

    ``fit`` is the share of the differences that is explained on held-out trials. ``valued`` trials can be compared;
    ``worthless`` has the number of others by the words for what happened to them. ``early`` ones of the valued are
    below the level ``top``; half of the valued are at ``middle`` or below. ``cloned``: some began from others'
    checkpoints. ``silent`` says why there are no rows; ``held_back`` why nothing is narrowed.
    """

    experiment: str
    metric: str
    resource: str
    valued: int
    worthless: Mapping[str, int]
    early: int
    middle: int
    cloned: bool
    top: int
    fit: float | None
    silent: str
    held_back: str
    rows: Sequence[ParameterRow]
    narrower: Space | None


def headline(view: InsightView) -> Text:
    """What is told, and how far to trust it."""
    head = Text(f"{one_line(view.experiment)}: ")
    if view.silent:
        head.append(view.silent, "yellow")
        if view.fit is not None:
            head.append(f"\na model of them explains {_percent(view.fit)} of the differences between unseen trials")
        return head
    share = view.fit or 0.0
    trust = (
        "enough to go by" if share >= _ENOUGH else "take it as a hint" if share >= _FAIR else "a first hint, no more"
    )
    head.append(
        f"what {counted(view.valued + sum(view.worthless.values()), 'trial')} say about {one_line(view.metric)}\n"
    )
    head.append(f"a model of them explains {_percent(share)} of the differences between unseen trials: ")
    return head.append(trust, "green" if share >= _ENOUGH else "yellow")


def importances(view: InsightView) -> Table:
    """The most important first; a bar's full length is the whole of what is clear."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    for name, right in (("parameter", False), ("importance", False), ("", True), ("what to do", False)):
        table.add_column(Text(name), justify="right" if right else "left", no_wrap=bool(name) and name != "what to do")
    cut = any(row.narrowed is not None for row in view.rows)
    for row in view.rows:
        cells = round(_BAR_CELLS * (row.share or 0.0))
        style = "" if row.share is not None else "dim"
        table.add_row(
            Text(one_line(row.name), style=style),
            Text("━" * max(cells, row.share is not None), style="cyan"),
            Text("" if row.share is None else _percent(row.share)),
            Text("; ".join(_advice(row, view, cut=cut)), style=style),
        )
    return table


def remarks(view: InsightView) -> Text:
    """What one should know of how this was found; empty where there is nothing to say."""
    return Text("\n").join(Text(remark, style="dim") for remark in _remarks(view))


def space_yaml(space: Space) -> str:
    """A fragment of a definition: the space, and its constraints where it has some."""
    lines = ["space:"]
    lines += [f"  {_flow(name)}: {_flow(_plain(space, name))}" for name in space.names]
    if space.constraints:
        lines.append(f"constraints: {_flow([constraint.text for constraint in space.constraints])}")
    return "\n".join(lines)


def _advice(row: ParameterRow, view: InsightView, *, cut: bool) -> Iterator[str]:
    if row.share is None:
        if not row.negligible:
            yield "not clear yet"
        elif cut or view.held_back:
            yield "no visible influence yet"
        else:
            yield "no visible influence: fix it or leave it out"
        return
    if row.narrowed is not None:
        yield _change(row.parameter, row.narrowed)
    if row.beyond and isinstance(row.parameter, Float | Int):
        end, bound = ("upper", row.parameter.high) if row.beyond == "high" else ("lower", row.parameter.low)
        further = "higher" if row.beyond == "high" else "lower"
        yield f"the best values lie near the {end} end, {setting(bound)}: try {further}, if that makes sense"
    if row.narrowed is None and not row.beyond and not view.held_back:
        yield "keep it as it is"


def _change(before: Parameter, after: Parameter) -> str:
    if isinstance(after, Constant):
        return f"fix it at {setting(after.value)}"
    if isinstance(after, Float | Int):
        return f"narrow it to {setting(after.low)} … {setting(after.high)}"
    gone = [
        value
        for value in (before.values if isinstance(before, Choice) else ())
        if not any(same_value(value, left) for left in after.values)
    ]
    return f"leave out {', '.join(map(setting, gone))}"


def _remarks(view: InsightView) -> Iterator[str]:
    if view.silent:
        return
    if others := sum(view.worthless.values()):
        counts = "counts" if others == 1 else "count"
        why = ", ".join(f"{count} {what}" for what, count in view.worthless.items())
        yield f"{counted(others, 'trial')} {counts} as bad as the worst of the others: {why}"
    if view.early:
        who = f"{view.early} of the other {view.valued} trials" if others else counted(view.early, "trial")
        half = f"half of the {view.valued}" if others else "half of all"
        half = f", {half} not beyond {view.middle}" if view.middle < view.top else ""
        yield (
            f"{who} did not reach {one_line(view.resource)} {view.top}{half}: what those "
            "gained that went further is added, and this tells more of what matters early than of what matters late"
        )
    if view.cloned:
        yield "clones began from other trials' checkpoints: their values are partly the work of earlier configurations"
    if view.held_back:
        yield f"nothing is narrowed: {view.held_back}"


def _plain(space: Space, name: str) -> Mapping[str, Any]:
    parameter, condition = space.parameters[name], space.conditions.get(name)
    plain: dict[str, Any]
    if isinstance(parameter, Float | Int):
        plain = {"type": "float" if isinstance(parameter, Float) else "int"}
        plain |= {"low": parameter.low, "high": parameter.high}
        plain |= ({"log": True} if parameter.log else {}) | ({"step": parameter.step} if parameter.step else {})
    elif isinstance(parameter, Constant):
        plain = {"type": "constant", "value": parameter.value}
    else:
        kind = "ordinal" if isinstance(parameter, Ordinal) else "choice"
        plain = {"type": kind, "values": list(parameter.values)}
    when = {parent: values[0] if len(values) == 1 else list(values) for parent, values in (condition or {}).items()}
    return plain | ({"when": when} if when else {})


def _flow(value: Any) -> str:
    written = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return written.removesuffix("\n").removesuffix("\n...")


def _percent(share: float) -> str:
    return f"{number(float(round(100 * max(0.0, share))))} %"
