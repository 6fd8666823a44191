"""The placeholders of a command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator

from clustertune.model.errors import suggestion
from clustertune.model.placeholders import ALL_ARGUMENTS, PLACEHOLDER

PARAMETER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
"""What a hyperparameter may be called, so that {name} and --name work for every one."""


def command_problems(command: str, parameters: Collection[str], *, shell: bool) -> Iterator[str]:
    """What is wrong with a command."""
    for match in PLACEHOLDER.finditer(command):
        name = match.group(1)
        if name is not None and name != ALL_ARGUMENTS and name not in parameters:
            known = suggestion(name, [*parameters, ALL_ARGUMENTS])
            yield f"{{{name}}} is no parameter (braces themselves are written {{{{{name}}}}}){known}"
    if not shell:
        yield from _split_problems(command)


def program_of(command: str) -> list[str]:
    """The words of a command, placeholders included. Raises ValueError where quotes do not match."""
    return shlex.split(command)


def has_placeholder(word: str) -> bool:
    return any(match.group(1) for match in PLACEHOLDER.finditer(word))


def _split_problems(command: str) -> Iterator[str]:
    try:
        words = program_of(command)
    except ValueError as error:
        yield f"cannot be split into words: {str(error).lower()}"
        return
    if operators := [word for word in words if word in {"|", "||", "&&", ";", ">", ">>", "<", "&", "2>&1"}]:
        yield f"{operators[0]!r} means nothing without a shell; add shell: true to run, or leave it out"
