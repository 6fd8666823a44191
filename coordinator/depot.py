"""Which storage an experiment's checkpoints are in, who may bring and read them, and deleting them."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import Protocol

from clustertune.coordinator.core import events as e
from clustertune.coordinator.core.core import Core
from clustertune.coordinator.core.state import Experiment
from clustertune.coordinator.places import Places
from clustertune.coordinator.storage.contracts import Storage
from clustertune.coordinator.storage.opening import open_storage
from clustertune.definition.cluster import ClusterDefinition
from clustertune.definition.experiment import ExperimentDefinition
from clustertune.model.errors import NoSuchName, StorageError
from clustertune.model.trial import split_attempt_id

_AGAIN_S = (1.0, 5.0, 30.0, 120.0)
"""Pauses between tries to delete what nobody needs; what is left after these is left, and said."""

log = logging.getLogger(__name__)


class Shell(Protocol):
    """What the depot asks of the coordinator."""

    core: Core
    places: Places
    cluster: ClusterDefinition

    def hash(self, token: str) -> str: ...
    def expected(self, instance: str) -> tuple[int, str] | None: ...
    def handle(self, event: e.Happening) -> None: ...
    async def committed(self) -> None: ...


class Depot:
    """The files server's view of the coordinator."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._open: dict[str | None, Storage] = {}
        self._deleting: dict[str, asyncio.Lock] = {}

    def admits(self, instance: str, epoch: int, token: str) -> bool:
        expected = self._shell.expected(instance)
        known = "" if expected is None else expected[1]
        right = hmac.compare_digest(self._shell.hash(token), known)
        return right and expected is not None and expected[0] == epoch

    def storage_of(self, experiment: str) -> tuple[Storage, str] | None:
        """Raises StorageError where the storage cannot be used at all."""
        found = self._shell.core.state.experiments.get(experiment)
        if found is None:
            return None
        return self._storage(found.definition), storage_id(found)

    def may_read(self, experiment: str, digest: str) -> bool:
        found = self._shell.core.state.experiments.get(experiment)
        return found is not None and digest in found.copies

    async def stored(self, attempt: str, digest: str) -> None:
        """Returns once it is journaled. Raises NoSuchName where nobody wants it any more, JournalFull."""
        if not self._shell.core.wants(attempt, digest):
            await self.delete(split_attempt_id(attempt)[0], digest)  # which may have come before it was whole
            raise NoSuchName("checkpoint", digest, ())
        self._shell.handle(e.CheckpointStored(attempt=attempt, digest=digest))
        await self._shell.committed()

    async def check(self, definition: ExperimentDefinition) -> None:
        """Whether an experiment's checkpoints can be kept. Raises StorageError with what was found and the remedy."""
        if self._url(definition) is not None:
            await self._storage(definition).check()

    async def delete(self, experiment: str, digest: str) -> None:
        """Never raises for a storage that fails: it is tried again a few times, and then said."""
        for wait_s in (0.0, *_AGAIN_S):
            if wait_s:
                await asyncio.sleep(wait_s)
            found = self._shell.core.state.experiments[experiment]
            try:
                async with self._deleting.setdefault(experiment, asyncio.Lock()):
                    kept = {kept.ref.digest for kept in found.all_kept() if kept.ordered}
                    if digest in kept:
                        return  # it was made again meanwhile
                    await self._storage(found.definition).drop(storage_id(found), digest, kept)
                self._shell.handle(e.CheckpointDeleted(experiment=experiment, digest=digest))
                return
            except StorageError as error:
                problem = str(error)
        log.warning("a checkpoint of %s that nobody needs stays in its storage: %s", experiment, problem)

    async def tidy(self, experiment: str) -> None:
        """After its end: what broken transfers left goes too. A storage that fails is asked in the next life."""
        found = self._shell.core.state.experiments[experiment]
        try:
            async with self._deleting.setdefault(experiment, asyncio.Lock()):
                kept = {kept.ref.digest for kept in found.all_kept()}
                await self._storage(found.definition).settle(storage_id(found), kept)
            self._shell.handle(e.StorageTidied(experiment=experiment))
        except StorageError as error:
            log.warning("what %s left in its storage could not be tidied: %s", experiment, error)

    def _storage(self, definition: ExperimentDefinition) -> Storage:
        url = self._url(definition)
        if url not in self._open:
            self._open[url] = open_storage(url, self._shell.places.checkpoints)
        return self._open[url]

    def _url(self, definition: ExperimentDefinition) -> str | None:
        return definition.storage or self._shell.cluster.storage


def storage_id(experiment: Experiment) -> str:
    """Unique among all that share a bucket: names repeat, and a new experiment may take the name of one long gone."""
    return f"{experiment.name}-{int(experiment.created * 1000)}"
