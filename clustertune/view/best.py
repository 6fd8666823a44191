"""The best trial in a few lines: its value, its configuration, what ran, and what it left. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from clustertune.model.snapshot import Artifact, BestTrial
from clustertune.model.units import format_bytes
from clustertune.view.winning import lead, trouble
from clustertune.view.words import one_line, setting

_LABEL_WIDTH = 12
_LONGEST_TEXT = 200


def best_trial(trial: BestTrial) -> Text:
    """Configuration first, then where it came from."""
    named = f"trial {trial.trial}:" if trial.named else ""
    head = lead(trial, trial.metric, front=len(trial.front), named=named)
    head.append(f" (trial {trial.trial}, {one_line(trial.resource_name)} {trial.resource}, {trial.state.value})")
    width = max(map(len, map(one_line, trial.config)), default=0)
    lines = [
        head,
        *(_breaks(trial) if trial.named else trouble(trial)),
        *(Text(f"  {one_line(name):<{width}}  {setting(value)}") for name, value in trial.config.items()),
    ]
    lines += [_labelled(label, text) for label, text in _about(trial)]
    return Text("\n").join(lines)


def _breaks(trial: BestTrial) -> list[Text]:
    return [Text(f"it breaks constraints: {', '.join(map(one_line, trial.broken))}", "yellow")] if trial.broken else []


def _about(trial: BestTrial) -> Iterator[tuple[str, str]]:
    for artifact in trial.artifacts:
        yield artifact.kind.value, _artifact(trial, artifact)
    if not trial.artifacts:
        yield "checkpoint", _no_checkpoint(trial)
    if trial.problem:
        yield "problem", trial.problem
    yield from _provenance(trial.provenance)
    for name, text in trial.told.items():
        yield one_line(name), _shortened(one_line(text))
    yield "seed", str(trial.seed)


def _no_checkpoint(trial: BestTrial) -> str:
    if not trial.ended:
        return "none yet"
    return "none is kept of it" if trial.named else "none: the program took none"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _artifact(trial: BestTrial, artifact: Artifact) -> str:
    level = f"{one_line(trial.resource_name)} {artifact.ref.resource}"
    where = "" if artifact.stored else ", on its way to the storage"
    return f"{level}, {format_bytes(artifact.ref.size_bytes)}, {artifact.ref.digest[:12]}{where}"


def _provenance(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not content:
        return
    code = content.get("code")
    if isinstance(code, Mapping):
        commit = str(code.get("commit") or "not in git")[:12]
        changed = ", changed since" if code.get("changed") else ""
        digest = f", digest {str(code.get('digest'))[:12]}" if code.get("digest") else ""
        yield "code", one_line(f"{commit}{changed}{digest}")
    packages = content.get("packages")
    count = f", {len(packages)} packages" if isinstance(packages, list) else ""
    yield "python", one_line(f"{content.get('python')} ({content.get('interpreter')}){count}")
    machine = content.get("machine")
    if isinstance(machine, Mapping):
        gpus = machine.get("gpus")
        cards = f", {len(gpus)} GPUs" if isinstance(gpus, list) and gpus else ""
        yield (
            "machine",
            one_line(f"{machine.get('hostname')}, {machine.get('platform')}, {machine.get('cpus')} CPUs{cards}"),
        )


def _labelled(label: str, text: str) -> Text:
    return Text(f"{label:<{_LABEL_WIDTH}}", style="dim").append(text, "not dim")
