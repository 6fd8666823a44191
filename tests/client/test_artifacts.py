"""Fetching what a trial left: whole and checked, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from clustertune.client.artifacts import Offer, Source, fetch
from clustertune.model.checkpoint import FileEntry, Manifest, Part
from clustertune.model.errors import StorageUnavailable


class Shop:
    """Answers as a coordinator does, from memory."""

    def __init__(self, files: dict[str, list[bytes]]) -> None:
        self.parts = {hashlib.sha256(data).hexdigest(): data for pieces in files.values() for data in pieces}
        entries = tuple(
            FileEntry(name, 0o640, tuple(Part(hashlib.sha256(data).hexdigest(), len(data)) for data in pieces))
            for name, pieces in sorted(files.items())
        )
        self.manifest = Manifest(entries, ("empty",))
        self.asked = 0

    def checkpoint(self, name: str, digest: str) -> Offer:
        assert (name, digest) == ("digits", self.manifest.digest())
        return Offer(self.manifest, {digest: Source(f"/parts/{digest}") for digest in self.parts})

    def read(self, path: str) -> bytes:
        self.asked += 1
        return self.parts[path.rpartition("/")[2]]


def bring(shop: Any, folder: Path) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    fetch(shop, "digits", shop.manifest.digest(), folder, lambda come, total: seen.append((come, total)))
    return seen


def test_files_come_in_their_parts_with_modes_and_empty_folders(tmp_path: Path) -> None:
    shop = Shop({"a/model": [b"one", b"two"], "b": []})
    seen = bring(shop, tmp_path / "got")
    assert (tmp_path / "got" / "a" / "model").read_bytes() == b"onetwo"
    assert (tmp_path / "got" / "a" / "model").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "got" / "b").read_bytes() == b""
    assert (tmp_path / "got" / "empty").is_dir()
    assert seen[-1] == (6, 6)


def test_what_is_not_what_its_digest_says_leaves_nothing_behind(tmp_path: Path) -> None:
    shop = Shop({"model": [b"right"]})
    shop.parts = dict.fromkeys(shop.parts, b"wrong")
    with pytest.raises(StorageUnavailable, match="not what its digest says"):
        bring(shop, tmp_path / "got")
    assert list(tmp_path.iterdir()) == []
    assert shop.asked == 3  # it was tried again


def test_a_manifest_that_names_a_path_outside_is_no_manifest() -> None:
    from clustertune.model.checkpoint import read_manifest

    for path in ("../x", "/x", "a/../../x", "a//b", "."):
        with pytest.raises(ValueError, match="path that it must not"):
            read_manifest(Manifest((FileEntry(path),)).encode())
