"""A working directory on its way: only what is missing travels, nothing leaves our folder, all of it or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clustertune.model.checkpoint import PART_BYTES, FileEntry, Manifest, Part
from clustertune.model.codec import to_plain
from tests.agent.host import Host, manifest_of, until

FILES = {"train.py": b"print(1)\n", "data/a.bin": os.urandom(300_000), "data/empty": b"", "run.sh": b"#!/bin/sh\n"}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stream(*contents: bytes) -> bytes:
    return b"".join(f"{digest(data)} {len(data)}\n".encode() + data for data in contents)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_as_it_was_with_its_modes(host: Host) -> None:
    manifest = host.send(FILES)
    manifest = Manifest(
        tuple(FileEntry(f.path, 0o755 if f.path == "run.sh" else f.mode, f.parts) for f in manifest.files),
        ("logs/old",),
    )
    laid = host.lay(manifest)
    assert laid == host.root / "workdirs" / manifest.digest()
    assert contents(laid) == FILES
    assert stat.S_IMODE((laid / "run.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((laid / "train.py").stat().st_mode) == 0o644
    assert (laid / "logs/old").is_dir()


def test_only_what_changed_is_wanted(host: Host) -> None:
    manifest = host.send(FILES)
    assert host.ask("want", manifest.encode()) == {"missing": {}}
    changed = manifest_of({**FILES, "train.py": b"print(2)\n"})
    assert host.ask("want", changed.encode())["missing"] == {digest(b"print(2)\n"): 9}


def test_laying_out_again_changes_nothing_that_a_program_wrote(host: Host) -> None:
    manifest = host.send(FILES)
    laid = host.lay(manifest)
    (laid / "output.txt").write_text("of a trial")
    assert host.lay(manifest) == laid
    assert (laid / "output.txt").read_text() == "of a trial"


def test_what_a_program_does_to_a_file_does_not_reach_the_part(host: Host) -> None:
    manifest = host.send(FILES)
    (host.lay(manifest) / "train.py").write_text("spoilt")
    other = host.send({**FILES, "more.py": b"2"})
    assert contents(host.lay(other))["train.py"] == FILES["train.py"]


def test_others_stay_only_where_they_are_to_be_kept(host: Host) -> None:
    first, second, third = (host.send({"a.py": text}) for text in (b"1", b"2", b"3"))
    host.lay(first)
    host.lay(second, first.digest())
    assert host.ask("look")["workdirs"] == sorted([first.digest(), second.digest()])
    host.lay(third, second.digest())
    assert host.ask("look")["workdirs"] == sorted([second.digest(), third.digest()])


def test_parts_that_nothing_needs_go_once_they_are_not_fresh(host: Host) -> None:
    first, second = host.send({"a.py": b"1", "both.py": b"both"}), host.send({"a.py": b"2", "both.py": b"both"})
    host.lay(first)
    host.lay(second)
    parts = host.root / "parts"
    assert len(list(parts.iterdir())) == 3, "what was just sent may be about to be laid out"
    (parts / ".cut").write_text("of a stream that was cut")
    for path in parts.iterdir():
        os.utime(path, (0, time.time() - 7200))
    host.ask("want", manifest_of({"a.py": b"1"}).encode())
    host.lay(second)
    assert len(list(parts.iterdir())) == 3, "what was asked for is about to be laid out"
    os.utime(parts / digest(b"1"), (0, time.time() - 7200))
    host.lay(second)
    assert sorted(path.name for path in parts.iterdir()) == sorted(second.parts)


def test_a_stream_that_is_cut_keeps_what_came_whole(host: Host) -> None:
    sent = stream(b"first", b"second", b"third")
    for length in range(1, len(sent), 7):
        host.run("take", sent[:length])
    answer = host.run("take", sent[:-1])
    assert "ended 1 bytes before the end" in answer.error
    missing = host.ask("want", manifest_of({"a": b"first", "b": b"second", "c": b"third"}).encode())["missing"]
    assert missing == {digest(b"third"): 5}
    assert [path.name for path in (host.root / "parts").iterdir() if path.name.startswith(".")] == []


def test_a_stream_whose_reader_is_killed_keeps_what_came_whole(host: Host) -> None:
    host.ask("look")
    process = host.open("take")
    assert process.stdin is not None
    process.stdin.write(stream(b"first") + f"{digest(b'x' * 100)} 100\n".encode() + b"x" * 50)
    process.stdin.flush()
    until((host.root / "parts" / digest(b"first")).exists)
    process.kill()
    process.communicate()
    missing = host.ask("want", manifest_of({"a": b"first", "b": b"x" * 100}).encode())["missing"]
    assert missing == {digest(b"x" * 100): 100}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (f"{digest(b'x')} 1\ny".encode(), "not what its digest"),
        (f"{digest(b'x')} {PART_BYTES + 1}\n".encode(), "at most"),
        (f"{digest(b'x')} 0\n".encode(), "at most"),
        (f"{digest(b'x')} -1\n".encode(), "DIGEST SIZE"),
        (b"../../../etc/passwd 1\nx", "DIGEST SIZE"),
        (b"A" * 64 + b" 1\nx", "DIGEST SIZE"),
        (b"x" * 100_000, "DIGEST SIZE"),
        ("٣".encode() * 20, "DIGEST SIZE"),
        (f"{digest(b'x')} 1".encode(), "DIGEST SIZE"),
    ],
)
def test_a_stream_of_a_stranger_is_refused(sent: bytes, words: str, host: Host) -> None:
    assert words in host.run("take", sent).error
    assert list((host.root / "parts").iterdir()) == []


def test_a_part_is_a_file_and_not_what_a_link_leads_to(host: Host) -> None:
    manifest = manifest_of({"a": b"secret"})
    host.ask("take")
    (host.folder / "outside").write_bytes(b"secret")
    (host.root / "parts" / digest(b"secret")).symlink_to(host.folder / "outside")
    assert host.ask("want", manifest.encode())["missing"] == manifest.parts
    assert host.run("lay", {"manifest": to_plain(manifest)}).code == 1
    host.ask("take", stream(b"secret"))
    assert contents(host.lay(manifest)) == {"a": b"secret"}
    assert (host.folder / "outside").read_bytes() == b"secret"


@pytest.mark.parametrize(
    "path", ["../out", "/etc/x", "a/../../out", "", ".", "a\0b", "x" * 1025, "a//b", "a/./b", "a\\b"]
)
def test_no_path_leaves_the_folder(path: str, host: Host) -> None:
    for manifest in ({"files": [{"path": path}]}, {"folders": [path]}):
        assert "path that it must not" in host.run("want", json.dumps(manifest).encode()).error
        assert "path that it must not" in host.run("lay", {"manifest": manifest}).error
    assert host.ask("look")["workdirs"] == []


@pytest.mark.parametrize(
    "manifest",
    [
        {"files": [{"path": "a"}, {"path": "a"}]},
        {"files": [{"path": "a"}, {"path": "a/b"}]},
        {"files": [{"path": "a", "mode": 0o4755}]},
        {"files": [{"path": "a", "parts": [{"digest": "..", "size_bytes": 1}]}]},
        {"files": [{"path": "a", "parts": [{"digest": "0" * 64, "size_bytes": 2**40}]}]},
        {"files": 7},
        None,
    ],
)
def test_a_manifest_of_a_stranger_is_refused(manifest: object, host: Host) -> None:
    assert host.run("lay", {"manifest": manifest}).code == 1
    assert host.run("want", json.dumps(manifest).encode()).code == 1
    assert host.ask("look")["workdirs"] == []


def test_names_as_odd_as_a_disk_takes(host: Host) -> None:
    names = ["-rf", "--", "a b", "$HOME", "`id`", "new\nline", "ü", "日本/語", "x" * 255, "...", ".hidden/..x", "'\""]
    files = {name: name.encode() for name in names}
    assert contents(host.lay(host.send(files))) == files


def test_a_name_that_no_disk_takes_is_told_and_leaves_nothing(host: Host) -> None:
    assert "too long" in host.run("lay", {"manifest": {"files": [{"path": "x" * 256}]}}).error
    assert list((host.root / "workdirs").iterdir()) == []


def test_a_part_that_is_missing_or_damaged_is_told_and_leaves_nothing(host: Host) -> None:
    manifest = host.send(FILES)
    part = host.root / "parts" / digest(FILES["data/a.bin"])
    part.write_bytes(b"\0" * part.stat().st_size)
    plain = {"manifest": to_plain(manifest)}
    assert "damaged" in host.run("lay", plain).error
    assert host.ask("want", manifest.encode())["missing"] == {part.name: 300_000}
    assert "ask what it wants" in host.run("lay", plain).error
    assert host.ask("look")["workdirs"] == []
    assert contents(host.lay(host.send(FILES))) == FILES


def test_a_thousand_equal_files_need_no_more_descriptors_than_one(host: Host) -> None:
    files = {f"package-{number}/__init__.py": b"# the same everywhere\n" for number in range(1000)}
    manifest = host.send(files)
    command = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *host.command("lay")]
    given = json.dumps({"manifest": to_plain(manifest)}).encode()
    subprocess.run(command, input=given, env=host.environment, check=True, capture_output=True)
    assert contents(host.root / "workdirs" / manifest.digest()) == files


def test_a_part_in_several_places_of_a_file_comes_to_all_of_them(host: Host) -> None:
    block, end = b"\0" * PART_BYTES, b"end"
    parts = (Part(digest(block), PART_BYTES),) * 2 + (Part(digest(end), 3),)
    manifest = Manifest((FileEntry("sparse", 0o600, parts),))
    host.ask("take", stream(block, end))
    assert (host.lay(manifest) / "sparse").read_bytes() == block * 2 + end


def test_a_lay_that_is_killed_leaves_nothing_that_is_taken_for_whole(host: Host) -> None:
    files = {f"{number}": os.urandom(1000) for number in range(3000)}
    manifest = host.send(files)
    given = json.dumps({"manifest": to_plain(manifest)}).encode()
    process = host.open("lay")
    assert process.stdin is not None
    process.stdin.write(given)
    process.stdin.close()
    process.stdin = None
    until(lambda: list((host.root / "workdirs").glob(".*/*")))
    process.kill()
    process.communicate()
    if process.returncode == -signal.SIGKILL:
        assert host.ask("look")["workdirs"] == []
    assert contents(host.lay(manifest)) == files
    assert [path.name for path in (host.root / "workdirs").iterdir()] == [manifest.digest()]


def test_two_that_are_laid_out_at_once_do_not_hinder_each_other(host: Host) -> None:
    manifests = [host.send({f"{name}-{number}": b"1" for number in range(200)}) for name in "abc"]
    keep = [manifest.digest() for manifest in manifests]
    running = [host.open("lay") for _ in manifests]
    for process, manifest in zip(running, manifests, strict=True):
        assert process.stdin is not None
        process.stdin.write(json.dumps({"manifest": to_plain(manifest), "keep": keep}).encode())
        process.stdin.close()
        process.stdin = None
    assert all("path" in json.loads(process.communicate()[0]) for process in running)
    assert host.ask("look")["workdirs"] == sorted(keep)


@pytest.fixture
def small_disk(short_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk is mounted by root only")
    path = short_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "small", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_is_called_so_and_what_was_there_stays(host: Host, small_disk: Path) -> None:
    host.root, root = small_disk / "r", host.root
    files = {f"{number}": os.urandom(1_000_000) for number in range(5)}
    manifest = host.send(files)
    assert "disk of this machine is full" in host.run("lay", {"manifest": to_plain(manifest)}).error
    more = [os.urandom(1_000_000) for _ in range(10)]
    assert "disk of this machine is full" in host.run("take", stream(*more)).error
    assert host.ask("want", manifest.encode()) == {"missing": {}}
    assert list((host.root / "workdirs").iterdir()) == []
    assert host.ask("look")["free_bytes"] < 3_000_000
    host.root = root
