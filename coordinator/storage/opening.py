"""Which storage a URL names."""

from __future__ import annotations

from pathlib import Path

from clustertune.coordinator.storage.checkpoints import Checkpoints
from clustertune.coordinator.storage.contracts import Objects, Storage
from clustertune.coordinator.storage.folder import FolderObjects
from clustertune.definition.storage import storage_problem
from clustertune.model.clock import Clock, SystemClock
from clustertune.model.errors import StorageRefused


def open_storage(url: str | None, folder: Path, clock: Clock | None = None) -> Storage:
    """The storage that ``url`` names; without one, ``folder``. Nothing is asked of it yet.

    Raises StorageRefused where the URL, or the environment, is wrong, or the part that speaks to it is not installed.
    """
    return Checkpoints(_objects(url, folder), clock or SystemClock())


def _objects(url: str | None, folder: Path) -> Objects:
    if url is None:
        return FolderObjects(folder)
    if problem := storage_problem(url):
        raise StorageRefused(f"storage: {problem}")
    if url.startswith(("/", "file://")):
        return FolderObjects(Path(url.removeprefix("file://")))
    try:
        from clustertune.coordinator.storage.objects import BucketObjects
    except ImportError as error:
        raise StorageRefused(
            f"storage: {url} needs obstore, which is not installed: pip install 'clustertune[storage]'"
        ) from error
    return BucketObjects(url)
