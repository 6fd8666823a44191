"""The last words: what came of an experiment, where it is, and what to type next. Pure."""

from __future__ import annotations

import shlex

from rich.text import Text

from clustertune.model.snapshot import ExperimentSnapshot
from clustertune.model.trial import ExperimentState, TrialState
from clustertune.view.progress import states
from clustertune.view.styles import EXPERIMENT_STYLES
from clustertune.view.winning import lead, trouble
from clustertune.view.words import clean, counted, duration, one_line, setting

TRACEBACK_LINES = 30


def ending(snapshot: ExperimentSnapshot, program: str, *, best_wrote: bool) -> Text:
    """A few lines. ``program`` is how clustertune is called here, as it would be typed.

    ``best_wrote`` says whether the best trial has any output to look at.
    """
    commands = next_commands(snapshot, program, best_wrote=best_wrote)
    lines = [_labelled("next" if index == 0 else "", command) for index, command in enumerate(commands)]
    return Text("\n").join([outcome(snapshot), *lines])


def outcome(snapshot: ExperimentSnapshot) -> Text:
    """State, trials by state, best value and configuration, and where the results are."""
    lines = [_headline(snapshot), *_failure(snapshot), *_best(snapshot)]
    if snapshot.folder:
        lines.append(_labelled("results", one_line(snapshot.folder)))
    return Text("\n").join(lines)


def next_commands(snapshot: ExperimentSnapshot, program: str, *, best_wrote: bool) -> list[str]:
    """Commands that make sense now, each with what it does."""
    name = shlex.quote(snapshot.name)
    commands = []
    if snapshot.state is ExperimentState.PAUSED:
        commands.append((f"{program} resume {name}", "go on where it was"))
    if snapshot.state is ExperimentState.RUNNING:
        commands.append((f"{program} watch {name}", "look on"))
        commands.append((f"{program} pause {name}", "end its trials for now"))
    if snapshot.best is not None:
        several = bool(snapshot.objectives)
        commands.append((f"{program} results {name}", "the trials on the front" if several else "best trials"))
        one = "the front and its compromise" if several else "the best one"
        commands.append((f"{program} best {name}", f"{one}: where it came from, what it left"))
        if best_wrote:
            which = "compromise" if several else "best"
            commands.append((f"{program} logs {name} {snapshot.best.trial}", f"output of the {which}"))
    if snapshot.counts.get(TrialState.FAILED.value):
        commands.append((f"{program} logs {name}", "output of a failed one"))
    width = max((len(command) for command, _ in commands), default=0)
    return [f"{command:<{width}}   # {meaning}" for command, meaning in commands]


def _headline(snapshot: ExperimentSnapshot) -> Text:
    line = Text(one_line(snapshot.name), style="bold")
    line.append(f" {_VERBS[snapshot.state]}", EXPERIMENT_STYLES[snapshot.state])
    line.append(f" after {duration(snapshot.elapsed_s)}: ", "not bold")
    total = sum(snapshot.counts.values())
    line.append(f"{counted(total, 'trial')} ({states(snapshot)}), {counted(snapshot.reports, 'report')}", "not bold")
    return line.append(f"\n{one_line(snapshot.reason)}", "not bold") if snapshot.reason else line


def _failure(snapshot: ExperimentSnapshot) -> list[Text]:
    if not snapshot.failure or snapshot.failure.strip() in snapshot.reason:
        return []
    lines = clean(snapshot.failure).rstrip().splitlines()
    left_out = len(lines) - TRACEBACK_LINES
    if left_out > 0:
        lines = [f"… {counted(left_out, 'line')} left out", *lines[-TRACEBACK_LINES:]]
    return [Text(f"  {line}", style="red") for line in lines]


def _best(snapshot: ExperimentSnapshot) -> list[Text]:
    best = snapshot.best
    if best is None:
        said = nothing_best(snapshot)
        return [] if said in one_line(snapshot.reason) else [Text(said)]
    head = lead(best, snapshot.metric, front=snapshot.front)
    head.append(f" (trial {best.trial}, {one_line(snapshot.resource)} {best.resource})")
    width = max(map(len, map(one_line, best.config)), default=0)
    return [
        head,
        *trouble(best),
        *(Text(f"  {one_line(name):<{width}}  {setting(value)}") for name, value in best.config.items()),
    ]


def nothing_best(snapshot: ExperimentSnapshot) -> str:
    """Why there is no best trial."""
    metric = one_line(" and ".join(snapshot.wanted) or snapshot.metric)
    if snapshot.reports:
        finite = "a finite" if len(snapshot.wanted) < 2 else "all of"
        return f"no trial reported {finite} {metric}" + ("" if snapshot.state.ended else " yet")
    return f"no trial reported {metric}" if snapshot.state.ended else f"no trial has reported {metric} yet"


def _labelled(label: str, text: str) -> Text:
    return Text(f"{label:<8}", style="dim").append(text, "not dim")


_VERBS = {
    ExperimentState.RUNNING: "runs",
    ExperimentState.PAUSED: "is paused",
    ExperimentState.COMPLETED: "completed",
    ExperimentState.STOPPED: "was stopped",
    ExperimentState.FAILED: "failed",
}
