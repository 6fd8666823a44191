"""The agent as one file, which any Python 3.10 or newer runs with nothing installed."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_ALONE = ("__init__", "channel", "group", "saving", "training")
_NOT_A_CLIENTS = frozenset({"__main__", "cli", "legacy", "router", "server", "sync", "trio"})
"""Modules and packages of websockets that a client has no use for."""

_DIGEST_CHARS = 12
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can name: the same sources are to give the same bytes."""

# Read by whatever is called Python on the machine, from 2.7 on: what is too old has to say so.
_MAIN = """\
import sys
if sys.version_info < (3, 10):
    problem = "agent.pyz needs Python 3.10 or newer, this is %d.%d.%d" % sys.version_info[:3]
    sys.stderr.write(problem + "\\n")
    sys.stdout.write('{{"error": "' + problem + '"}}\\n')
    sys.exit(1)
from unpacking import run
names = {names}
run("{digest}", names)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFile:
    """``digest`` is the SHA-256 of ``data``, in hexadecimal."""

    data: bytes = field(repr=False)
    digest: str


@cache
def agent_file() -> AgentFile:
    """Built once from what is installed."""
    sources = dict(sorted(_sources()))
    found = hashlib.sha256()
    for name, text in sources.items():
        found.update(f"{name} {len(text)} ".encode() + text)
    sources["__main__.py"] = _main(found.hexdigest()[:_DIGEST_CHARS], sources)
    data = _zipped(sources)
    return AgentFile(data=data, digest=hashlib.sha256(data).hexdigest())


def _main(digest: str, sources: Iterable[str]) -> bytes:
    return _MAIN.format(digest=digest, names=("__main__.py", *sources)).encode()


def _sources() -> Iterator[tuple[str, bytes]]:
    """Names in the file, and contents. What is found is read, and never imported: it is another room's."""
    own = _folder("clustertune")
    for name in _ALONE:
        yield f"clustertune/{name}.py", (own / f"{name}.py").read_bytes()
    for package in ("agent", "model"):
        yield from _package(f"clustertune.{package}", frozenset())
    yield from _package("websockets", _NOT_A_CLIENTS)
    yield "unpacking.py", (_folder("clustertune.agent") / "unpacking.py").read_bytes()


def _package(package: str, without: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    folder = _folder(package)
    for path in folder.rglob("*.py"):
        inside = path.relative_to(folder)
        if not without & {*inside.parts, inside.stem}:
            yield f"{package.replace('.', '/')}/{inside.as_posix()}", path.read_bytes()


def _folder(package: str) -> Path:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the package {package} is not installed as files; install clustertune anew")
    return Path(next(iter(found.submodule_search_locations)))


def _zipped(sources: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in sources.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o100600 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED, 9)
    return data.getvalue()
