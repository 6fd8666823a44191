"""The agent's own uploader against every kind of storage."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from clustertune.agent.enrolment import Enrolment
from clustertune.agent.fetching import Fetcher
from clustertune.agent.outbox import Outbox
from clustertune.agent.shelf import Shelf
from clustertune.agent.transfer import Uploads
from clustertune.agent.wire import Wire
from clustertune.model.checkpoint import PART_BYTES, CheckpointRef, SavedKind
from tests.coordinator.storage.house import TOKEN, House
from tests.coordinator.storage.places import Place

LIMIT_S = 30.0
ATTEMPT = "digits:0:1"

everywhere = pytest.mark.parametrize("place", ["folder", "s3", "google"], indirect=True)


async def upload(built: House, folder: Path, saved: Path) -> tuple[str, str]:
    """Brings a folder to the storage; its digest, and what is in the outbox at the end."""
    enrolment = Enrolment(socket="", instance="here-1", epoch=3, token=TOKEN, files=str(built.path))
    folder.mkdir()
    shelf = Shelf(folder / "shelf", 3)
    uploads = Uploads(Wire(enrolment), shelf, Outbox(folder / "outbox"), lambda: None)
    try:
        within = os.open(saved.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            kept = shelf.place(ATTEMPT, SavedKind.CHECKPOINT, 1, saved.name, within)
        finally:
            os.close(within)
        await shelf.read(kept)
        uploads.store(ATTEMPT, kept.digest)
        async with asyncio.timeout(LIMIT_S):
            while uploads.busy:
                await asyncio.sleep(0.01)
        return kept.digest, (folder / "outbox").read_text()
    finally:
        uploads.close()
        shelf.stopper.stop()


def saved_files(folder: Path) -> Path:
    saved = folder / "saved"
    (saved / "inner").mkdir(parents=True)
    (saved / "inner" / "model.bin").write_bytes(os.urandom(1000) * (PART_BYTES // 1000 + 10))
    (saved / "é.txt").write_text("text")
    (saved / "empty").touch()
    return saved


@everywhere
def test_what_the_agent_brings_is_whole_and_journaled(depot_house: House, tmp_path: Path) -> None:
    digest, told = asyncio.run(upload(depot_house, tmp_path / "agent", saved_files(tmp_path)))
    assert depot_house.depot.journaled == [(ATTEMPT, digest)]
    assert told == ""
    assert max(map(len, depot_house.agent.fetch(digest).values())) == PART_BYTES


async def fetch(built: House, folder: Path, digest: str, target: Path) -> list[str]:
    """What an agent elsewhere gets of it, in ``target``; its notices."""
    enrolment = Enrolment(socket="", instance="here-1", epoch=3, token=TOKEN, files=str(built.path))
    folder.mkdir()
    shelf, wire, notices = Shelf(folder / "shelf", 3), Wire(enrolment), list[str]()
    fetcher = Fetcher(wire, shelf)
    try:
        async with asyncio.timeout(LIMIT_S):
            await fetcher.bring("digits", CheckpointRef(digest, 1), target, notices.append)
    finally:
        fetcher.close()
        wire.close()
        shelf.stopper.stop()
    return notices


@everywhere
def test_an_agent_elsewhere_has_it_byte_for_byte_from_every_storage(depot_house: House, tmp_path: Path) -> None:
    saved = saved_files(tmp_path)
    files = {path.relative_to(saved): path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    digest, _ = asyncio.run(upload(depot_house, tmp_path / "agent", saved))
    target = tmp_path / "target"
    assert asyncio.run(fetch(depot_house, tmp_path / "elsewhere", digest, target)) == []
    assert {path.relative_to(target): path.read_bytes() for path in target.rglob("*") if path.is_file()} == files


@pytest.mark.parametrize("place", ["s3", "google"], indirect=True)
def test_a_storage_that_fails_on_the_way_costs_patience_only(depot_house: House, place: Place, tmp_path: Path) -> None:
    assert place.proxy is not None
    saved = saved_files(tmp_path)
    place.proxy.failing = [503] * 7
    digest, told = asyncio.run(upload(depot_house, tmp_path / "agent", saved))
    assert depot_house.depot.journaled == [(ATTEMPT, digest)]
    assert "Signature" not in told
    assert len(depot_house.agent.fetch(digest)) == 3
