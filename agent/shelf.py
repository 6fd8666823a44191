"""Keeps what trials saved, out of their reach, until the coordinator has it or wants it no more."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from clustertune.agent.contents import read_contents
from clustertune.agent.folder import file_name
from clustertune.agent.removal import remove
from clustertune.agent.stopper import Stopper
from clustertune.agent.untrusted import is_folder, opened_folder, read_text, write_text
from clustertune.model.checkpoint import Manifest, SavedKind, read_manifest
from clustertune.model.trial import LARGEST_LEVEL

_THREADS = 2
_SEALED = ".json"
_EPOCH = ".epoch"
_TRASH = ".trash"
_UNASKED = 2
"""So many announced ones of an attempt are kept while the coordinator has asked for none of them."""

T = TypeVar("T")


@dataclass(eq=False)
class Kept:
    """One folder. ``digest`` is empty until it is sealed; ``bandwidth_bytes_s`` limits its upload."""

    attempt: str
    kind: SavedKind
    resource: int
    path: Path
    bandwidth_bytes_s: int | None = None
    manifest: Manifest = field(default_factory=Manifest)
    digest: str = ""
    announced: bool = False
    in_use: int = 0  # by uploads and copies
    unwanted: bool = False

    @property
    def seal_path(self) -> Path:
        return self.path.with_name(self.path.name + _SEALED)


class Shelf:
    """``checkpoints/ATTEMPT/LEVEL`` in the agent's folder, of one epoch. A seal beside it says what is in it."""

    def __init__(self, root: Path, epoch: int) -> None:
        """Removes what other epochs left. Raises OSError."""
        self._root, self._kept = root, list[Kept]()
        self._numbers = itertools.count()
        self.stopper = Stopper()
        self._disk = ThreadPoolExecutor(_THREADS, "disk")
        marker = root / _EPOCH
        if not is_folder(root) or _text(marker) != str(epoch):
            remove(root)
        remove(root / _TRASH)
        (root / _TRASH).mkdir(mode=0o700, parents=True, exist_ok=True)
        root.chmod(0o700)
        with suppress(OSError):  # a disk that is full keeps nobody from starting
            write_text(marker, str(epoch))
        self._recover()

    def _recover(self) -> None:
        """After an agent of the same epoch that was killed."""
        for folder in self._root.iterdir():
            if folder.name.startswith("."):
                continue
            if not is_folder(folder):
                remove(folder)
                continue
            with suppress(OSError):
                for path in folder.iterdir():
                    if is_folder(path) and (kept := _read_kept(folder, path)):
                        self._kept.append(kept)

    def settle(self, interrupted: list[tuple[str, Path]]) -> list[Kept]:
        """The newest unsealed one of each interrupted attempt, which lies here or where its program saved it.

        What else is unsealed nobody was told of, and nobody will be.
        """
        for attempt, folder in interrupted:
            with suppress(OSError), opened_folder(folder) as saved:
                if levels := whole_levels(saved):
                    self.place(attempt, SavedKind.CHECKPOINT, levels[-1], str(levels[-1]), saved)
        names = {attempt for attempt, _ in interrupted}
        for kept in [kept for kept in self._kept if not kept.announced and kept.attempt not in names]:
            self._remove(kept)
        return [kept for kept in self._kept if not kept.announced]

    def place(
        self, attempt: str, kind: SavedKind, resource: int, source: str, within: int,
        bandwidth_bytes_s: int | None = None,
    ) -> Kept:  # fmt: skip
        """Moves a whole folder here, in place of what nobody was told of. Raises OSError.

        ``source`` is its name in the folder that ``within`` is a descriptor of.
        """
        folder = self._root / file_name(attempt)
        folder.mkdir(mode=0o700, exist_ok=True)
        name = str(resource) if kind is SavedKind.CHECKPOINT else kind.value
        path = folder / name
        while os.path.lexists(path):
            path = folder / f"{name}-{next(self._numbers)}"
        os.rename(source, path, src_dir_fd=within)
        if not is_folder(path):  # now that the program cannot replace it any more
            self.throw_away(path)
            raise NotADirectoryError(errno.ENOTDIR, "it is no folder, or a link to one", source)
        for older in self._of(attempt, kind):
            if not older.announced:
                self._remove(older)
        kept = Kept(attempt, kind, resource, path, bandwidth_bytes_s)
        self._kept.append(kept)
        return kept

    async def read(self, kept: Kept) -> tuple[str, ...]:
        """Finds out what is in it; returns notices. From now on it is not replaced. Raises Unreadable."""
        kept.announced = True
        contents = await self._in_thread(lambda: read_contents(kept.path, self.stopper.check))
        kept.manifest, kept.digest = contents.manifest, contents.digest
        return contents.notices

    async def seal(self, kept: Kept) -> None:
        """It was announced: an agent of the same epoch that comes after this one knows it by its digest."""
        with self.using(kept):
            await self._in_thread(lambda: _write_seal(kept))
        unasked = [other for other in self._of(kept.attempt, kept.kind) if other.digest and not other.in_use]
        for other in unasked[:-_UNASKED]:
            self._remove(other)

    def unannounced(self, attempt: str, kind: SavedKind) -> Kept | None:
        return next((kept for kept in self._of(attempt, kind) if not kept.announced), None)

    def find(self, digest: str, attempt: str | None = None) -> Kept | None:
        """The newest with this content."""
        for kept in reversed(self._kept):
            if kept.digest == digest and attempt in (None, kept.attempt) and not kept.unwanted:
                return kept
        return None

    def take_back(self, digest: str, attempt: str) -> Kept | None:
        """What was discarded, and is here still because somebody uses it, is wanted again."""
        for kept in self._kept:
            if (kept.attempt, kept.digest, kept.unwanted) == (attempt, digest, True):
                kept.unwanted = False
                return kept
        return None

    @contextmanager
    def using(self, kept: Kept) -> Iterator[None]:
        """It stays until the end of this, also where it is discarded meanwhile."""
        kept.in_use += 1
        try:
            yield
        finally:
            kept.in_use -= 1
            if kept.unwanted and not kept.in_use:
                self._remove(kept)

    def discard(self, attempt: str, digests: tuple[str, ...]) -> None:
        for kept in [kept for kept in self._kept if kept.attempt == attempt and kept.digest in digests]:
            self.drop(kept)

    def drop(self, kept: Kept) -> None:
        kept.unwanted = True
        if not kept.in_use:
            self._remove(kept)

    def held(self) -> dict[str, tuple[str, ...]]:
        """Digests of all that was announced, by attempt."""
        found: dict[str, tuple[str, ...]] = {}
        for kept in self._kept:
            if kept.digest and not kept.unwanted:
                found[kept.attempt] = (*found.get(kept.attempt, ()), kept.digest)
        return found

    @property
    def awaited(self) -> bool:
        """Whether there is something that the coordinator was told of, and has said nothing final about."""
        return any(kept.announced and not kept.unwanted for kept in self._kept)

    def _of(self, attempt: str, kind: SavedKind) -> list[Kept]:
        return [kept for kept in self._kept if kept.attempt == attempt and kept.kind is kind and not kept.unwanted]

    def _remove(self, kept: Kept) -> None:
        if kept in self._kept:
            self._kept.remove(kept)
            remove(kept.seal_path)
            self.throw_away(kept.path)
            with suppress(OSError):
                kept.path.parent.rmdir()  # where it was the last

    def throw_away(self, path: Path | str, within: int | None = None) -> None:
        """Gone from its place at once; removed in a thread, for gigabytes take their time.

        ``within`` is a descriptor of the folder that ``path`` is relative to.
        """
        trash = self._root / _TRASH / str(next(self._numbers))
        with suppress(OSError):
            os.rename(path, trash, src_dir_fd=within)
            with suppress(RuntimeError):  # closed: all goes anyway
                self._disk.submit(remove, trash)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work)

    def close(self) -> None:
        """Removes everything."""
        self.stopper.stop()
        self._disk.shutdown(cancel_futures=True)
        remove(self._root)


def _write_seal(kept: Kept) -> None:
    plain = {
        "attempt": kept.attempt, "kind": kept.kind.value, "resource": kept.resource, "digest": kept.digest,
        "bandwidth_bytes_s": kept.bandwidth_bytes_s, "manifest": kept.manifest.encode().decode(),
    }  # fmt: skip
    fresh = kept.seal_path.with_suffix(".new")
    with suppress(OSError):
        write_text(fresh, json.dumps(plain))
        fresh.replace(kept.seal_path)


def whole_levels(folder: int) -> list[int]:
    """The levels of the whole checkpoints in a folder that a program saves to, lowest first. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(int(each.name) for each in entries if _is_level(each.name) and each.is_dir(follow_symlinks=False))


def _is_level(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 20 and name[0] != "0" and int(name) <= LARGEST_LEVEL


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError):
        return ""


def _read_kept(folder: Path, path: Path) -> Kept | None:
    name = path.name.partition("-")[0]
    kept = Kept(unquote(folder.name), SavedKind.CHECKPOINT, int(name), path) if _is_level(name) else None
    try:
        plain = json.loads(read_text(path.with_name(path.name + _SEALED)))
        manifest = read_manifest(plain["manifest"].encode(), plain["digest"])
        return Kept(
            plain["attempt"], SavedKind(plain["kind"]), plain["resource"], path, plain["bandwidth_bytes_s"],
            manifest, plain["digest"], announced=True,
        )  # fmt: skip
    except Exception:  # noqa: BLE001 - whatever lies there in place of a seal, an agent has to start
        return kept
