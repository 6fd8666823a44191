"""Sends a snapshot of the user's program to the coordinator: what is missing there, over several connections at once.

A part is taken whole or not at all, so that whatever breaks, the next effort sends the rest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

from clustertune.client.coordinator import Coordinator, Unannounced
from clustertune.client.workdir import Snapshot
from clustertune.model.checkpoint import Part
from clustertune.model.errors import CoordinatorUnreachable

AT_ONCE = 4
BUNDLE_BYTES = 4_000_000
BUNDLE_PARTS = 500
"""Small parts travel together: a request for each would take longer than the part itself."""

_EFFORTS = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much of what was missing is there. A file is, once all its parts are."""

    files: int
    size_bytes: int
    files_sent: int = 0
    sent_bytes: int = 0


Told = Callable[[Progress], None]


def send(snapshot: Snapshot, connect: Callable[[], Coordinator], told: Told) -> None:
    """Returns once the coordinator has all of it. ``connect`` is called again where a connection broke.

    Raises Changed where a file is not any more what it was, CoordinatorUnreachable where nobody answers and nothing
    comes through for several efforts, and what the coordinator refuses.
    """
    counting, failed = _Counting(snapshot, told), 0
    while True:
        sent_bytes = counting.sent_bytes
        try:
            with connect() as near, near.another() as coordinator:
                missing = coordinator.announce(snapshot.encoded)
                if not missing:
                    return
                counting.missing(missing)
                _send_all(snapshot, coordinator, missing, counting)
                failed = 0
        except (CoordinatorUnreachable, Unannounced):
            failed = 1 if counting.sent_bytes > sent_bytes else failed + 1
            if failed >= _EFFORTS:
                raise
            threading.Event().wait(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (failed - 1)))


def _send_all(snapshot: Snapshot, coordinator: Coordinator, missing: Mapping[str, int], counting: _Counting) -> None:
    """The first failure ends it, and so does Ctrl-C: what is under way is broken off."""
    connections = [coordinator.another() for _ in range(AT_ONCE)]
    bundles = iter(list(_bundles([Part(digest, size) for digest, size in missing.items()])))
    lock, ended = threading.Lock(), threading.Event()

    def next_bundle() -> Sequence[Part] | None:
        with lock:
            return None if ended.is_set() else next(bundles, None)

    def carry(connection: Coordinator) -> None:
        while (bundle := next_bundle()) is not None:
            connection.send_parts([(part, partial(snapshot.read, part)) for part in bundle])
            counting.sent(bundle)

    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="sending")
    try:
        carrying = [pool.submit(carry, connection) for connection in connections]
        wait(carrying, return_when=FIRST_EXCEPTION)
        ended.set()
        done = [one for one in carrying if one.done()]
        for one in done:
            one.result()
    finally:
        ended.set()
        for connection in connections:
            connection.break_off()
        pool.shutdown(wait=True)
        for connection in connections:
            connection.close()


def _bundles(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Large ones first, so that none is left to the last connection; small ones by the bundle."""
    bundle: list[Part] = []
    size_bytes = 0
    for part in sorted(parts, key=lambda part: -part.size_bytes):
        if bundle and (size_bytes + part.size_bytes > BUNDLE_BYTES or len(bundle) >= BUNDLE_PARTS):
            yield bundle
            bundle, size_bytes = [], 0
        bundle.append(part)
        size_bytes += part.size_bytes
    if bundle:
        yield bundle


class _Counting:
    """What is there, as the parts come. Called from several threads."""

    def __init__(self, snapshot: Snapshot, told: Told) -> None:
        self._told, self._lock = told, threading.Lock()
        self._files: dict[str, list[int]] = {}
        self._waiting = [0] * len(snapshot.manifest.files)
        self._manifest = snapshot.manifest
        self._sizes: dict[str, int] = {}
        self.sent_bytes = self._size_bytes = self._files_sent = self._files_all = 0

    def missing(self, missing: Mapping[str, int]) -> None:
        """What the coordinator says, at the beginning of each effort."""
        with self._lock:
            self._files, self._waiting = {}, [0] * len(self._manifest.files)
            for number, file in enumerate(self._manifest.files):
                for digest in {part.digest for part in file.parts} & missing.keys():
                    self._files.setdefault(digest, []).append(number)
                    self._waiting[number] += 1
            left = sum(map(bool, self._waiting))
            left_bytes = sum(missing.values())
            self._files_all = max(self._files_all, left)
            self._size_bytes = max(self._size_bytes, left_bytes)
            self._files_sent = self._files_all - left
            self.sent_bytes = self._size_bytes - left_bytes
        self._tell()

    def sent(self, parts: Sequence[Part]) -> None:
        with self._lock:
            for part in parts:
                self.sent_bytes += part.size_bytes
                for number in self._files.pop(part.digest, ()):
                    self._waiting[number] -= 1
                    self._files_sent += self._waiting[number] == 0
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            self._told(
                Progress(
                    files=self._files_all,
                    size_bytes=self._size_bytes,
                    files_sent=self._files_sent,
                    sent_bytes=self.sent_bytes,
                )
            )
