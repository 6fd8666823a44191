"""What an attempt runs: the code's version and digest, the interpreter, its packages, and the machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from clustertune.model.codec import to_plain
from clustertune.model.instance import Inventory
from clustertune.model.messages import Described, RunSpec

LoadedFiles = Sequence[tuple[str, int, int]]
"""Path, modification time (ns) and size of what a warm parent has imported from the working directory."""

_MOST_FILES = 5000
_LARGEST_FILE_BYTES = 1024 * 1024
_MOST_BYTES = 64 * 1024 * 1024
_MOST_PACKAGES = 2000
_ANSWER_S = 20.0
_FRESH_S = 10.0
"""How long what was found of a working directory holds for the commands that start in it."""

_NOT_SOURCE = frozenset({"__pycache__", "node_modules", ".git", ".venv", "venv", "checkpoints", ".ipynb_checkpoints"})

_LIST_PACKAGES = (
    "import importlib.metadata as m, json, platform, sys\n"
    "found = {(d.metadata['Name'] or '') + ' ' + (d.version or '') for d in m.distributions()}\n"
    "print(json.dumps([platform.python_version(), sorted(found, key=str.lower)]))\n"
)

T = TypeVar("T")
Description = tuple[str, dict[str, object]]
"""The digest that names it, and what it says."""


class Describer:
    """Finds out once what many attempts share, and tells it. What takes time is done in threads, and bounded."""

    def __init__(self, inventory: Inventory, tell: Callable[[Callable[[int], Described]], object]) -> None:
        """``tell`` is handed what makes a message of its number."""
        self._machine = to_plain(inventory)
        self._tell = tell
        self._told: set[str] = set()
        self._found: dict[tuple[object, ...], tuple[float, asyncio.Future[Any]]] = {}

    def begin(
        self, attempt: str, run: RunSpec, interpreter: str, environment: Mapping[str, str], files: LoadedFiles | None
    ) -> None:
        """The attempt was started; what it runs is told when it is known, which no attempt waits for."""
        self._description(run, interpreter, environment, files).add_done_callback(partial(self._on_found, attempt))

    def _on_found(self, attempt: str, found: asyncio.Future[Description]) -> None:
        if found.cancelled():
            return
        digest, content = found.result()
        known = digest in self._told
        self._told.add(digest)
        self._tell(partial(Described, attempt=attempt, provenance=digest, content={} if known else content))

    def close(self) -> None:
        for _, found in self._found.values():
            found.cancel()

    async def describe(
        self, run: RunSpec, interpreter: str, environment: Mapping[str, str], files: LoadedFiles | None
    ) -> Description:
        """``files`` are those of the warm parent that the attempt was forked from; None for any other.

        Never raises: what cannot be found out is left empty.
        """
        return await asyncio.shield(self._description(run, interpreter, environment, files))

    def _description(
        self, run: RunSpec, interpreter: str, environment: Mapping[str, str], files: LoadedFiles | None
    ) -> asyncio.Future[Description]:
        key = (interpreter, run.workdir, run.call, run.command, *(files or ()))
        fresh_s = _FRESH_S if files is None else None
        return self._once(key, fresh_s, lambda: self._find_out(run, interpreter, environment, files))

    async def _find_out(
        self, run: RunSpec, interpreter: str, environment: Mapping[str, str], files: LoadedFiles | None
    ) -> Description:
        packages_of = partial(asyncio.to_thread, _packages, interpreter, environment)
        code_in = partial(asyncio.to_thread, _code, run.workdir, files)
        fresh_s = _FRESH_S if files is None else None
        path = environment.get("PYTHONPATH")
        python, packages = await asyncio.shield(self._once(("packages", interpreter, path), _FRESH_S, packages_of))
        code = await asyncio.shield(self._once(("code", run.workdir, *(files or ())), fresh_s, code_in))
        content: dict[str, object] = {
            "code": code,
            "run": run.call or run.command or "",
            "workdir": run.workdir,
            "interpreter": interpreter,
            "python": python,
            "packages": packages,
            "machine": self._machine,
        }
        data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        return hashlib.sha256(data).hexdigest(), content

    def _once(
        self, key: tuple[object, ...], fresh_s: float | None, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Future[T]:
        """Those who ask meanwhile wait for the one answer."""
        now_s = asyncio.get_running_loop().time()
        since_s, found = self._found.get(key, (0.0, None))
        if found is None or (fresh_s is not None and now_s - since_s > fresh_s):
            found = asyncio.ensure_future(work())
            self._found[key] = now_s, found
            if len(self._found) > 1000:
                self._found.pop(next(iter(self._found)))
        return found


def _packages(interpreter: str, environment: Mapping[str, str]) -> tuple[str, list[str]]:
    """Python's version and the packages that the interpreter sees."""
    own = {name: value for name, value in environment.items() if name != "CLUSTERTUNE_FOLDER"}
    answer = _ask([interpreter, "-c", _LIST_PACKAGES], own)
    with suppress(ValueError, TypeError):
        version, packages = json.loads(answer)
        return str(version), [str(package) for package in packages[:_MOST_PACKAGES]]
    return "", []


def _code(workdir: str, files: LoadedFiles | None) -> dict[str, object]:
    """The commit, whether the working tree differs from it, and a digest of the source files."""
    commit = _ask(["git", "-C", workdir, "rev-parse", "HEAD"])
    found: dict[str, object] = {"commit": commit}
    if commit:
        changed = _ask(["git", "-C", workdir, "status", "--porcelain", "--untracked-files=no"])
        found["changed"] = bool(changed)
        found["branch"] = _ask(["git", "-C", workdir, "rev-parse", "--abbrev-ref", "HEAD"])
    paths = sorted(path for path, _, _ in files) if files is not None else list(_sources(workdir, in_git=bool(commit)))
    digest, count, whole = _digest(workdir, paths)
    return {**found, "digest": digest, "files": count, "whole": whole}


def _sources(workdir: str, *, in_git: bool) -> Iterator[str]:
    """What the working directory's program may be made of: as git sees it, or without what is surely not source."""
    if in_git:
        listed = _ask(["git", "-C", workdir, "ls-files", "-co", "--exclude-standard", "-z", "."])
        yield from (os.path.join(workdir, name) for name in sorted(filter(None, listed.split("\0"))))  # noqa: PTH118
        return
    for folder, folders, names in os.walk(workdir):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NOT_SOURCE and not name.startswith(".") and not Path(folder, name, "pyvenv.cfg").exists()
        )
        yield from (os.path.join(folder, name) for name in sorted(names))  # noqa: PTH118


def _digest(workdir: str, paths: Iterable[str]) -> tuple[str, int, bool]:
    """SHA-256 over the names and contents, how many files that were, and whether none was left out."""
    whole, total, count = True, 0, 0
    digest = hashlib.sha256()
    deadline_s = time.monotonic() + _ANSWER_S
    for path in islice(paths, _MOST_FILES + 1):
        try:
            found = Path(path).stat()
            fits = found.st_size <= _LARGEST_FILE_BYTES and total + found.st_size <= _MOST_BYTES
            if not fits or count == _MOST_FILES or time.monotonic() > deadline_s:
                whole = False
                continue
            if not Path(path).is_file():
                continue
            data = Path(path).read_bytes()
        except OSError:
            continue
        name = os.path.relpath(path, workdir).encode(errors="surrogateescape")
        digest.update(b"%d %s %d " % (len(name), name, len(data)) + data)
        total, count = total + len(data), count + 1
    return digest.hexdigest() if count else "", count, whole


def _ask(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a program prints; empty where it cannot be run, fails, or takes too long."""
    env = dict(environment) if environment is not None else {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
