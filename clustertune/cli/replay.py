"""The command that proves an experiment's decisions from its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from clustertune.cli import options

if TYPE_CHECKING:
    from clustertune.coordinator.replay import Checked

_SHOWN = 10
_EVERY = 100
_WHY = """\
The journal's decisions stand. Others come out where the algorithms, or the libraries that fit models, are of other
versions than those that decided; models that were fitted on another processor may differ in their last digits."""


def replay(name: options.Name = None, cluster: options.Cluster = None, as_json: options.Json = False) -> None:
    """Compute every decision of an experiment again from its journal, and compare."""
    from clustertune.cli.journal_check import JOURNAL
    from clustertune.cli.places import TO_LOOK_AT, find
    from clustertune.cli.printing import print_json
    from clustertune.coordinator.journal import read_facts
    from clustertune.coordinator.replay import Replay
    from clustertune.search.registry import Registry

    found = find(name, cluster, TO_LOOK_AT)
    replayed, others = Replay(Registry.default()), list[Any]()
    for number, checked in enumerate(replayed.run(read_facts(found.folder.path / JOURNAL), found.name), start=1):
        if not checked.equal:
            others.append(checked)
        _progress(number)
    _progress(None)
    if as_json:
        print_json(
            {"experiment": found.name, "decisions": dict(replayed.counts), "others": [_plain(o) for o in others]}
        )
    else:
        _print(found.name, dict(replayed.counts), others)
    if others:
        raise typer.Exit(1)


def _print(name: str, counts: dict[str, int], others: list[Checked]) -> None:
    kinds = ", ".join(f"{count} {kind}s" for kind, count in sorted(counts.items())) or "none yet"
    total = sum(counts.values())
    if not others:
        print(f"{name}: all {total} decisions come out as they are in the journal ({kinds})")
        return
    print(f"{name}: {len(others)} of {total} decisions come out otherwise ({kinds})")
    for other in others[:_SHOWN]:
        print(f"  {other.kind} of trial {other.trial}: journal {_short(other.recorded)}, now {_short(other.computed)}")
    if len(others) > _SHOWN:
        print(f"  and {len(others) - _SHOWN} more; --json has them all")
    print(_WHY)


def _plain(other: Checked) -> dict[str, Any]:
    said = {"recorded": _short(other.recorded), "computed": _short(other.computed)}
    return {"kind": other.kind, "trial": other.trial, **said}


def _short(said: Any) -> str:
    if isinstance(said, dict):
        return ", ".join(
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in said.items()
        )
    return _decision(said) or ("nothing" if said is None else str(said))


def _decision(said: Any) -> str:
    """What a scheduler wants to run, in words."""
    from clustertune.search.contracts import ResumeTrial, StartNew, StopPausedTrial, Wait

    match said:
        case StartNew():
            return "a new trial"
        case ResumeTrial(trial=trial):
            return f"trial {trial} goes on"
        case StopPausedTrial(trial=trial):
            return f"trial {trial} is dismissed"
        case Wait():
            return "nothing to start"
    return ""


def _progress(number: int | None) -> None:
    """Models take their time: a line that is written over, on a terminal alone."""
    import sys

    if not sys.stderr.isatty():
        return
    if number is None:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    elif number % _EVERY == 0:
        print(f"\r{number} decisions …", end="", file=sys.stderr, flush=True)
