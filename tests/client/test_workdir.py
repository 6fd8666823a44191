"""A snapshot is what is in the folder, whole; it costs one walk when nothing changed, and says what it leaves out."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clustertune.client.weight import Weight
from clustertune.client.workdir import Changed, Snapshot, take
from clustertune.model.checkpoint import PART_BYTES, read_manifest
from clustertune.model.errors import Mistake
from tests.client.test_walk import make

AN_HOUR_NS = 3600 * 10**9


def contents(snapshot: Snapshot) -> dict[str, bytes]:
    return {
        file.path: b"".join(block for part in file.parts for block in snapshot.read(part))
        for file in snapshot.manifest.files
    }


def later_ns() -> int:
    """As if everything had been written long before it is read."""
    return time.time_ns() + AN_HOUR_NS


def take_later(root: Path, remembered: Path) -> Snapshot:
    return take(root, remembered=remembered, now_ns=later_ns)


def remembered(file: Path) -> dict[str, list[object]]:
    found: dict[str, list[object]] = json.loads(file.read_text())["files"]
    return found


def test_a_snapshot_holds_every_byte_and_is_named_by_all_of_it(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"a.py": "print(1)", "lib/b.py": "", "run.sh": "x"})
    (root / "run.sh").chmod(0o755)
    (root / "big.bin").write_bytes(os.urandom(1000) * 40_000)
    snapshot = take(root)
    assert contents(snapshot) == {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert read_manifest(snapshot.encoded, snapshot.digest) == snapshot.manifest
    modes = {file.path: file.mode for file in snapshot.manifest.files}
    assert modes["run.sh"] == 0o755
    sizes = {file.path: [part.size_bytes for part in file.parts] for file in snapshot.manifest.files}
    assert sizes["big.bin"] == [PART_BYTES, 40_000_000 - PART_BYTES]
    assert take(root).digest == snapshot.digest
    (root / "a.py").write_text("print(2)")
    assert take(root).digest != snapshot.digest


def test_what_was_read_once_is_not_read_again(tmp_path: Path) -> None:
    root, memory = make(tmp_path / "root", {"a": "1", "b": "2"}), tmp_path / "memory.json"
    first = take_later(root, memory)
    known = remembered(memory)
    digest = "0" * 64
    known["a"][4] = [digest]
    memory.write_text(json.dumps({"version": 1, "files": known}))
    second = take_later(root, memory)
    assert {file.path: file.parts[0].digest for file in second.manifest.files}["a"] == digest  # so it believed it
    assert second.manifest.files[1] == first.manifest.files[1]


@pytest.mark.parametrize("how", ["rewritten", "replaced", "same time", "shorter"])
def test_what_changed_is_read_again_however_it_hides(how: str, tmp_path: Path) -> None:
    root, memory = make(tmp_path / "root", {"a": "first"}), tmp_path / "memory.json"
    take_later(root, memory)
    before = (root / "a").stat()
    if how == "replaced":
        (root / "new").write_text("other")
        (root / "new").replace(root / "a")
    else:
        (root / "a").write_text("sec" if how == "shorter" else "other")
    if how != "rewritten":
        os.utime(root / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert contents(take_later(root, memory))["a"] == (root / "a").read_bytes()


def test_a_file_that_has_just_changed_is_not_trusted_for_its_time_may_not_change_again(tmp_path: Path) -> None:
    root, memory = make(tmp_path / "root", {"a": "first"}), tmp_path / "memory.json"
    take(root, remembered=memory)
    assert remembered(memory) == {}


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 2, "files": {"a": 1}}', b'{"version": 1, "files": {"a": [1]}}',
     b"\xff" * 100, b'{"version": 1, "files": []}', b"[" * 100_000],
)  # fmt: skip
def test_a_damaged_memory_is_as_good_as_none(garbage: bytes, tmp_path: Path) -> None:
    root, memory = make(tmp_path / "root", {"a": "1"}), tmp_path / "memory.json"
    memory.write_bytes(garbage)
    assert contents(take_later(root, memory)) == {"a": b"1"}
    assert remembered(memory).keys() == {"a"}


def test_a_memory_that_names_no_parts_or_wrong_ones_is_not_believed(tmp_path: Path) -> None:
    root, memory = make(tmp_path / "root", {"a": "1"}), tmp_path / "memory.json"
    take_later(root, memory)
    key = remembered(memory)["a"][:4]
    for digests in ([], ["x"], ["0" * 64] * 2, None, [1]):
        memory.write_text(json.dumps({"version": 1, "files": {"a": [*key, digests]}}))
        assert contents(take_later(root, memory)) == {"a": b"1"}


def test_a_memory_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    root = make(tmp_path / "root", {"a": "1"})
    (tmp_path / "file").touch()
    assert contents(take_later(root, tmp_path / "file" / "memory.json")) == {"a": b"1"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "root"]


def test_the_memory_is_its_owners_alone_and_forgets_what_is_gone(tmp_path: Path) -> None:
    root, memory = make(tmp_path / "root", {"a": "1", "b": "2"}), tmp_path / "new" / "memory.json"
    take_later(root, memory)
    assert (memory.stat().st_mode & 0o777, memory.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    (root / "a").unlink()
    take_later(root, memory)
    assert remembered(memory).keys() == {"b"}


@pytest.fixture
def restless(tmp_path: Path) -> Iterator[Path]:
    """A file that somebody writes to all the time."""
    path, ended = tmp_path / "root" / "restless.log", threading.Event()
    path.parent.mkdir()
    path.write_bytes(b"x" * 40_000_000)  # reading it takes longer than writing a line
    began = threading.Event()

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            while not ended.is_set():
                file.write(b"another line\n")
                began.set()

    writing = threading.Thread(target=write)
    writing.start()
    began.wait()
    yield path
    ended.set()
    writing.join()


def test_a_file_that_changes_all_the_time_is_named_and_goes_as_it_was_in_between(restless: Path) -> None:
    snapshot = take(restless.parent)
    assert len(snapshot.notices) == 1
    assert "'restless.log' changed while it was read, 3 times" in snapshot.notices[0]
    assert ".gitignore" in snapshot.notices[0]
    assert contents(snapshot)["restless.log"].startswith(b"x" * 40_000_000)  # what was appended changes no part


@pytest.mark.parametrize("how", ["rewritten", "shorter", "removed", "a folder", "a pipe"])
def test_a_part_that_is_not_any_more_what_it_was_is_never_given_whole(how: str, tmp_path: Path) -> None:
    root = make(tmp_path, {"a": "x" * 2_000_000})
    snapshot = take(root)
    (root / "a").unlink()
    if how == "rewritten":
        (root / "a").write_text("x" * 1_999_999 + "y")
    elif how == "shorter":
        (root / "a").write_text("x" * 1_000_000)
    elif how == "a folder":
        (root / "a").mkdir()
    elif how == "a pipe":
        os.mkfifo(root / "a")
    (part,) = snapshot.manifest.files[0].parts
    given = []
    with pytest.raises(Changed, match="a changed after it was read"):
        given.extend(snapshot.read(part))
    assert sum(map(len, given)) < part.size_bytes


def test_what_cannot_be_read_is_named_with_what_to_do() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = make(Path(name), {"a": "", "secret": "", "shut/b": ""})
        (root / "secret").chmod(0)
        (root / "shut").chmod(0)
        root.chmod(0o755)
        myself = os.geteuid()
        os.seteuid(65534 if myself == 0 else myself)  # root may read everything
        try:
            snapshot = take(root)
        finally:
            os.seteuid(myself)
            (root / "shut").chmod(0o700)
    assert [file.path for file in snapshot.manifest.files] == ["a"]
    assert sum("cannot be read (Permission denied); make it readable" in notice for notice in snapshot.notices) == 2


@pytest.mark.parametrize("case", ["missing", "a file", "empty", "all ignored"])
def test_a_folder_with_nothing_to_send_is_a_mistake(case: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    if case == "a file":
        root.touch()
    elif case != "missing":
        root.mkdir()
    if case == "all ignored":
        make(root, {".gitignore": "*\n", "a": ""})
    with pytest.raises(Mistake, match=r"cannot be read|nothing in"):
        take(root)


def test_of_many_things_that_stay_a_few_are_named_and_the_rest_is_counted(tmp_path: Path) -> None:
    make(tmp_path, {"a": ""})
    for number in range(12):
        (tmp_path / f"link{number}").symlink_to("/nowhere")
    notices = take(tmp_path).notices
    assert (len(notices), notices[-1]) == (6, "7 more files or folders stay here")


def test_too_many_files_are_refused_with_the_folder_that_holds_them(tmp_path: Path) -> None:
    make(tmp_path, {f"data/raw/{number}": "" for number in range(30)} | {"train.py": "", "lib/a.py": ""})
    with pytest.raises(Mistake) as raised:
        take(tmp_path, weight=Weight(limit_files=25))
    assert "more than 26 files" in str(raised.value)
    assert "data/raw (" in str(raised.value)
    assert "\n  /data/raw/" in str(raised.value)
    assert take(tmp_path, weight=Weight(limit_files=32)).notices == ()


def test_too_many_bytes_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    root = make(tmp_path, {"train.py": "x"})
    with (root / "weights [1].bin").open("wb") as file:
        file.truncate(6_000_000_000)  # takes no room, but reading it would take a while
    with pytest.raises(Mistake) as raised:
        take(root)
    assert "6.0 GB would go to the machines, and at most 5 GB and 200,000 files can" in str(raised.value)
    assert r"/weights \[1].bin" in str(raised.value)
    make(root, {".gitignore": r"/weights \[1].bin" + "\n"})
    assert [file.path for file in take(root).manifest.files] == [".gitignore", "train.py"]


def test_much_is_sent_and_said(tmp_path: Path) -> None:
    root = make(tmp_path, {"train.py": "x"})
    (root / "data").mkdir()
    with (root / "data" / "big").open("wb") as file:
        file.truncate(201_000_000)
    (notice,) = take(root).notices
    assert notice.startswith("2 files with 201.0 MB go to the machines; the most is in data (1 file, 201.0 MB)")
    assert "\n  /data/" in notice
