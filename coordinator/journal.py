"""The journal: facts and reports in SQLite, committed in groups by a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from clustertune.coordinator.core import facts
from clustertune.coordinator.core.commands import ReportRow
from clustertune.coordinator.core.state import Progress
from clustertune.model.codec import to_plain
from clustertune.model.errors import JournalDamaged, JournalFull

SCHEMA = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
    seq INTEGER PRIMARY KEY, now REAL NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS reports (
    id INTEGER PRIMARY KEY, experiment TEXT NOT NULL, trial INTEGER NOT NULL, attempt INTEGER NOT NULL,
    resource INTEGER NOT NULL, elapsed_s REAL NOT NULL, loss REAL, metrics TEXT NOT NULL, observed INTEGER NOT NULL,
    UNIQUE (experiment, trial, attempt, resource)
);
CREATE TABLE IF NOT EXISTS received (
    instance TEXT PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL
) WITHOUT ROWID;
"""

_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Pauses between tries while the disk takes nothing."""

_Loss = tuple[float | None, int | None]
"""A loss, and the level that it was reported at."""

_NOTHING: _Loss = None, None

_PASSING = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN", "SQLITE_READONLY")


@dataclass(slots=True)
class Entry:
    """What one event adds: facts and rows, and how far an agent's messages are now received."""

    now: float
    facts: list[facts.Fact] = field(default_factory=list)
    reports: list[ReportRow] = field(default_factory=list)
    received: tuple[str, int, int] | None = None


class Journal:
    """Opened once, by the one coordinator of a cluster.

    Entries are committed in the order in which they were handed in, many in one transaction. While the disk is full
    the same entries are tried again and again: nothing is dropped, nothing later overtakes. ``problem`` is then what to
    tell people. ``new``: there may be no file yet. Raises JournalDamaged when the file is not a whole journal, or gone,
    JournalFull when it cannot be opened for want of space.
    """

    def __init__(self, path: Path, *, new: bool = True) -> None:
        self.path = path
        self.problem = ""
        self.backlog = 0
        """How many facts and reports are handed in and not on disk yet."""
        self._queue: queue.SimpleQueue[tuple[Entry, Callable[[], None]] | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._failed: Callable[[Exception], None] | None = None
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        if path.exists() and not path.is_file():
            raise JournalDamaged(f"the journal {path} is not a file; move it away, and put a copy of the journal there")
        if not new and not _has_content(path):
            raise JournalDamaged(
                f"the journal {path} is gone or empty, and there are experiments beside it that it should know. "
                f"Put a copy of it back in place, or move {path.parent} away to begin anew"
            )
        try:
            self._reader = _open(path)
            if not self._reader.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._reader.executescript(_TABLES)
                self._reader.execute("INSERT INTO about VALUES ('schema', ?)", (str(SCHEMA),))
            self._check()
            self._writer = _open(path)
            self._inode = path.stat().st_ino
            self._facts: int = self._reader.execute("SELECT COUNT(*) FROM facts").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise _explain(error, path) from error

    # Reading, before the first entry

    def facts(self) -> Iterator[tuple[float, facts.Fact]]:
        """Every fact with the ``now`` of its event, oldest first."""
        try:
            rows = self._reader.execute("SELECT now, kind, version, body FROM facts ORDER BY seq")
            for now, kind, version, body in rows:
                yield now, facts.read(kind, version, body)
        except sqlite3.DatabaseError as error:
            raise _explain(error, self.path) from error

    def progress(self) -> Iterator[Progress]:
        """What the reports say of each trial."""
        last = self._reader.execute(
            "SELECT experiment, trial, COUNT(*), MAX(resource) FROM reports WHERE observed GROUP BY experiment, trial"
        ).fetchall()
        best = self._best_by_trial()
        for experiment, trial, reports, resource in last:
            last_loss, (best_loss, best_resource), (finite_loss, finite_resource) = best.get(
                (experiment, trial), (None, _NOTHING, _NOTHING)
            )
            yield Progress(
                experiment=experiment,
                trial=trial,
                reports=reports,
                resource=resource,
                last_loss=last_loss,
                best_loss=best_loss,
                best_resource=best_resource,
                finite_loss=finite_loss,
                finite_resource=finite_resource,
            )

    def _best_by_trial(self) -> dict[tuple[str, int], tuple[float | None, _Loss, _Loss]]:
        """The last loss, the lowest, and the last that is a number."""
        # SQLite takes the bare column from the row that holds the MIN or MAX, where there is one of them.
        query = (
            "SELECT experiment, trial, {}, resource, loss FROM reports WHERE observed AND loss IS NOT NULL"
            " GROUP BY experiment, trial"
        )
        best = self._reader.execute(query.format("MIN(CASE WHEN abs(loss) < 9e999 THEN loss END)"))
        lowest = {(e, t): (low, resource if low is not None else None) for e, t, low, resource, _ in best}
        finite = self._reader.execute(query.format("MAX(CASE WHEN abs(loss) < 9e999 THEN resource END)"))
        newest = {(e, t): (loss, level) for e, t, level, _, loss in finite if level is not None}
        rows = self._reader.execute(query.format("MAX(resource)"))
        return {(e, t): (loss, lowest[e, t], newest.get((e, t), _NOTHING)) for e, t, _, _, loss in rows}

    def curve(self, experiment: str) -> Iterator[tuple[int, int, dict[str, float]]]:
        """Every report of an experiment that counted, oldest first: trial, level and metrics."""
        rows = self._reader.execute(
            "SELECT trial, resource, metrics FROM reports WHERE observed AND experiment = ? ORDER BY id", (experiment,)
        )
        for trial, resource, metrics in rows:
            yield trial, resource, {name: float(value) for name, value in json.loads(metrics).items()}

    def received(self) -> dict[str, tuple[int, int]]:
        """For each instance the epoch and the last message of it that is on disk."""
        return {i: (epoch, seq) for i, epoch, seq in self._reader.execute("SELECT * FROM received")}

    # Writing

    def start(self, failed: Callable[[Exception], None]) -> None:
        """Begins to write. ``failed`` hears of an error that no waiting will mend, in this event loop."""
        loop = asyncio.get_running_loop()

        def tell(error: Exception) -> None:
            loop.call_soon_threadsafe(failed, error)

        self._failed = tell
        self._thread.start()

    def append(self, entry: Entry, committed: Callable[[], None]) -> None:
        """Queues an entry; ``committed`` is called in this event loop once it is on disk."""
        loop = asyncio.get_running_loop()
        size = 1 + len(entry.facts) + len(entry.reports)
        self.backlog += size

        def done() -> None:
            self.backlog -= size
            committed()

        self._queue.put((entry, lambda: _soon(loop, done)))

    def close(self) -> None:
        """Writes what is queued, unless the disk refuses it, and stops."""
        self._stopping.set()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        for connection in (self._reader, self._writer):
            connection.close()

    def _write_all(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                group, more = [first], True
                while more and len(group) < 2000:
                    try:
                        following = self._queue.get_nowait()
                    except queue.Empty:
                        break
                    if following is None:
                        self._queue.put(None)
                        more = False
                    else:
                        group.append(following)
                if not self._commit([entry for entry, _ in group]):
                    return
                for _, committed in group:
                    committed()
        except Exception as error:  # noqa: BLE001 - the thread's boundary: it becomes the coordinator's event
            if self._failed is not None:
                self._failed(error)

    def _commit(self, entries: list[Entry]) -> bool:
        """Tries until it is done; False when the journal was closed meanwhile."""
        tries = 0
        while True:
            try:
                self._write(entries)
                self.problem = ""
                return True
            except sqlite3.DatabaseError as error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                explained = _explain(error, self.path)
                if not isinstance(explained, JournalFull):
                    raise explained from error
                self.problem = str(explained)
            if self._stopping.wait(_RETRY_S[min(tries, len(_RETRY_S) - 1)]):
                return False
            tries += 1

    def _write(self, entries: list[Entry]) -> None:
        writer = self._writer
        fresh = [(entry.now, fact) for entry in entries for fact in entry.facts]
        writer.execute("BEGIN IMMEDIATE")
        writer.executemany(
            "INSERT INTO facts (seq, now, kind, version, body) VALUES (?, ?, ?, ?, ?)",
            ((seq, now, *facts.write(fact)) for seq, (now, fact) in enumerate(fresh, self._facts + 1)),
        )
        writer.executemany(
            "INSERT OR IGNORE INTO reports (experiment, trial, attempt, resource, elapsed_s, loss, metrics, observed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (_columns(row) for entry in entries for row in entry.reports),
        )
        writer.executemany(
            "INSERT INTO received VALUES (?, ?, ?) ON CONFLICT (instance) DO UPDATE"
            " SET epoch = excluded.epoch, seq = excluded.seq",
            {e.received[0]: e.received for e in entries if e.received is not None}.values(),
        )
        if any(entry.facts or entry.reports for entry in entries):
            # How many there are is written down, so that rows that are taken away are missed.
            writer.execute("INSERT OR REPLACE INTO about VALUES ('facts', ?)", (str(self._facts + len(fresh)),))
            writer.execute("INSERT OR REPLACE INTO about SELECT 'reports', COALESCE(MAX(id), 0) FROM reports")
        self._check_place()
        writer.execute("COMMIT")
        self._facts += len(fresh)

    def _check(self) -> None:
        """Raises JournalDamaged, or DatabaseError where a table is missing."""
        found = dict(self._reader.execute("SELECT key, value FROM about"))
        if found.get("schema") != str(SCHEMA):
            raise JournalDamaged(
                f"{self.path} has schema {found.get('schema')}, and this clustertune knows {SCHEMA}: "
                "it was written by another version; use that one, or move the file away to begin anew"
            )
        for table in ("reports", "received"):
            self._reader.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608 - our own names
        for table, key in (("facts", "seq"), ("reports", "id")):
            query = f"SELECT COUNT(*), COALESCE(MAX({key}), 0) FROM {table}"  # noqa: S608 - our own names
            count, last = self._reader.execute(query).fetchone()
            written = max(last, int(found.get(table, 0)))
            if count != written:
                raise JournalDamaged(
                    f"the journal {self.path} is damaged: {written - count} of {written} {table} are missing. "
                    "Nothing was changed. Put a copy of it back in place, or move it away to begin anew"
                )

    def _check_place(self) -> None:
        """What is written to a file that was removed or replaced would be lost, and is not acknowledged."""
        try:
            found = self.path.stat().st_ino
        except FileNotFoundError:
            found = None
        if found != self._inode:
            raise JournalDamaged(
                f"the journal {self.path} was removed or replaced while it was in use; nothing was acknowledged since. "
                "Put it back in place, or move its folder away to begin anew"
            )


def read_facts(path: Path) -> Iterator[tuple[float, facts.Fact]]:
    """The facts of a journal that a coordinator may be writing at this moment. Raises JournalDamaged."""
    if not _has_content(path):
        raise JournalDamaged(f"there is no journal at {path}")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as reader:
            for now, kind, version, body in reader.execute("SELECT now, kind, version, body FROM facts ORDER BY seq"):
                yield now, facts.read(kind, version, body)
    except sqlite3.DatabaseError as error:
        raise _explain(error, path) from error


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


def _columns(row: ReportRow) -> tuple[object, ...]:
    loss = row.loss
    if loss is not None and math.isnan(loss):
        loss = math.inf  # SQLite keeps no NaN; the metrics column has what was said
    metrics = json.dumps(to_plain(row.metrics), separators=(",", ":"))
    return row.experiment, row.trial, row.attempt, row.resource, row.elapsed_s, loss, metrics, row.observed


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _explain(error: sqlite3.DatabaseError, path: Path) -> JournalFull | JournalDamaged:
    name = getattr(error, "sqlite_errorname", "")
    if isinstance(error, sqlite3.OperationalError) and name.startswith(_PASSING):
        return JournalFull(
            f"the journal cannot be written ({error}): free some space on the disk of {path}, or mend its permissions. "
            "Nothing that was acknowledged is lost, trials go on, and writing is tried again by itself"
        )
    return JournalDamaged(
        f"the journal {path} is damaged ({error}). Nothing was changed. "
        "Put a copy of it back in place, or move it away to begin anew"
    )
