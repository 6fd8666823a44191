"""A slow searcher as a process: definitions and what happened come in as lines of JSON, proposals go out."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from typing import Any, TextIO

from clustertune.coordinator.core.slow import Asked
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.search.blame import BrokenPlugin
from clustertune.search.registry import Registry

_NICER = 10
"""Trials may run on this machine too, and they come first."""


def main() -> int:
    """Serves until standard input ends: with it the coordinator has ended, however that came."""
    # Libraries print; the answers have a channel of their own.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(OSError):
        os.nice(_NICER)
    definition = json.loads(sys.stdin.readline() or "null")
    if definition is not None:
        serve(_searcher(definition), sys.stdin, answers)
    return 0


def serve(searcher: Asked, asked: TextIO, answers: TextIO) -> None:
    """One answer for each line."""
    for line in asked:
        request = json.loads(line)
        try:
            searcher.tell(request["told"])
            answer: dict[str, Any] = {"configs": searcher.propose(request["count"]) if request["count"] else []}
        except BrokenPlugin as error:
            answer = {"error": str(error), "traceback": traceback.format_exc()}
        except Exception as error:  # noqa: BLE001 - the process's boundary: it becomes the core's event
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _searcher(plain: dict[str, Any]) -> Asked:
    definition = ExperimentDefinition.from_plain(plain)
    choice, registry = definition.searcher, Registry.default()
    made: Any = registry.make_searcher(
        choice.type, choice.options, space=definition.space, seed=definition.seed, initial=definition.initial
    )
    return Asked(made, choice.type, definition.space, registry.searcher_package)


if __name__ == "__main__":
    sys.exit(main())
