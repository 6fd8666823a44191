"""The command that compares strategies in virtual time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clustertune.cli import options
from clustertune.model.errors import Mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clustertune.coordinator.simulation.comparison import Compared
    from clustertune.coordinator.simulation.conditions import Machine
    from clustertune.coordinator.simulation.outcome import Outcome
    from clustertune.definition import ExperimentDefinition
    from clustertune.view.comparison import StrategyRow

_POINTS = 400
"""How many amounts of compute a curve of best values is read off at."""

_PLOT_WIDTH = 100
_NOTHING = (0.0, 0.0, 0.0)
_TOLD = ("state", "reason", "time_s", "compute_s", "results", "interruptions", "states", "path", "best")


def simulate(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment's definition.")],
    slots: Annotated[int, typer.Option("--slots", min=1, help="How many trials run at once, on all machines.")],
    task: Annotated[
        str | None,
        typer.Option("--task", metavar="NAME[:OPTION=VALUE,…]", help="hartmann3, hartmann6, curves. Default: curves."),
    ] = None,
    recorded: Annotated[
        str | None,
        typer.Option(
            "--recorded", metavar="EXPERIMENT|DIR", help="An earlier experiment, or the folder of its results."
        ),
    ] = None,
    only_recorded: Annotated[
        bool, typer.Option("--only-recorded", help="Try the recorded configurations alone, in their order.")
    ] = False,
    searchers: Annotated[
        list[str] | None, typer.Option("--searcher", metavar="NAME", help="To compare; may be repeated.")
    ] = None,
    schedulers: Annotated[
        list[str] | None, typer.Option("--scheduler", metavar="NAME", help="To compare; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How often each is simulated.")] = 5,
    time: Annotated[
        str | None,
        typer.Option("--time", metavar="DURATION", help="The same virtual time for each, however many trials that is."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a field; may be repeated.")
    ] = None,
    machines: Annotated[int, typer.Option("--machines", min=1, help="How many machines share the slots.")] = 1,
    speeds: Annotated[str, typer.Option("--speeds", metavar="X,Y,…", help="How fast the machines are, in turn.")] = "1",
    machine_start: Annotated[str, typer.Option("--machine-start", metavar="DURATION", help="Of a machine.")] = "0",
    trial_start: Annotated[str, typer.Option("--trial-start", metavar="DURATION", help="Of a trial.")] = "0",
    interruptions: Annotated[
        float, typer.Option("--interruptions", min=0, help="How often an hour each machine is taken back.")
    ] = 0.0,
    return_after: Annotated[
        str, typer.Option("--return-after", metavar="DURATION", help="Until another machine begins to start.")
    ] = "0",
    suggest_time: Annotated[
        str, typer.Option("--suggest-time", metavar="DURATION", help="What a model-based searcher takes.")
    ] = "0.2",
    as_json: options.Json = False,
) -> None:
    """Compare ways to search in virtual time, on a named function or an earlier experiment's curves."""
    from clustertune.cli.strategies import Wanted, among_recorded, stand_in, strategies
    from clustertune.coordinator.simulation.comparison import compare
    from clustertune.coordinator.simulation.conditions import Conditions

    conditions = Conditions(
        machines=_machines(slots, machines, speeds, _seconds("--machine-start", machine_start)),
        trial_start_s=_seconds("--trial-start", trial_start),
        suggest_s=_seconds("--suggest-time", suggest_time),
        interruptions_per_hour=interruptions,
        return_s=_seconds("--return-after", return_after),
    )
    wanted = Wanted(searchers=searchers or [], schedulers=schedulers or [], overrides=overrides or [], time=time)
    chosen = strategies(experiment, wanted)
    tuned, about = stand_in(task, recorded, chosen[0].definition)
    if only_recorded:
        chosen = among_recorded(chosen, tuned)
    compared = compare(chosen, tuned, conditions, seeds=seeds, told=_progress)
    if as_json:
        _print_json(compared, about)
    else:
        _show(compared, chosen[0].definition, f"{about}; {slots} slots, {seeds} seeds each; all times are virtual")


def _machines(slots: int, machines: int, speeds: str, start_s: float) -> tuple[Machine, ...]:
    """The slots spread as evenly as they go."""
    from clustertune.coordinator.simulation.conditions import SPEEDS, Machine

    if machines > slots:
        raise Mistake(f"--machines {machines} is more than --slots {slots}; a machine has a slot at least")
    try:
        kinds = [Machine(speed=float(speed), start_s=start_s) for speed in speeds.split(",")]
        return tuple(
            replace(kinds[n % len(kinds)], slots=slots // machines + (n < slots % machines)) for n in range(machines)
        )
    except ValueError as error:
        slowest, fastest = SPEEDS
        takes = f"takes numbers from {slowest:g} to {fastest:g}, as in 1,0.5"
        raise Mistake(f"--speeds {takes}, but got {speeds!r}") from error


def _seconds(option: str, written: str) -> float:
    from clustertune.model.units import parse_duration

    try:
        return parse_duration(written)
    except ValueError as error:
        raise Mistake(f"{option}: {error}") from error


def _progress(strategy: str, seed: int) -> None:
    """Who waits at a terminal sees what for."""
    if sys.stderr.isatty():
        print(f"\r\033[Ksimulating {strategy}, seed {seed}", end="\r", file=sys.stderr, flush=True)


def _show(compared: Sequence[Compared], definition: ExperimentDefinition, about: str) -> None:
    from clustertune.cli.printing import console, show
    from clustertune.coordinator.simulation.comparison import compute_points
    from clustertune.view.comparison import best_over_compute, comparison

    points = compute_points(compared, _POINTS)
    rows = [_row(one, points) for one in compared]
    print(about)
    show(comparison(rows, definition.objective.metric, definition.objective.goal), "")
    show(best_over_compute(rows, points[0], points[-1], width=min(console().width, _PLOT_WIDTH)))


def _row(one: Compared, points: Sequence[float]) -> StrategyRow:
    from clustertune.view.comparison import StrategyRow

    return StrategyRow(
        name=one.strategy,
        best=one.spread(lambda outcome: outcome.value),
        compute_s=one.spread(lambda outcome: outcome.compute_s) or _NOTHING,
        time_s=one.spread(lambda outcome: outcome.time_s) or _NOTHING,
        trials=one.spread(lambda outcome: outcome.trials) or _NOTHING,
        curve=one.curve(points),
    )


def _print_json(compared: Sequence[Compared], about: str) -> None:
    from clustertune.cli.printing import print_json

    strategies = [
        {
            "strategy": one.strategy,
            "best": one.spread(lambda outcome: outcome.value),
            "simulations": [
                {"seed": seed, "value": outcome.value, "trials": outcome.trials, **_told(outcome)}
                for seed, outcome in zip(one.seeds, one.outcomes, strict=True)
            ],
        }
        for one in compared
    ]
    print_json({"task": about, "strategies": strategies})


def _told(outcome: Outcome) -> dict[str, object]:
    """All but the number of events, which says something of us and not of the search."""
    return {name: getattr(outcome, name) for name in _TOLD}
