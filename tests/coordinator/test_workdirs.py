"""Which programs the coordinator keeps, and when they go."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ParamSpec

import pytest

from clustertune.coordinator.storage.checkpoints import PROMISE_S
from clustertune.coordinator.workdirs import Workdirs, folder_in
from clustertune.model.checkpoint import FileEntry, Manifest, Part
from clustertune.model.clock import SystemClock
from clustertune.model.errors import Mistake, NoSuchName, StorageError

P = ParamSpec("P")


def manifest_of(*texts: bytes) -> Manifest:
    parts = [Part(hashlib.sha256(text).hexdigest(), len(text)) for text in texts]
    return Manifest(tuple(FileEntry(f"f{number}", 0o600, (part,)) for number, part in enumerate(parts)))


async def bring(workdirs: Workdirs, *texts: bytes) -> str:
    """A whole snapshot of these texts; its digest."""
    manifest = manifest_of(*texts)
    missing = await workdirs.announce(manifest, manifest.digest())
    for text in texts:
        digest = hashlib.sha256(text).hexdigest()
        if digest in missing:
            receiver = workdirs.receive(digest)
            receiver.write(text)
            receiver.finish()
    assert await workdirs.announce(manifest, manifest.digest()) == {}
    return manifest.digest()


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def nobody() -> set[str]:
    return set()


def age(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 2 * PROMISE_S,) * 2)


def parts_in(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("snapshots/parts/*")}


def workdirs_in(folder: Path) -> Workdirs:
    return Workdirs(folder / "workdirs", SystemClock())


@in_a_loop
async def test_a_snapshot_is_whole_once_all_its_parts_are_there(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    manifest = manifest_of(b"one", b"two")
    digest = manifest.digest()
    assert await workdirs.announce(manifest, digest) == manifest.parts
    assert not workdirs.is_whole(digest)
    with pytest.raises(NoSuchName):
        workdirs.manifest(digest)
    await bring(workdirs, b"one", b"two")
    assert workdirs.is_whole(digest)
    assert workdirs.manifest(digest) == manifest
    texts = {workdirs.open_part(part.digest).read_bytes() for file in manifest.files for part in file.parts}
    assert texts == {b"one", b"two"}


@in_a_loop
async def test_only_what_changed_is_missing_of_the_next(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    await bring(workdirs, b"one", b"two")
    manifest = manifest_of(b"one", b"three")
    assert await workdirs.announce(manifest, manifest.digest()) == {hashlib.sha256(b"three").hexdigest(): 5}


@in_a_loop
async def test_what_an_experiment_names_stays_and_goes_with_its_end_parts_that_others_need_do_not(
    tmp_path: Path,
) -> None:
    workdirs = workdirs_in(tmp_path)
    first, second = await bring(workdirs, b"one", b"two"), await bring(workdirs, b"one", b"three")
    for digest in (first, second):
        workdirs.used(digest)
    await workdirs.keep(lambda: {first, second})
    assert workdirs.is_whole(first)
    assert workdirs.is_whole(second)
    age(tmp_path)
    workdirs = workdirs_in(tmp_path)  # and after a restart
    await workdirs.keep(lambda: {second})
    assert not workdirs.is_whole(first)
    assert workdirs.is_whole(second)
    assert parts_in(tmp_path / "workdirs") == workdirs.manifest(second).parts.keys()
    await workdirs.keep(nobody)
    assert not workdirs.is_whole(second)


@in_a_loop
async def test_one_that_ended_goes_at_once_and_one_that_nobody_named_yet_has_an_hour(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    ended, unnamed = await bring(workdirs, b"one"), await bring(workdirs, b"two")
    workdirs.used(ended)
    await workdirs.keep(nobody)
    assert (workdirs.is_whole(ended), workdirs.is_whole(unnamed)) == (False, True)
    age(tmp_path)
    await workdirs_in(tmp_path).keep(nobody)
    assert not workdirs.is_whole(unnamed)


@in_a_loop
async def test_one_that_is_announced_again_has_its_hour_again(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    digest = await bring(workdirs, b"one")
    workdirs.used(digest)
    age(tmp_path)
    await bring(workdirs, b"one")
    await workdirs.keep(nobody)
    assert workdirs.is_whole(digest)


@in_a_loop
async def test_the_current_one_stays_across_restarts_until_another_is(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    first, second = await bring(workdirs, b"one"), await bring(workdirs, b"two")
    await workdirs.make_current(first)
    age(tmp_path)
    workdirs = workdirs_in(tmp_path)
    await workdirs.keep(nobody)
    assert (workdirs.current, workdirs.is_whole(first), workdirs.is_whole(second)) == (first, True, False)
    second = await bring(workdirs, b"two")
    await workdirs.make_current(second)
    await workdirs.keep(nobody)
    assert (workdirs.is_whole(first), workdirs.is_whole(second)) == (False, True)
    with pytest.raises(NoSuchName):
        await workdirs.make_current("0" * 64)


@in_a_loop
async def test_parts_of_a_transfer_that_was_cut_off_stay_for_an_hour_also_across_a_restart(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    manifest = manifest_of(b"one", b"two")
    await workdirs.announce(manifest, manifest.digest())
    receiver = workdirs.receive(hashlib.sha256(b"one").hexdigest())
    receiver.write(b"one")
    receiver.finish()
    workdirs = workdirs_in(tmp_path)
    await workdirs.keep(nobody)
    assert await workdirs.announce(manifest, manifest.digest()) == {hashlib.sha256(b"two").hexdigest(): 3}
    age(tmp_path)
    workdirs = workdirs_in(tmp_path)
    await workdirs.keep(nobody)
    assert parts_in(tmp_path / "workdirs") == set()


@in_a_loop
async def test_an_experiment_that_begins_while_others_are_cleared_away_keeps_its_program(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    digests = [await bring(workdirs, str(number).encode()) for number in range(20)]
    for digest in digests:
        workdirs.used(digest)
    wanted: set[str] = set()
    clearing = asyncio.create_task(workdirs.keep(lambda: wanted))
    while all(map(workdirs.is_whole, digests)):
        await asyncio.sleep(0)
    chosen = next(digest for digest in digests if workdirs.is_whole(digest))
    wanted.add(chosen)
    await clearing
    assert [digest for digest in digests if workdirs.is_whole(digest)] == [chosen]
    assert workdirs.open_part(next(iter(workdirs.manifest(chosen).parts))).exists()


@in_a_loop
async def test_parts_are_taken_only_where_somebody_announced_them(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    manifest = manifest_of(b"one")
    (part,) = manifest.parts
    assert workdirs.expected(part) is None
    await workdirs.announce(manifest, manifest.digest())
    assert workdirs.expected(part) == 3
    await bring(workdirs, b"one")
    assert workdirs.expected(part) is None


@in_a_loop
async def test_more_than_machines_are_sent_is_refused(tmp_path: Path) -> None:
    huge = Manifest(tuple(FileEntry(f"f{n}", 0o600, (Part("0" * 64, 30_000_000),)) for n in range(200)))
    with pytest.raises(Mistake, match=r"at most 200,000 files and 5,000,000,000 bytes can; leave some out"):
        await workdirs_in(tmp_path).announce(huge, huge.digest())


@pytest.mark.parametrize("digest", ["", "..", "../token", "0" * 63, "0" * 64, "A" * 64, "/etc/passwd"])
@in_a_loop
async def test_what_is_no_snapshot_is_none(digest: str, tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    (tmp_path / "token").write_text("x")
    assert not workdirs.is_whole(digest)
    with pytest.raises(NoSuchName):
        workdirs.manifest(digest)
    with pytest.raises(NoSuchName):
        workdirs.open_part(digest)


@in_a_loop
async def test_a_damaged_manifest_is_no_snapshot_and_deletes_nothing(tmp_path: Path) -> None:
    workdirs = workdirs_in(tmp_path)
    digest, other = await bring(workdirs, b"one"), await bring(workdirs, b"two")
    (tmp_path / "workdirs" / "snapshots" / "manifests" / digest).write_bytes(b"{}")
    with pytest.raises(StorageError, match="send it again"):
        workdirs.manifest(digest)
    await workdirs_in(tmp_path).keep(lambda: {digest, other})
    assert len(parts_in(tmp_path / "workdirs")) == 2


@pytest.mark.parametrize("text", [b"", b"garbage", b"\xff" * 64])
def test_a_damaged_current_is_none(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "workdirs").mkdir()
    (tmp_path / "workdirs" / "current").write_bytes(text)
    assert workdirs_in(tmp_path).current == ""


def test_a_workdir_lies_in_its_snapshot() -> None:
    manifest = Manifest((FileEntry("a/b/train.py"), FileEntry("ab/x")), ("empty/inner",))
    inside = ["", "a", "a/b", "ab", "empty", "empty/inner"]
    outside = ["b", "a/b/train.py", "..", "a/..", "/a", "a/", "empty/inn", "a/b/c", "/"]
    assert [path for path in [*inside, *outside] if folder_in(manifest, path)] == inside
