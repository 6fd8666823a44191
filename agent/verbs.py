"""What the agent file does when it is run: one of its verbs, or the agent itself.

A verb reads JSON on standard input where it needs any, and answers with one line of JSON on standard output; where it
cannot do what it was asked, the line is ``{"error": "what to do"}``, and the exit code 1.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from clustertune.agent.root import Hindered, open_root
from clustertune.model.core_dumps import forbid_core_dumps

_VERBS = {
    "look": "looking", "start": "starting", "stop": "stopping", "words": "words", "reach": "reaching",
    "want": "wanting", "take": "taking", "lay": "laying", "setup": "setting_up",
}  # fmt: skip
"""The module of each, which has ``answer(root, given)``. Imported when it is needed: a verb is to be quick."""

_FULL = {errno.ENOSPC, errno.EDQUOT}


def main(arguments: list[str]) -> int:
    """The exit code."""
    if not arguments or arguments[0].startswith("--"):
        return int(import_module("clustertune.agent.__main__").main())
    parser = argparse.ArgumentParser(prog="agent.pyz", description="An agent of clustertune, and what it needs.")
    parser.add_argument("verb", choices=_VERBS)
    parser.add_argument("--root", type=Path, required=True, help="the folder for everything of ours on this machine")
    options = parser.parse_args(arguments)
    forbid_core_dumps()
    answer = _answer(options.verb, options.root)
    with suppress(BrokenPipeError):  # who asked is gone
        print(json.dumps(answer), flush=True)
    return 1 if "error" in answer else 0


def _answer(verb: str, path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = import_module(f"clustertune.agent.{_VERBS[verb]}").answer(
            open_root(path), sys.stdin.buffer
        )
        return found
    except Hindered as error:
        return {"error": str(error), **error.more}
    except OSError as error:
        return {"error": _told(error, path)}
    except Exception as error:  # noqa: BLE001 - our bug, which whoever asked has to hear of, too
        traceback.print_exc()
        return {"error": f"{verb} failed on this machine, which is a fault of clustertune's: {type(error).__name__}"}


def _told(error: OSError, path: Path) -> str:
    why = error.strerror or str(error)
    where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(path)
    if error.errno in _FULL:
        return f"the disk of this machine is full ({where}: {why}); free some space there"
    return f"{where}: {why}"
