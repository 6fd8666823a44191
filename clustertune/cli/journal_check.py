"""Whether a cluster's journal is whole, found out without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

from clustertune.cli.finding import Finding
from clustertune.client.home import ClusterFolder
from clustertune.client.nearby import running
from clustertune.model.errors import ClustertuneError

JOURNAL = "journal.sqlite"


def examine_journal(folder: ClusterFolder) -> Iterator[Finding]:
    """Left alone while a coordinator runs: that one checked it when it started."""
    path = folder.path / JOURNAL
    try:
        if running(folder) is not None:
            return
    except ClustertuneError:
        return
    if not path.exists() or not path.stat().st_size:
        yield from _missing(folder)
    elif trouble := _damage(folder):
        yield Finding("fail", f"{path} is damaged: {trouble}", _remedy(folder))
    else:
        yield Finding("ok", f"{path} is whole")


def _missing(folder: ClusterFolder) -> Iterator[Finding]:
    results = folder.path / "experiments"
    count = sum(1 for _ in results.iterdir()) if results.is_dir() else 0
    if count:
        found = "empty" if (folder.path / JOURNAL).exists() else "missing"
        what = f"{folder.path / JOURNAL} is {found}, and {results} holds {count} experiments"
        yield Finding("fail", what, _remedy(folder))


def _remedy(folder: ClusterFolder) -> str:
    return f"put a copy of {JOURNAL} back, or move {folder.path} away and begin anew (its results stay readable)"


def _damage(folder: ClusterFolder) -> str | None:
    """In SQLite's words, of which the first few say enough."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(folder.path / JOURNAL))}?mode=ro", uri=True)) as connection:
            rows = connection.execute("PRAGMA quick_check(3)").fetchall()
    except sqlite3.Error as error:
        return str(error)
    said = "; ".join(str(row[0]) for row in rows)
    return None if said == "ok" else said
