"""Brings a user's program to a machine and makes its environment, as far as that is not done already."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path

from clustertune.model.checkpoint import Manifest
from clustertune.model.codec import to_plain
from clustertune.model.units import format_bytes
from clustertune.provisioner.bootstrap.verbs import Verbs
from clustertune.provisioner.contracts import Furnished, Outfit, Snapshot, Tell

_BLOCK_BYTES = 256 * 1024
_LINE_CHARS = 200

_DEPENDENCIES = re.compile(
    r"(requirements[^/]*\.(txt|in)|constraints[^/]*\.txt|pyproject\.toml|setup\.(py|cfg)|environment\.ya?ml|Pipfile|[^/]*\.lock)"
)
"""Files that say what a program needs, where they lie on top of it: setup commands read them without naming them."""


async def outfit(verbs: Verbs, wanted: Outfit, tell: Tell) -> Furnished:
    """Raises ProviderError; ProviderFatal where setup fails."""
    workdir = await _bring(verbs, wanted.snapshot, wanted.keep, tell) if wanted.snapshot is not None else ""
    if not wanted.setup:
        return Furnished(workdir=workdir or verbs.root, python=wanted.python or verbs.python)
    tell("setting up")
    answer = await verbs.ask(
        "setup",
        {
            "workdir": workdir or verbs.root,
            "commands": list(wanted.setup),
            "python": wanted.python or "auto",
            "env": dict(wanted.env),
            "secrets": dict(wanted.secrets),
            "fingerprint": fingerprint(wanted),
        },
        heard=_last_lines(lambda line: tell(f"setting up: {line}")),
    )
    return Furnished(workdir=workdir or verbs.root, python=str(answer["python"]))


async def _bring(verbs: Verbs, snapshot: Snapshot, keep: Iterable[str], tell: Tell) -> str:
    plain = to_plain(snapshot.manifest)
    missing = (await verbs.ask("want", plain))["missing"]
    if missing:
        await verbs.ask("take", _stream(missing, snapshot.part, tell))
    return str((await verbs.ask("lay", {"manifest": plain, "keep": list(keep)}))["path"])


async def _stream(missing: Mapping[str, int], part: Callable[[str], Path], tell: Tell) -> AsyncIterator[bytes]:
    total, sent = sum(missing.values()), 0
    for digest, size in missing.items():
        yield f"{digest} {size}\n".encode()
        for block in _blocks(part(digest)):
            yield block
            sent += len(block)
            tell(f"sending the program: {format_bytes(sent)} of {format_bytes(total)}")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def fingerprint(wanted: Outfit) -> str:
    """Changes when setup has to run again: with its commands, and the content of the files that they depend on."""
    contents = _depended_upon(wanted.setup, wanted.snapshot.manifest) if wanted.snapshot is not None else {}
    what = [list(wanted.setup), sorted(wanted.env.items()), sorted(contents.items())]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _depended_upon(commands: Iterable[str], manifest: Manifest) -> dict[str, list[str]]:
    named = {posixpath.normpath(word) for command in commands for word in _words(command)}
    return {
        file.path: [part.digest for part in file.parts]
        for file in manifest.files
        if file.path in named or _DEPENDENCIES.fullmatch(file.path) or _is_packaging(file.path, named)
    }


def _is_packaging(path: str, named: set[str]) -> bool:
    """What makes a folder that a command names (``pip install ./library``) a package."""
    folder, _, name = path.rpartition("/")
    return folder in named and _DEPENDENCIES.fullmatch(name) is not None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _last_lines(tell: Tell) -> Callable[[bytes], None]:
    """Tells each whole line that is worth one."""
    rest = b""

    def heard(data: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines[-1:]:
            if text := line.decode(errors="replace").strip()[:_LINE_CHARS]:
                tell(text)

    return heard
