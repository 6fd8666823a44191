"""What is said of an algorithm that went wrong, so that its author finds the line."""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Any

from clustertune.model.errors import Mistake
from clustertune.model.parameters import shown

_LONGEST = 300
_LONGEST_TRACE = 4000


class BrokenPlugin(Mistake):
    """An installed package offers an algorithm and cannot be used; says which package."""


def named(kind: str, name: str, package: str) -> str:
    """``package``: name and version of where it comes from; empty for ours."""
    return f"the {kind} {name} (of {f'package {package}' if package else 'clustertune itself: please report it'})"


def raised(who: str, error: Exception, method: str, algorithm: object) -> str:
    """``algorithm``, an instance or the class, raised ``error`` in ``method``."""
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"{who} raised {text} in {method}{_line(error, algorithm)}"


def answered(who: str, answer: object, method: str, algorithm: object, trouble: str) -> str:
    """``algorithm`` answered in ``method`` what nobody can use; ``trouble`` says why."""
    code: Any = getattr(getattr(algorithm, method, None), "__code__", None)
    return (
        f"{who} answered {shown_anyhow(answer)} in {method}{_at(code, code.co_firstlineno) if code else ''}: {trouble}"
    )


def trace(error: Exception) -> str:
    """The end of the traceback, which is where the error is."""
    return "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]


def shown_anyhow(answer: object) -> str:
    """Itself, in a message, where it lets itself be shown."""
    try:
        return shown(answer)
    except Exception:  # noqa: BLE001 - its repr() may be the next thing that is wrong with it
        return f"<{type(answer).__name__}>"


def _line(error: Exception, algorithm: object) -> str:
    """The innermost line of the algorithm's own package: what it called may be anybody's."""
    cls = algorithm if isinstance(algorithm, type) else type(algorithm)
    package = cls.__module__.partition(".")[0]
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
            found = _at(frame.f_code, line)
    return found


def _at(code: Any, line: int) -> str:
    return f" ({PurePath(code.co_filename).name}, line {line})"
