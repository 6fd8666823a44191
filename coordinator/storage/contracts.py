"""What keeps checkpoints, and what it stands on. Keys and ids are ours: letters, digits, ``-``, ``_``, ``.``, ``/``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from clustertune.model.checkpoint import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A part to be sent. ``url`` is signed, and so a secret; None: it comes to our own socket."""

    digest: str
    size_bytes: int
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Get:
    """Where a part can be read. ``url`` is signed, and so a secret; None: on our own socket."""

    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Storage(Protocol):
    """One storage URL. ``experiment_id`` is unique among all that share the storage.

    Each method but ``parts`` is async, never blocks the loop, and may raise StorageError.
    """

    @property
    def parts(self) -> PartFiles | None:
        """Where parts that come to our own socket go; None: they go elsewhere, by signed URLs."""
        ...

    async def check(self) -> None:
        """Writes, reads and deletes something. Raises StorageError with what was found and its remedy."""
        ...

    async def missing(self, experiment_id: str, parts: Mapping[str, int]) -> list[Put]:
        """Those of ``parts`` (sizes by digest) that are not there with their size; the others stay for an hour."""
        ...

    async def keep(self, experiment_id: str, manifest: Manifest) -> None:
        """Makes the checkpoint whole: its manifest is written last. Raises PartsMissing. May be repeated."""
        ...

    async def manifest(self, experiment_id: str, digest: str) -> bytes:
        """Raises NoSuchName where there is none."""
        ...

    async def sources(self, experiment_id: str, digests: Collection[str]) -> dict[str, Get]:
        """Where to read parts, whether they are there or not."""
        ...

    async def drop(self, experiment_id: str, digest: str, kept: Collection[str]) -> None:
        """Deletes a checkpoint, and the parts that none of ``kept`` needs. May be repeated."""
        ...

    async def settle(self, experiment_id: str, kept: Collection[str]) -> None:
        """The experiment is over, and nothing of it on its way: what none of ``kept`` needs goes, however young."""
        ...

    async def drop_all(self, experiment_id: str) -> None:
        """Deletes all that there is of the experiment."""
        ...


class PartFiles(Protocol):
    """Parts in local files. Its methods block, and are for threads."""

    def receive(self, experiment_id: str, digest: str) -> Receiver:
        """Raises StorageError."""
        ...

    def open(self, experiment_id: str, digest: str) -> BinaryIO:
        """Raises NoSuchName."""
        ...


class Receiver(Protocol):
    """One part on its way. Ends with either ``finish`` or ``abandon``; an error of the others abandons it too."""

    def write(self, block: bytes) -> None:
        """Raises StorageError; TooLarge where it grows beyond what a part may be."""
        ...

    def finish(self) -> None:
        """Makes it a part, on disk. Raises WrongPart where the bytes are not what the digest says."""
        ...

    def abandon(self) -> None: ...


class WrongPart(ValueError):
    """What came is not the part that it was said to be."""


class TooLarge(WrongPart):
    """What came is more than it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An object that is there."""

    key: str
    size_bytes: int
    age_s: float


class Objects(Protocol):
    """Bytes under keys. What is written is whole and on disk before ``write`` returns. All may raise StorageError."""

    parts: PartFiles | None

    async def check(self) -> None: ...

    async def write(self, key: str, data: bytes) -> None: ...

    async def read(self, key: str) -> bytes | None: ...

    async def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """Of those that are there."""
        ...

    async def settle(self, experiment_id: str) -> None:
        """Returns once the experiment's parts would survive a power failure."""
        ...

    async def list(self, prefix: str) -> list[Found]:
        """All below a folder."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """What is not there is no error."""
        ...

    async def puts(self, keys: Mapping[str, str]) -> dict[str, str | None]:
        """For each key (by a name of the caller's) the URL to send it to."""
        ...

    async def gets(self, keys: Mapping[str, str]) -> dict[str, str | None]: ...
