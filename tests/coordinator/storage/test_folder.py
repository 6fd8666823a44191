"""Parts in a folder: whole or not there, private, and never outside."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustertune.coordinator.storage.checkpoints import manifest_key, part_key
from clustertune.coordinator.storage.contracts import WrongPart
from clustertune.coordinator.storage.folder import FolderObjects, FolderParts
from clustertune.coordinator.storage.opening import open_storage
from clustertune.model.checkpoint import PART_BYTES, FileEntry, Manifest, is_inside, read_manifest
from clustertune.model.errors import StorageRefused
from tests.coordinator.storage.house import checkpoint, house

DIGEST = hashlib.sha256(b"content").hexdigest()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that this test fills")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "small", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_nobody_else_may_read_what_is_kept(tmp_path: Path) -> None:
    receiver = FolderParts(tmp_path / "kept").receive("digits-1", DIGEST)
    receiver.write(b"content")
    receiver.finish()
    (kept,) = files(tmp_path)
    assert kept == tmp_path / "kept" / "digits-1" / "parts" / DIGEST
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()} == {0o700}


@pytest.mark.parametrize("content", [b"other", b"conten", b"content2", b""])
def test_other_bytes_than_the_digest_says_leave_nothing(content: bytes, tmp_path: Path) -> None:
    receiver = FolderParts(tmp_path).receive("digits-1", DIGEST)
    receiver.write(content)
    with pytest.raises(WrongPart, match="send them again"):
        receiver.finish()
    assert files(tmp_path) == []


def test_more_bytes_than_a_part_may_have_leave_nothing(tmp_path: Path) -> None:
    receiver = FolderParts(tmp_path).receive("digits-1", DIGEST)
    receiver.write(bytes(PART_BYTES))
    with pytest.raises(WrongPart, match="at most"):
        receiver.write(b"1")
    assert files(tmp_path) == []


def test_a_part_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    receiver = FolderParts(tmp_path).receive("digits-1", DIGEST)
    receiver.write(b"con")
    assert [path.name == DIGEST for path in files(tmp_path)] == [False]
    receiver.abandon()
    receiver.abandon()
    assert files(tmp_path) == []


def test_a_full_disk_is_said_and_nothing_is_left_of_what_did_not_fit(small_disk: Path, short_path: Path) -> None:
    with house(open_storage(str(small_disk / "kept"), short_path), short_path / "s") as built:
        fits, content = checkpoint(b"small")
        built.agent.store(fits, content)
        large, more = checkpoint(os.urandom(2_000_000))
        (part,) = built.agent.announce(large)
        status, answer = built.agent.ask("PUT", part["url"], more[part["digest"]])
        assert (status, "free some space" in answer["error"]) == (507, True)
        assert len(files(small_disk)) == 2
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))
        second, _ = checkpoint(b"small", b"small")
        built.agent.announce(second)
        assert built.agent.whole(second)[0] == 507
        filler.unlink()
        assert built.agent.whole(second)[0] == 200
        assert built.agent.fetch(fits.digest()) == content


def test_a_folder_that_cannot_be_written_is_refused_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageRefused, match="a folder that you may write"):
            asyncio.run(FolderObjects(path).check())


def test_a_missing_folder_has_nothing(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "none")
    assert asyncio.run(objects.list("digits-1/parts")) == []
    assert asyncio.run(objects.read("digits-1/manifests/x")) is None
    asyncio.run(objects.delete(["digits-1/parts/x"]))


def test_a_link_in_the_place_of_a_part_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    parts = tmp_path / "kept" / "digits-1" / "parts"
    parts.mkdir(parents=True)
    (parts / DIGEST).symlink_to(outside)
    receiver = FolderParts(tmp_path / "kept").receive("digits-1", DIGEST)
    receiver.write(b"content")
    receiver.finish()
    assert outside.read_bytes() == b"theirs"


names = st.text(st.sampled_from("./\\ a0-\x00é\n"), max_size=20) | st.text(max_size=80)


@given(names, names)
def test_whatever_is_named_stays_inside_or_is_refused(experiment: str, digest: str) -> None:
    for key_of in (part_key, manifest_key):
        for named in ((experiment, DIGEST), ("digits-1", digest), (experiment, digest)):
            try:
                key = key_of(*named)
            except ValueError:
                continue
            first, kind, last = key.split("/")
            assert Path(os.path.normpath(Path("/kept") / key)) == Path("/kept") / first / kind / last


@given(names)
def test_every_path_in_a_manifest_stays_inside_or_is_refused(path: str) -> None:
    manifest = Manifest(files=(FileEntry(path),))
    inside = os.path.normpath(os.path.join("/place", path)).startswith("/place/")
    try:
        read_manifest(manifest.encode())
    except ValueError:
        return
    assert inside
    assert is_inside(path)
