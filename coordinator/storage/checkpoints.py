"""Keeps checkpoints on bytes under keys: which parts to ask for, when one is whole, what may be deleted."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from clustertune.coordinator.storage.contracts import Get, Objects, PartFiles, Put
from clustertune.model.checkpoint import MAX_MANIFEST_BYTES, Manifest, is_digest, read_manifest
from clustertune.model.clock import Clock
from clustertune.model.errors import NoSuchName, PartsMissing, StorageError

PROMISE_S = 3600.0
"""So long a part that was announced, or found to be there already, is not deleted, whoever stops needing it.

Also how old a part must be that no manifest names, before it is taken for what a broken transfer left.
"""

_REMEMBERED_PARTS = 200_000
"""Some 20 MB: what manifests name never changes, and reading them again costs a request each."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")
_AT_ONCE = 16


@dataclass(slots=True)
class _Experiment:
    """``promised`` (the parts of a transfer under way) and ``fresh`` (manifests) say until when they are protected."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    promised: dict[frozenset[str], float] = field(default_factory=dict)
    fresh: dict[str, float] = field(default_factory=dict)
    swept_s: float = float("-inf")

    def forget(self, now_s: float) -> None:
        """What was protected for long enough."""
        self.promised = {parts: until_s for parts, until_s in self.promised.items() if until_s > now_s}
        self.fresh = {digest: until_s for digest, until_s in self.fresh.items() if until_s > now_s}


class _Damaged(StorageError):
    """A manifest is not what its name says."""


class Checkpoints:
    """The Storage of one URL. Deleting and making whole exclude each other, an experiment at a time."""

    def __init__(self, objects: Objects, clock: Clock, *, manifest_bytes: int = MAX_MANIFEST_BYTES) -> None:
        """``manifest_bytes``: how long a manifest may be."""
        self._objects, self._clock, self._manifest_bytes = objects, clock, manifest_bytes
        self._experiments: dict[str, _Experiment] = {}
        self._named: OrderedDict[tuple[str, str], dict[str, int]] = OrderedDict()
        self._remembered = 0

    @property
    def parts(self) -> PartFiles | None:
        return self._objects.parts

    async def check(self) -> None:
        await self._objects.check()

    async def missing(self, experiment_id: str, parts: Mapping[str, int]) -> list[Put]:
        experiment = self._experiment(experiment_id)
        async with experiment.lock:  # what a drop is about to delete is not promised
            experiment.promised[frozenset(parts)] = self._clock.monotonic_s() + PROMISE_S
            lacking = await self._lacking(experiment_id, parts)
        urls = await self._objects.puts({digest: part_key(experiment_id, digest) for digest in lacking})
        return [Put(digest=digest, size_bytes=size, url=urls[digest]) for digest, size in lacking.items()]

    async def keep(self, experiment_id: str, manifest: Manifest) -> None:
        experiment = self._experiment(experiment_id)
        encoded, digest = await asyncio.to_thread(_encoded, manifest)
        async with experiment.lock:
            if lacking := await self._lacking(experiment_id, manifest.parts):
                raise PartsMissing(lacking)
            await self._objects.settle(experiment_id)
            await self._objects.write(manifest_key(experiment_id, digest), encoded)
            experiment.fresh[digest] = self._clock.monotonic_s() + PROMISE_S
            experiment.promised.pop(frozenset(manifest.parts), None)

    async def manifest(self, experiment_id: str, digest: str) -> bytes:
        data = await self._objects.read(manifest_key(experiment_id, digest))
        if data is None:
            raise NoSuchName("checkpoint", digest, ())
        return data

    async def sources(self, experiment_id: str, digests: Collection[str]) -> dict[str, Get]:
        urls = await self._objects.gets({digest: part_key(experiment_id, digest) for digest in digests})
        return {digest: Get(url=url) for digest, url in urls.items()}

    async def drop(self, experiment_id: str, digest: str, kept: Collection[str]) -> None:
        experiment, now_s = self._experiment(experiment_id), self._clock.monotonic_s()
        async with experiment.lock:
            experiment.forget(now_s)
            experiment.fresh.pop(digest, None)
            dropped = await self._readable_parts(experiment_id, digest)
            await self._objects.delete([manifest_key(experiment_id, digest)])
            sweeps = now_s - experiment.swept_s > PROMISE_S
            if dropped or sweeps:
                others = {*kept, *experiment.fresh} - {digest}
                needed = (await self._needed(experiment_id, others)).union(*experiment.promised)
                await self._objects.delete([part_key(experiment_id, part) for part in dropped if part not in needed])
                if sweeps:
                    await self._sweep(experiment_id, needed, others)
                    experiment.swept_s = now_s
            self._forget(experiment_id, digest)

    async def sweep(self, experiment_id: str, kept: Collection[str]) -> None:
        """What is older than an hour, and none of ``kept`` needs, goes."""
        experiment = self._experiment(experiment_id)
        async with experiment.lock:
            experiment.forget(self._clock.monotonic_s())
            kept = {*kept, *experiment.fresh}
            needed = (await self._needed(experiment_id, kept)).union(*experiment.promised)
            await self._sweep(experiment_id, needed, kept)

    async def settle(self, experiment_id: str, kept: Collection[str]) -> None:
        experiment = self._experiment(experiment_id)
        async with experiment.lock:
            experiment.promised.clear()
            experiment.fresh.clear()
            await self._sweep(experiment_id, await self._needed(experiment_id, kept), kept, older_than_s=-1.0)

    async def drop_all(self, experiment_id: str) -> None:
        experiment = self._experiment(experiment_id)
        async with experiment.lock:
            # Manifests first: what has one is whole.
            for kind in ("manifests", "parts"):
                found = await self._objects.list(f"{experiment_id}/{kind}")
                await self._objects.delete([it.key for it in found])
            experiment.promised.clear()
            experiment.fresh.clear()

    async def _needed(self, experiment_id: str, kept: Collection[str]) -> set[str]:
        """Parts that these checkpoints name."""
        needed: set[str] = set()
        digests = list(kept)
        for start in range(0, len(digests), _AT_ONCE):
            some = (self._parts_of(experiment_id, digest) for digest in digests[start : start + _AT_ONCE])
            needed.update(*await asyncio.gather(*some))
        return needed

    async def _sweep(
        self, experiment_id: str, needed: set[str], kept: Collection[str], older_than_s: float = PROMISE_S
    ) -> None:
        """What a coordinator that was killed left: manifests that nobody heard of, and parts of transfers."""
        manifests = await self._objects.list(f"{experiment_id}/manifests")
        parts = await self._objects.list(f"{experiment_id}/parts")
        old = [
            found.key
            for found, wanted in [*((it, kept) for it in manifests), *((it, needed) for it in parts)]
            if found.age_s > older_than_s and found.key.rpartition("/")[2] not in wanted
        ]
        await self._objects.delete(old)

    async def _lacking(self, experiment_id: str, parts: Mapping[str, int]) -> dict[str, int]:
        sizes = await self._objects.sizes([part_key(experiment_id, digest) for digest in parts])
        return {digest: size for digest, size in parts.items() if sizes.get(part_key(experiment_id, digest)) != size}

    async def _readable_parts(self, experiment_id: str, digest: str) -> Mapping[str, int]:
        """Of a checkpoint that goes: where its manifest is damaged, its parts are left to the sweep."""
        try:
            return await self._parts_of(experiment_id, digest)
        except _Damaged:
            return {}

    async def _parts_of(self, experiment_id: str, digest: str) -> Mapping[str, int]:
        """Empty where the manifest is gone. Raises _Damaged: nothing is deleted that it might name."""
        key = (experiment_id, digest)
        if key in self._named:
            self._named.move_to_end(key)
            return self._named[key]
        data = await self._objects.read(manifest_key(experiment_id, digest))
        if data is None:
            return {}
        try:
            parts = (await asyncio.to_thread(read_manifest, data, digest, self._manifest_bytes)).parts
        except ValueError as error:
            raise _Damaged(f"the manifest {digest} of {experiment_id} is damaged: {error}") from error
        self._remember(key, parts)
        return parts

    def _remember(self, key: tuple[str, str], parts: dict[str, int]) -> None:
        self._remembered += len(parts) - len(self._named.get(key, ()))
        self._named[key] = parts
        while self._remembered > _REMEMBERED_PARTS and len(self._named) > 1:
            self._remembered -= len(self._named.popitem(last=False)[1])

    def _forget(self, experiment_id: str, digest: str) -> None:
        self._remembered -= len(self._named.pop((experiment_id, digest), ()))

    def _experiment(self, experiment_id: str) -> _Experiment:
        return self._experiments.setdefault(_checked_id(experiment_id), _Experiment())


def part_key(experiment_id: str, digest: str) -> str:
    """Raises ValueError for what could lead elsewhere."""
    return f"{_checked_id(experiment_id)}/parts/{_checked_digest(digest)}"


def manifest_key(experiment_id: str, digest: str) -> str:
    """Raises ValueError for what could lead elsewhere."""
    return f"{_checked_id(experiment_id)}/manifests/{_checked_digest(digest)}"


def _encoded(manifest: Manifest) -> tuple[bytes, str]:
    return manifest.encode(), manifest.digest()


def _checked_id(experiment_id: str) -> str:
    if not _ID.fullmatch(experiment_id):
        raise ValueError(
            f"{experiment_id[:100]!r} is no id of an experiment: letters, digits, '-', '_' and '.' make one"
        )
    return experiment_id


def _checked_digest(digest: str) -> str:
    if not is_digest(digest):
        raise ValueError(f"{digest[:100]!r} is no SHA-256 in hexadecimal")
    return digest
