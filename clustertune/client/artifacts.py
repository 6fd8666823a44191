"""Brings home what a trial left behind: its checkpoint, or what it declared as its result."""

from __future__ import annotations

import hashlib
import http.client
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clustertune.model.checkpoint import FileEntry, Manifest, Part
from clustertune.model.errors import ClustertuneError, StorageUnavailable

if TYPE_CHECKING:
    from clustertune.client.coordinator import Coordinator

_TRIES = 3
_TIMEOUT_S = 60.0

Progress = Callable[[int, int], None]
"""Called with the bytes that have come, and all that there are."""


@dataclass(frozen=True)
class Source:
    """Where a part is: at the coordinator, or under a signed URL."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """A checkpoint that can be fetched."""

    manifest: Manifest
    sources: Mapping[str, Source]


def fetch(coordinator: Coordinator, experiment: str, digest: str, folder: Path, progress: Progress) -> None:
    """Makes ``folder``, which must not exist, whole or not at all; every part is checked.

    Raises ClustertuneError where a part cannot be had, OSError where the folder cannot be written.
    """
    offer = coordinator.checkpoint(experiment, digest)
    total, come = offer.manifest.size_bytes, 0
    part_folder = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part_folder, ignore_errors=True)
    try:
        part_folder.mkdir(parents=True)
        for name in offer.manifest.folders:
            (part_folder / name).mkdir(parents=True, exist_ok=True)
        for entry in offer.manifest.files:
            for part in _write(entry, part_folder, lambda part: _part(coordinator, offer, part)):
                come += part.size_bytes
                progress(come, total)
        part_folder.rename(folder)
    except BaseException:
        shutil.rmtree(part_folder, ignore_errors=True)
        raise


def _write(entry: FileEntry, folder: Path, bring: Callable[[Part], bytes]) -> list[Part]:
    path = folder / entry.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for part in entry.parts:
            file.write(bring(part))
    path.chmod(entry.mode | 0o600)
    return list(entry.parts)


def _part(coordinator: Coordinator, offer: Offer, part: Part) -> bytes:
    """The bytes of a part, as its digest says."""
    source = offer.sources.get(part.digest)
    if source is None:
        raise ClustertuneError(f"the coordinator does not say where the part {part.digest[:12]} is")
    problem = ""
    for _ in range(_TRIES):
        try:
            data = coordinator.read(source.url) if source.url.startswith("/") else _get(source)
        except (OSError, http.client.HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
            continue
        if len(data) == part.size_bytes and hashlib.sha256(data).hexdigest() == part.digest:
            return data
        problem = "what came is not what its digest says"
    raise StorageUnavailable(f"a part of the checkpoint cannot be fetched: {problem}")


def _get(source: Source) -> bytes:
    """From a storage. The URL is a secret: it stands in no message."""
    parts = urlsplit(source.url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=_TIMEOUT_S)
    try:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request("GET", path, headers=dict(source.headers))
        response = connection.getresponse()
        data = response.read()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"the storage {parts.hostname} answered {response.status}")
        return data
    finally:
        connection.close()
