"""The command that says which hyperparameters mattered, what to narrow next, and how far to trust it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clustertune.cli import options
from clustertune.model.errors import Mistake, NoSuchName

if TYPE_CHECKING:
    from clustertune.cli.places import Found
    from clustertune.definition import ExperimentDefinition
    from clustertune.definition.sections import MetricConstraint
    from clustertune.search.insight.curves import Bound
    from clustertune.search.insight.evidence import Told
    from clustertune.search.insight.findings import Insight
    from clustertune.view.insight import InsightView
    from clustertune.view.schedule import Part

_PLOT_WIDTH = 100
_POPULATION = "population-based"


def insight(
    name: options.Name = None,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="NAME", help="Of several objectives; default: the first.")
    ] = None,
    cluster: options.Cluster = None,
    as_json: options.Json = False,
) -> None:
    """Show which hyperparameters mattered, what to narrow next, and how far to trust that."""
    from clustertune.cli.places import TO_LOOK_AT, find
    from clustertune.cli.printing import print_json
    from clustertune.definition import ExperimentDefinition
    from clustertune.search.insight.findings import insight as look_into

    found = find(name, cluster, TO_LOOK_AT)
    plain = found.coordinator.definition(found.name)
    definition = ExperimentDefinition.from_plain(plain)
    aim = _chosen(plain, metric)
    seen = look_into(definition.space, _told(found, definition, aim))
    parts = _schedule(found, definition)
    view = _view(found.name, definition, aim["metric"], seen, cloned=bool(parts))
    if as_json:
        print_json(_plain(view, seen, parts))
    else:
        _show(view, definition, parts)


def _chosen(plain: Mapping[str, Any], metric: str | None) -> Mapping[str, str]:
    """The objective that is asked for. Raises NoSuchName."""
    aims = {aim["metric"]: aim for aim in plain.get("objectives") or [plain["objective"]]}
    if metric is not None and metric not in aims:
        raise NoSuchName("objective", metric, aims)
    return aims[metric] if metric is not None else next(iter(aims.values()))


def _told(found: Found, definition: ExperimentDefinition, aim: Mapping[str, str]) -> Sequence[Told]:
    """With curves where trials ended at different levels. Of several objectives each trial's last report counts."""
    from clustertune.search.insight.curves import read_curves
    from clustertune.search.insight.evidence import told

    rows = list(found.coordinator.all_trials(found.name))
    curves = {}
    if len({row.resource for row in rows if row.value is not None}) > 1:
        curves = read_curves(
            found.coordinator.file(found.name, "reports.csv"),
            metric=aim["metric"],
            goal=aim["goal"],
            bounds=[_bound(constraint) for constraint in definition.metric_constraints],
        )
    return told(rows, metric=aim["metric"], goal=aim["goal"], take=aim.get("take", "last"), curves=curves)


def _bound(constraint: MetricConstraint) -> Bound:
    from clustertune.search.insight.curves import Bound

    return Bound(
        metric=constraint.metric,
        low=-math.inf if constraint.at_least is None else constraint.at_least,
        high=math.inf if constraint.at_most is None else constraint.at_most,
    )


def _view(name: str, definition: ExperimentDefinition, metric: str, seen: Insight, *, cloned: bool) -> InsightView:
    from clustertune.view.insight import InsightView, ParameterRow

    return InsightView(
        experiment=name,
        metric=metric,
        resource=definition.resource.name,
        valued=seen.valued,
        worthless={fault.value: count for fault, count in seen.worthless.items()},
        early=seen.early,
        middle=seen.middle,
        cloned=cloned,
        top=seen.top,
        fit=seen.fit,
        silent=seen.silent,
        held_back=seen.held_back,
        rows=[
            ParameterRow(
                name=one.name,
                parameter=definition.space.parameters[one.name],
                share=one.share if one.effect.clear else None,
                negligible=one.effect.negligible,
                narrowed=one.advice.parameter,
                beyond=one.advice.beyond,
            )
            for one in seen.findings
        ],
        narrower=seen.narrower,
    )


def _schedule(found: Found, definition: ExperimentDefinition) -> Sequence[Part]:
    """What a population learned; nothing where nothing was cloned."""
    from clustertune.view.schedule import Part

    if definition.scheduler.type != _POPULATION:
        return []
    try:
        written = json.loads(found.coordinator.file(found.name, "schedule.json"))["schedule"]
    except Mistake:  # there is no such file yet
        return []
    return [
        Part(resource_from=part["resource_from"], resource_to=part["resource_to"], config=part["config"])
        for part in written
    ]


def _show(view: InsightView, definition: ExperimentDefinition, parts: Sequence[Part]) -> None:
    from clustertune.cli.printing import console, show
    from clustertune.view.insight import headline, importances, remarks, space_yaml
    from clustertune.view.schedule import schedule_plot

    show(headline(view))
    if view.rows:
        show("", importances(view))
    if said := remarks(view):
        show("", said)
    if view.narrower is not None:
        print(f"\nthe space narrowed, for the next experiment:\n\n{space_yaml(view.narrower)}")
    if parts:
        print("\nwhat the population learned, as the best trial and its ancestors were configured:\n")
        show(schedule_plot(parts, definition.space, view.resource, width=min(console().width, _PLOT_WIDTH)))


def _plain(view: InsightView, seen: Insight, parts: Sequence[Part]) -> dict[str, Any]:
    from clustertune.view.insight import space_yaml

    return {
        "experiment": view.experiment,
        "metric": view.metric,
        "trials": {"valued": view.valued, "worthless": sum(view.worthless.values()), "early": view.early},
        "explained": view.fit,
        "silent": view.silent,
        "held_back": view.held_back,
        "parameters": [
            {
                "name": one.name,
                "importance": one.effect.drop,
                "error": one.effect.error,
                "clear": one.effect.clear,
                "negligible": one.effect.negligible,
                "share": one.share,
                "beyond": one.advice.beyond,
            }
            for one in seen.findings
        ],
        "space": space_yaml(view.narrower) if view.narrower is not None else None,
        "schedule": parts,
    }
