"""Fills a trial's values into the command that the user wrote."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from clustertune.model.placeholders import ALL_ARGUMENTS, PLACEHOLDER
from clustertune.model.trial import Value


def fill(command: str, config: Mapping[str, Value], *, shell: bool = False) -> list[str]:
    """The argument vector of ``command`` for one configuration.

    Split as a shell would, then filled in, so that no value can become two arguments or a redirection. With ``shell``:
    filled in with quoted values, for ``/bin/sh -c``. Parameters that are not in ``config`` are inactive: an entry that
    is nothing but such a placeholder is dropped. Raises ValueError where quotes do not match or nothing is left to run.
    """
    if shell:
        return ["/bin/sh", "-c", _fill_text(command, {name: shlex.quote(as_text(v)) for name, v in config.items()})]
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"the command cannot be split into words: {error} in {command!r}") from error
    texts = {name: as_text(value) for name, value in config.items()}
    argv = [entry for word in words for entry in _fill_word(word, texts)]
    if not argv:
        raise ValueError(f"the command is empty: {command!r}")
    return argv


def as_text(value: Value) -> str:
    """true and false as other programs write them; floats so that they read back exactly."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _fill_word(word: str, texts: Mapping[str, str]) -> Iterator[str]:
    whole = PLACEHOLDER.fullmatch(word)
    name = whole.group(1) if whole else None
    if name is None or (name == ALL_ARGUMENTS and ALL_ARGUMENTS in texts):
        yield _fill_text(word, texts)
    elif name == ALL_ARGUMENTS:
        for parameter, text in texts.items():
            yield from (f"--{parameter}", text)
    elif name in texts:
        yield texts[name]


def _fill_text(text: str, texts: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return match.group()[0]
        if name == ALL_ARGUMENTS and ALL_ARGUMENTS not in texts:
            return " ".join(f"--{parameter} {value}" for parameter, value in texts.items())
        return texts.get(name, "")

    return PLACEHOLDER.sub(replace, text)
